"""Reshapes of a tensor whose axes are in another order than the value's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.exchange.onnx_out.operation import Operation
    from jaxcnn.exchange.onnx_out.value import Shape, Value

Group = tuple[list[int], list[int]]
"""Axes of the value, and the axes of the result that hold the same entries."""


def reshaped(op: Operation, x: Value, shape: Shape) -> Value:
    """x in another shape, with as few transpositions as possible.

    A reshape splits some axes and joins others. If the axes that it joins are neighbours in the
    tensor, the tensor is reshaped as it is. Otherwise its axes are put in order first.
    """
    groups = _groups(x.shape, shape)
    if any(len(one) > 1 or len(other) > 1 for one, other in groups):
        x = op.whole(x)
    stored = [1] * len(shape)
    for one, other in groups:
        for axis in other:
            stored[axis] = shape[axis] if len(other) > 1 else x.stored[one[0]]
        if len(one) > 1:
            stored[other[0]] = shape[other[0]]
    if x.is_constant:
        array, axes = np.reshape(x.array, stored), tuple(range(len(shape)))
        return replace(x, shape=shape, stored=tuple(stored), axes=axes, array=array)
    order = [axis for axis in x.axes if not _is_one(x.shape[axis])]
    if not all(_are_neighbours(order, group) for group, _ in groups):
        x = op.arranged(x, range(len(x.shape)))
        axes = list(range(len(shape)))
    else:
        groups.sort(key=lambda group: order.index(group[0][0]))
        axes = [axis for _, into in groups for axis in into]
        # Axes of size 1 hold no order; the last place makes (N, C) to (N, C, 1, 1), as in ONNX.
        axes += [axis for axis in range(len(shape)) if axis not in axes]
    before, after = [x.stored[axis] for axis in x.axes], [stored[axis] for axis in axes]
    name = x.name
    if before != after:
        name = op.node("Reshape", name, op.graph.target(after))
    return replace(x, shape=shape, stored=tuple(stored), axes=tuple(axes), name=name)


def _is_one(size: Any) -> bool:
    return isinstance(size, int) and size == 1


def _are_neighbours(order: Sequence[int], axes: Sequence[int]) -> bool:
    first = order.index(axes[0])
    return list(order[first : first + len(axes)]) == list(axes)


def _groups(before: Shape, after: Shape) -> list[Group]:
    """The smallest runs of axes, without those of size 1, that hold the same entries."""
    left = [axis for axis, size in enumerate(before) if not _is_one(size)]
    right = [axis for axis, size in enumerate(after) if not _is_one(size)]
    groups: list[Group] = []
    while left and right:
        one, other = [left.pop(0)], [right.pop(0)]
        count, needed = before[one[0]], after[other[0]]
        while count != needed:
            if _is_smaller(count, needed) and left:
                one.append(left.pop(0))
                count = count * before[one[-1]]
            elif right:
                other.append(right.pop(0))
                needed = needed * after[other[-1]]
            else:
                one.append(left.pop(0))
                count = count * before[one[-1]]
        groups.append((one, other))
    return groups


def _is_smaller(count: Any, other: Any) -> bool:
    """Whether ``count`` needs another factor to become ``other``, or a multiple of it."""
    if isinstance(count, int) and isinstance(other, int):
        return count < other
    if isinstance(count, int) != isinstance(other, int):
        return isinstance(count, int)
    return not isinstance(count // other, int)
