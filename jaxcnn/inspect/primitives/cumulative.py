"""Primitives whose places read other places of their own axis: running sums, sorts, FFTs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jaxcnn.inspect.joining import join, mark_unknown, movable_axis
from jaxcnn.inspect.materialize import materialize
from jaxcnn.inspect.rows import Rows, union

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jaxcnn.inspect.operation import Handler, Operation
    from jaxcnn.inspect.values import Value

LONGEST = 1024
"""Longer axes become unknown, because the cells that each place reads are too many to list."""


def cumulative(op: Operation) -> list[Value]:
    """``cumsum`` and similar: each place reads itself and all places before it, or after it."""
    (x,), step = op.values, -1 if op.params["reverse"] else 1

    def running(rows: Rows) -> Rows:
        found: list[tuple[int, ...]] = []
        for row in rows[::step]:
            found.append(union(*found[-1:], row))
        return tuple(found[::step])

    return [_with_rows_of(op, x, [op.params["axis"]], running)]


def sort(op: Operation) -> list[Value]:
    """``sort``: each place reads the whole axis of all arrays that are sorted together."""
    dim = op.params["dimension"]
    read = [v if v.is_constant else _with_rows_of(op, v, [dim], _all_cells) for v in op.values]
    dependent = [value for value in read if not value.is_constant]
    return [join(op, dependent)] * len(read) if len(dependent) > 1 else [dependent[0]] * len(read)


def fft(op: Operation) -> list[Value]:
    """``fft``: each place reads the whole of the last axes."""
    (x,), dims = op.values, range(-len(op.params["fft_lengths"]), 0)
    return [_with_rows_of(op, x, dims, _all_cells)]


def _all_cells(rows: Rows) -> Rows:
    return (union(*rows),) * len(rows)


def _with_rows_of(
    op: Operation, x: Value, dims: Iterable[int], change: Callable[[Rows], Rows]
) -> Value:
    """x with changed rows on the spatial axes of the given axes."""
    if x.fold:
        x = materialize(op, x)
    for dim in dims:
        if x.shape[dim] > LONGEST:
            return mark_unknown(op, x, f"{op.name} of more than {LONGEST} places is not supported")
        x = movable_axis(op, x, dim % len(x.axes))
        for label in x.labels_on(dim):
            x = x.with_rows({label: change(x.rows_of(label))})
    return replace(x, bias_layer=None, subtracted_mean=None, is_normalized=False)


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"), cumulative),
    "sort": sort,
    "fft": fft,
}
