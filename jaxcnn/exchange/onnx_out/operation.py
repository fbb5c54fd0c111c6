"""An equation of the traced program, with what its rule needs to write it as ONNX."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.exchange.onnx_out.value import TYPES, Shape, Value, carrier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxcnn.exchange.onnx_out.graph import Graph


@dataclass(frozen=True)
class Operation:
    """An equation and its inputs.

    Attributes:
      eqn: the equation.
      values: its inputs.
      graph: the graph to which nodes are added.
      run: the outputs of an inner program: ``run(jaxpr, constants, inputs)``.
      place: file and line of the model's code.
      after: the path of the last parameter that an earlier equation used.
    """

    eqn: Any
    values: list[Value]
    graph: Graph
    run: Callable[[Any, Sequence[Any], Sequence[Value]], list[Value]]
    place: str = ""
    after: str = ""

    @property
    def name(self) -> str:
        """The primitive's name."""
        return self.eqn.primitive.name

    @property
    def params(self) -> dict[str, Any]:
        """The primitive's parameters."""
        return self.eqn.params

    @property
    def shape(self) -> Shape:
        """The shape of the first output."""
        return tuple(self.eqn.outvars[0].aval.shape)

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the first output."""
        return self.eqn.outvars[0].aval.dtype

    def refuse(self, reason: str = "has no rule for ONNX") -> NoReturn:
        """Raises an error that names the primitive and its place in the model."""
        places = filter(None, (self.place, f"after {self.after}" if self.after else ""))
        place = ", ".join(places)
        at = f" ({place})" if place else ""
        raise InputError(
            f"{self.name}{at} {reason}; write the model without it, or export to .stablehlo"
        )

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """The output of a new node."""
        return self.graph.node(operator, *inputs, **attributes)

    def number(self, number: float, dtype: Any = None) -> str:
        """The name of a constant of one number, of the dtype of the first input."""
        dtype = self.values[0].dtype if dtype is None else dtype
        return self.graph.array(np.asarray(number, carrier(dtype)))

    def result(
        self,
        name: str,
        axes: Sequence[int] | None = None,
        stored: Shape | None = None,
        output: int = 0,
    ) -> Value:
        """The output that the tensor ``name`` holds."""
        aval = self.eqn.outvars[output].aval
        shape = tuple(aval.shape)
        axes = tuple(range(len(shape)) if axes is None else axes)
        return Value(shape, aval.dtype, shape if stored is None else stored, axes, name)

    def tensor(self, value: Value, axes: Sequence[int] | None = None) -> str:
        """The name of a tensor with the value's stored entries, its axes in this order."""
        axes = tuple(range(len(value.shape)) if axes is None else axes)
        if value.is_constant:
            array = np.asarray(value.array).astype(carrier(value.dtype))
            return self.graph.array(array.transpose(axes), value.origin or "constant")
        if value.axes == axes:
            return value.name
        return self.node("Transpose", value.name, perm=tuple(map(value.axes.index, axes)))

    def arranged(self, value: Value, axes: Sequence[int]) -> Value:
        """The value in a tensor whose axes are in this order."""
        axes = tuple(axes)
        return replace(value, name=self.tensor(value, axes), axes=axes, array=None)

    def whole(self, value: Value) -> Value:
        """The value, stored without an axis of size 1 in place of a larger one."""
        if value.is_whole:
            return value
        if value.is_constant and all(isinstance(size, int) for size in value.shape):
            return replace(
                value, array=np.broadcast_to(value.array, value.shape), stored=value.shape
            )
        value = self.arranged(value, value.axes)
        # 1 stands for a size that the tensor has already.
        sizes = [
            1 if value.stored[axis] == value.shape[axis] else value.shape[axis]
            for axis in value.axes
        ]
        name = self.node("Expand", value.name, self.graph.sizes(sizes))
        return replace(value, name=name, stored=value.shape)

    def cast(self, name: str, before: Any, after: Any) -> str:
        """The tensor ``name`` of one dtype of JAX, as one of another."""
        if carrier(before) == carrier(after):
            return name
        if carrier(after).name not in TYPES:
            self.refuse(f"converts to {after}, which ONNX Runtime does not compute with")
        return self.node("Cast", name, to=carrier(after).name)
