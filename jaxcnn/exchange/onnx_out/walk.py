"""Walks through a traced program, equation by equation, and writes it as an ONNX graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jax.extend.core import Literal

from jaxcnn.exchange.onnx_out.constants import computed
from jaxcnn.exchange.onnx_out.operation import Operation
from jaxcnn.exchange.onnx_out.rules import RULES
from jaxcnn.exchange.onnx_out.value import Value, constant
from jaxcnn.inspect.equations import inner_of, where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.exchange.onnx_out.graph import Graph


class Walk:
    """One walk through a program.

    Args:
      graph: the graph to which nodes are added.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph, self._after, self._place = graph, "", ""

    def run(self, jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Value]) -> list[Value]:
        """The outputs of a program for these inputs."""
        known: dict[Any, Value] = {}

        def value_of(atom: Any) -> Value:
            if not isinstance(atom, Literal):
                return known[atom]
            type_: Any = atom.aval
            return constant(np.asarray(atom.val, type_.dtype))

        known.update(zip(jaxpr.constvars, map(constant, consts), strict=True))
        known.update(zip(jaxpr.invars, inputs, strict=True))
        for eqn in jaxpr.eqns:
            before = self._place
            self._place = where(eqn) or before  # that of the call, for programs JAX keeps
            outputs = self._outputs(eqn, [value_of(atom) for atom in eqn.invars])
            self._place = before
            known.update(zip(eqn.outvars, outputs, strict=True))
        return [value_of(atom) for atom in jaxpr.outvars]

    def output(self, value: Value) -> str:
        """The tensor of an output, whole and with its axes in order."""
        op = Operation(None, [value], self._graph, self.run)
        return op.tensor(op.whole(value))

    def _outputs(self, eqn: Any, values: list[Value]) -> list[Value]:
        op = Operation(eqn, values, self._graph, self.run, self._place, self._after)
        self._after = next((v.origin for v in values[::-1] if v.origin), self._after)
        rule = RULES.get(op.name)
        inner = None if rule else inner_of(eqn)
        if values and all(value.is_constant for value in values) and not inner:
            found = computed(op)
            if found is not None:
                return found
        if any(_is_empty(variable.aval.shape) for variable in (*eqn.invars, *eqn.outvars)):
            op.refuse("has an array without entries")
        if inner is not None:
            return self.run(*inner, values)
        if rule is None:
            op.refuse()
        found = rule(op)
        return [found] if isinstance(found, Value) else found


def _is_empty(shape: Sequence[Any]) -> bool:
    return 0 in [size for size in shape if isinstance(size, int)]
