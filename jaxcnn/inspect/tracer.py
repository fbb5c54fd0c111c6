"""Tracer: walks through a program, equation by equation, and collects its layers.

The handlers in :mod:`jaxcnn.inspect.primitives` return the outputs of each primitive. This file
contains the walk, and the operations that involve only weights and constants.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax.extend.core import Literal

from jaxcnn.errors import InputError
from jaxcnn.geometry.feature_map import FeatureMap
from jaxcnn.inspect.equations import Recipe, inner_of, may_multiply, power_of
from jaxcnn.inspect.joining import absorb_statistics, complete, unknown_outputs
from jaxcnn.inspect.ledger import Ledger
from jaxcnn.inspect.materialize import materialize
from jaxcnn.inspect.operation import Operation, SpatialAxes
from jaxcnn.inspect.primitives import HANDLERS, KEEP_PARTIAL_WINDOWS, KEEP_STATISTICS
from jaxcnn.inspect.program import Program, learnt_of
from jaxcnn.inspect.values import BATCH, CHANNEL, Value, axis_of, channel_axes

if TYPE_CHECKING:
    from collections.abc import Sequence


class Tracer:
    """One walk through a program.

    Attributes:
      ledger: the layers found so far.
      spatial: the facts about the axes of x found so far.
    """

    def __init__(
        self, program: Program, spatial: Sequence[int], batches: Sequence[int] = ()
    ) -> None:
        """A walk with the given spatial axes and batch axes of x."""
        self.ledger = Ledger()
        self.spatial = SpatialAxes(bool(spatial))
        self._program = program
        self._constants: dict[int, str] = {}
        self._spatial, self._batches = tuple(spatial), tuple(batches)

    def walk(self) -> None:
        """Reads the whole program."""
        jaxpr = self._program.jaxpr
        *weights, x = [variable.aval for variable in jaxpr.jaxpr.invars]
        inputs = []
        for weight, aval in zip(self._program.weights, weights, strict=True):
            self.ledger.add_array(weight.name, prod(aval.shape), weight.learnt)
            inputs.append(Value(channel_axes(aval.shape), weights=frozenset({weight.name})))
        axes = []
        for dim, size in enumerate(x.shape):
            batch = (self._program.batched and dim == 0) or dim in self._batches
            number = self._spatial.index(dim) if dim in self._spatial else CHANNEL
            axes.append(axis_of(size, BATCH if batch else number))
        base = FeatureMap.of_input([x.shape[dim] for dim in self._spatial])
        self.spatial.origin = base if self._spatial else None
        inputs.append(Value(tuple(axes), base, (None,) * len(self._spatial)))
        outputs = self.run(jaxpr.jaxpr, jaxpr.consts, inputs)
        end = self._operation(None, outputs)
        for value in outputs:
            if not value.is_constant:
                complete(end, value)
        self.ledger.finish()

    def run(self, jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Value]) -> list[Value]:
        """The outputs of a jaxpr for these inputs."""
        known: dict[Any, Value] = {}

        def value_of(atom: Any) -> Value:
            if isinstance(atom, Literal):
                return Value(channel_axes(np.shape(atom.val)), recipe=Recipe(atom.val))
            return known[atom]

        known.update(zip(jaxpr.constvars, map(self._constant, consts), strict=True))
        known.update(zip(jaxpr.invars, inputs, strict=True))
        for eqn in jaxpr.eqns:
            outputs = self._outputs(eqn, [value_of(atom) for atom in eqn.invars])
            known.update(zip(eqn.outvars, outputs, strict=True))
        return [value_of(atom) for atom in jaxpr.outvars]

    def _operation(self, eqn: Any, values: list[Value]) -> Operation:
        return Operation(eqn, values, self.ledger, self.spatial, self.run)

    def _outputs(self, eqn: Any, values: list[Value]) -> list[Value]:
        op = self._operation(eqn, values)
        if not any(prod(variable.aval.shape) for variable in eqn.outvars):
            _require_outputs(op)
            return _constant_outputs(op)
        handler = HANDLERS.get(op.name)
        dependent = not all(value.is_constant for value in values)
        if handler is not None and dependent:
            if op.name not in KEEP_PARTIAL_WINDOWS:
                values = [materialize(op, v) if v.is_partial_window else v for v in values]
            if op.name not in KEEP_STATISTICS:
                values = [absorb_statistics(op, value) for value in values]
            return handler(self._operation(eqn, values))
        inner = inner_of(eqn) if handler is None else None
        if inner is not None:
            return self.run(*inner, values)
        if dependent:
            return unknown_outputs(op, multiply_adds=None if may_multiply(eqn) else 0)
        return _constant_outputs(op)

    def _constant(self, array: Any) -> Value:
        """An array that the model closes over; a weight if it may be learnt."""
        axes = channel_axes(np.shape(array))
        dtype = jax.numpy.result_type(array)
        if jax.numpy.issubdtype(dtype, jax.dtypes.extended):  # random keys
            return Value(axes)
        is_weight = jax.numpy.issubdtype(dtype, np.floating) and np.ndim(array)
        if self._program.weights or not is_weight:
            return Value(axes, recipe=Recipe(array))
        name = self._constants.setdefault(id(array), f"<array {len(self._constants) + 1}>")
        learnt = learnt_of(self._program.closed_over.get(id(array), ""), array)
        self.ledger.add_array(name, prod(array.shape), learnt)
        return Value(axes, weights=frozenset({name}))


def _constant_outputs(op: Operation) -> list[Value]:
    """The outputs of an operation on weights and constants only."""
    weights = frozenset().union(*(value.weights for value in op.values))
    power = power_of(op.eqn, [value.variance_power for value in op.values])
    root_of = frozenset().union(*(value.root_of for value in op.values))
    if weights and not power and op.name in ("sqrt", "rsqrt", "pow"):
        power, root_of = power_of(op.eqn, [Fraction(1)] * len(op.values)), weights
    recipe = None if weights else Recipe(op.eqn, tuple(value.recipe for value in op.values))
    return [
        Value(
            channel_axes(variable.aval.shape),
            weights=weights,
            variance_power=power,
            root_of=root_of,
            recipe=recipe and replace(recipe, output=number),
        )
        for number, variable in enumerate(op.eqn.outvars)
    ]


def _require_outputs(op: Operation) -> None:
    """Refuses a window that fits nowhere, for which JAX returns an empty array."""
    x, *others = op.values
    if op.name.startswith(("conv_general", "reduce_window")) and prod(x.shape):
        names = sorted(name for value in others for name in value.weights)
        module = names[0].rpartition(".")[0] if names else ""
        raise InputError(
            f"{module or op.name}{op.place} returns an empty array of shape {op.shape} for "
            f"{x.shape}: its kernel is larger than the padded input; use a larger input, more "
            f"padding or a smaller kernel"
        )
