"""Walks through a traced program, equation by equation, and writes it as an ONNX graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jax.extend.core import Literal

from jaxcnn.exchange.onnx_out.folding import computed
from jaxcnn.exchange.onnx_out.operation import Operation
from jaxcnn.exchange.onnx_out.rules import RULES
from jaxcnn.exchange.onnx_out.value import Value, constant
from jaxcnn.inspect.equations import inner_of, where

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxcnn.exchange.onnx_out.graph import Graph


class Walk:
    """One walk through a program.

    Args:
      graph: the graph to which nodes are added.
      closed_over: the paths of arrays that the program closes over, by their ``id``.
    """

    def __init__(self, graph: Graph, closed_over: Mapping[int, str]) -> None:
        self._graph, self._closed_over, self._after = graph, closed_over, ""
        self._place = ""

    def run(self, jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Value]) -> list[Value]:
        """The outputs of a program for these inputs."""
        known: dict[Any, Value] = {}

        def value_of(atom: Any) -> Value:
            return constant(atom.val) if isinstance(atom, Literal) else known[atom]

        for variable, array in zip(jaxpr.constvars, consts, strict=True):
            origin = self._closed_over.get(id(array), "")
            known[variable] = constant(array, origin)
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
        if values and all(value.is_constant for value in values):
            found = computed(op)
            if found is not None:
                return found
        if any(_is_empty(variable.aval.shape) for variable in (*eqn.invars, *eqn.outvars)):
            op.refuse("has an array without entries")
        rule = RULES.get(op.name)
        if rule is None:
            inner = inner_of(eqn)
            if inner is None:
                op.refuse()
            jaxpr, consts = inner
            return self.run(jaxpr, consts, values)
        found = rule(op)
        return [found] if isinstance(found, Value) else found


def _is_empty(shape: Sequence[Any]) -> bool:
    return 0 in [size for size in shape if isinstance(size, int)]
