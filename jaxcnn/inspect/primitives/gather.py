"""``gather``: picks cells at known places (resizing), or at places that depend on the input."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from jaxcnn.inspect.joining import movable_axis, unknown_outputs
from jaxcnn.inspect.materialize import materialize
from jaxcnn.inspect.rows import union
from jaxcnn.inspect.values import CHANNEL, Value, axis_of

if TYPE_CHECKING:
    from jaxcnn.inspect.operation import Handler, Operation


def gather(op: Operation) -> list[Value]:
    """``gather`` of single places on one axis."""
    x, places = op.values
    numbers, sizes = op.params["dimension_numbers"], op.params["slice_sizes"]
    if x.is_constant or len(numbers.start_index_map) != 1:
        return unknown_outputs(op)
    (dim,), batched = numbers.start_index_map, numbers.operand_batching_dims
    kept = [d for d in range(len(x.axes)) if d != dim and d not in batched]
    if numbers.collapsed_slice_dims != (dim,) or any(sizes[d] != x.shape[d] for d in kept):
        return unknown_outputs(op)
    if places.numbers is None or batched or len(places.axes) != 2:
        return [_from_anywhere(op, dim, kept)]
    x = movable_axis(op, x, dim)
    label = x.label_of(dim)
    count = prod(places.shape)
    if isinstance(label, int):
        if x.fold == "resize" and x.rows[label] is not None:
            x = materialize(op, x)
        rows = tuple(x.rows_of(label)[place] for place in places.numbers[:, 0])
        x = x.with_rows({label: rows}, fold="resize" if count > x.shape[dim] else x.fold)
    taken = iter([x.axes[d] for d in kept])
    axes = [
        next(taken) if d in numbers.offset_dims else axis_of(count, label)
        for d in range(len(x.axes))
    ]
    return [replace(x, axes=tuple(axes))]


def _from_anywhere(op: Operation, dim: int, kept: list[int]) -> Value:
    """Cells picked at places that depend on the input; each may be any cell of the axis."""
    x, places = op.values
    numbers = op.params["dimension_numbers"]
    picked = x.labels_on(dim)
    if picked and x.fold:
        x = materialize(op, x)
    pairs = zip(numbers.start_indices_batching_dims, numbers.operand_batching_dims, strict=True)
    batched = dict(pairs)
    each = [
        x.axes[batched[d]] if d in batched else axis_of(size, CHANNEL)
        for d, size in enumerate(places.shape[:-1])
    ]
    others, taken = iter(each), iter([x.axes[d] for d in kept])
    rank = len(op.shape)
    axes = tuple(next(taken) if d in numbers.offset_dims else next(others) for d in range(rank))
    rows = {label: (union(*x.rows_of(label)),) for label in picked}
    # A cell picked at the place of a maximum is the maximum.
    return x.with_rows(rows, axes=axes, fold=places.fold or x.fold)


HANDLERS: dict[str, Handler] = {"gather": gather}
