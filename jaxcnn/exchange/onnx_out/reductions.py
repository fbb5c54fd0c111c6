"""Reductions over whole axes, and cumulative sums."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.exchange.onnx_out.operation import Operation
    from jaxcnn.exchange.onnx_out.value import Value

_OPERATORS = {
    "reduce_max": "ReduceMax",
    "reduce_min": "ReduceMin",
    "reduce_prod": "ReduceProd",
    "reduce_sum": "ReduceSum",
    "reduce_and": "ReduceMin",
    "reduce_or": "ReduceMax",
}


def reduction(op: Operation) -> Value:
    """One output, without the axes that are reduced."""
    x, axes = op.whole(op.values[0]), op.params["axes"]
    wide = _wide(x.dtype)
    name = op.cast(op.tensor(x, x.axes), x.dtype, wide)
    if axes:
        places = op.graph.ints(sorted(map(x.axes.index, axes)))
        name = op.node(_OPERATORS[op.name], name, places, keepdims=0)
        sizes = [x.shape[axis] for axis in axes]
        if op.name == "reduce_sum" and all(isinstance(size, int) for size in sizes):
            op.graph.counts[name] = prod(sizes)
    return op.result(op.cast(name, wide, x.dtype), _rest(x, axes))


def arg_extremum(op: Operation) -> Value:
    """``argmax`` and ``argmin``."""
    x, (axis,) = op.whole(op.values[0]), op.params["axes"]
    operator = {"argmax": "ArgMax", "argmin": "ArgMin"}[op.name]
    name = op.node(operator, op.tensor(x, x.axes), axis=x.axes.index(axis), keepdims=0)
    return op.result(op.cast(name, np.dtype("int64"), op.dtype), _rest(x, (axis,)))


def cumulative_sum(op: Operation) -> Value:
    """``cumsum``."""
    x = op.whole(op.values[0])
    axis = op.graph.array(np.array(x.axes.index(op.params["axis"])), "axis")
    wide = _wide(x.dtype)
    name = op.cast(op.tensor(x, x.axes), x.dtype, wide)
    name = op.node("CumSum", name, axis, reverse=int(op.params["reverse"]))
    return op.result(op.cast(name, wide, x.dtype), x.axes)


def _wide(dtype: np.dtype) -> np.dtype:
    """A dtype that holds the dtype's numbers, and with which ONNX Runtime computes."""
    if dtype == np.uint32:
        return np.dtype("int64")
    return np.dtype("int32") if dtype.itemsize < 4 and dtype.kind in "biu" else dtype


def _rest(x: Value, axes: Sequence[int]) -> tuple[int, ...]:
    """The order of the axes that are left."""
    kept = [axis for axis in range(len(x.shape)) if axis not in axes]
    return tuple(kept.index(axis) for axis in x.axes if axis in kept)


RULES = {
    **dict.fromkeys(_OPERATORS, reduction),
    "argmax": arg_extremum,
    "argmin": arg_extremum,
    "cumsum": cumulative_sum,
}
