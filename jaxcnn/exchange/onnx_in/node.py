"""A node of a graph, and an operator: how nodes of a type are computed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, eq=False)
class Node:
    """One node of an ONNX graph.

    Attributes:
      op_type: the operator's name.
      name: the node's own name; that of its first output if it has none.
      inputs, outputs: the names of its values; ``""`` for one that is left out.
      attributes: Python values and NumPy arrays by name.
      opset: the version of the operators that the file was written for.
    """

    op_type: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    opset: int

    def get(self, name: str, default: Any = None) -> Any:
        """The attribute's value, or the default."""
        return self.attributes.get(name, default)

    def __str__(self) -> str:
        return f"{self.op_type} {self.name!r}"


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of arrays, for operators without attributes, as :attr:`Operator.compute`."""
    return lambda _, *arrays: function(*arrays)


@dataclass(frozen=True)
class Operator:
    """How the nodes of a type are computed.

    Attributes:
      compute: ``compute(node, *inputs)`` returns an array, or a tuple with one for each output; an
        input that is left out is None.
      layout: the inputs that it takes.
        ``"onnx"``: arrays in ONNX's order.
        ``"maps"``: the first has channels last, and so have all outputs; the rest as in ``"onnx"``.
        ``"broadcast"``: arrays of one rank that broadcast, all NumPy's or all JAX's; the result
        has their order of axes.
        ``"values"``: arrays in ONNX's order or :class:`Maps`, and it returns either.
      settings: the positions of inputs that must be known before the data.
      accepts: attributes with their supported values; the first is the default.
    """

    compute: Callable[..., Any]
    layout: str = "onnx"
    settings: tuple[int, ...] = ()
    accepts: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def refusals(self, node: Node) -> list[str]:
        """The attributes whose values are not supported, in words."""
        return [
            f"{name}={node.get(name)!r} (supported: {', '.join(map(repr, values))})"
            for name, values in self.accepts.items()
            if node.get(name, values[0]) not in values
        ]
