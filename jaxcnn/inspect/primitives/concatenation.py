"""Primitives that concatenate arrays: as channels, along a new axis, or end to end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jaxcnn.geometry.axis_maps import OUTSIDE, StridedAxis
from jaxcnn.inspect.joining import align_axes, join, match_axes, movable_axis, unknown_outputs
from jaxcnn.inspect.materialize import apply_along, materialize
from jaxcnn.inspect.primitives.elementwise import are_slices_of_one_map
from jaxcnn.inspect.rows import Rows, pad_rows, union
from jaxcnn.inspect.values import BATCH, CHANNEL, Value, axis_of, combine_slices, replace_axis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.inspect.operation import Handler, Operation


def stack(op: Operation) -> list[Value]:
    """``stack``: joins arrays along a new axis."""
    x, axis = _as_channels_of_one(op, op.values), op.params["axis"]
    new = axis_of(len(op.values), CHANNEL if len(op.values) > 1 else None)
    return [replace(x, axes=(*x.axes[:axis], new, *x.axes[axis:]))]


def concatenate(op: Operation) -> list[Value]:
    """``concatenate``: joins channels, or extends a spatial axis."""
    dim = op.params["dimension"]
    return _concatenated(op, op.values, dim, op.shape[dim])


def stack_first_axis(op: Operation, values: Sequence[Value], label: int | None) -> Value:
    """The outputs of a loop along a new first axis, which is the spatial axis ``label``, if any."""
    if all(value.is_constant for value in values):
        weights = frozenset().union(*(value.weights for value in values))
        return Value((axis_of(len(values), CHANNEL), *values[0].axes), weights=weights)
    spatial = label is not None and all(v.is_constant or v.sizes[label] == 1 for v in values)
    axis = axis_of(1, label if spatial else CHANNEL)
    values = [replace(value, axes=(axis, *value.axes)) for value in values]
    return _concatenated(op, values, 0, len(values))[0]


def _concatenated(op: Operation, values: Sequence[Value], dim: int, size: int) -> list[Value]:
    values = [v for v in values if v.shape[dim]]
    if len(values) == 1:
        return values
    found = [v.labels_on(dim) for v in values if not v.is_constant]
    labels = frozenset().union(*found)
    if not all(found):  # a spatial axis next to channels becomes channels
        values = [v if v.is_constant else _spatial_as_channels(v, dim) for v in values]
        labels = frozenset()
    if not labels:
        x = _as_channels_of_one(op, values)
        kept = BATCH if x.label_of(dim) == BATCH else CHANNEL
        return [replace(x, axes=replace_axis(x.axes, dim, axis_of(size, kept)))]
    (label,) = labels if len(labels) == 1 else (None,)
    values = [v if v.is_constant else movable_axis(op, v, dim) for v in values]
    dependent = [v for v in values if not v.is_constant]
    first = dependent[0]
    others = [axis for axis in range(len(first.rows)) if axis != label]
    if label is None or not all(
        v.base is first.base and all(v.rows_of(a) == first.rows_of(a) for a in others)
        for v in dependent
    ):
        return _end_to_end(op, values, dim, label, size)
    rows: Rows = ()
    for v in values:
        places = v.shape[dim]
        rows += ((OUTSIDE,),) * places if v.is_constant else _rows_along(v, label, places)
    x = first.with_rows({label: _with_padding_numbered(rows, first.map.sizes[label])})
    return [replace(x, axes=replace_axis(x.axes, dim, axis_of(size, label)))]


def _as_channels_of_one(op: Operation, values: Sequence[Value]) -> Value:
    """One value with the values joined along an axis that is not spatial."""
    values = match_axes(op, [value for value in values if not value.is_constant])
    first = values[0]
    if all(value.reads_same(first) for value in values):
        return replace(first, bias_layer=None, subtracted_mean=None)
    values = align_axes(op, values)
    if are_slices_of_one_map(values) and not any(value.fold for value in values):
        return combine_slices(values, bias_layer=None, subtracted_mean=None)
    return replace(join(op, values), bias_layer=None)


def _spatial_as_channels(value: Value, dim: int) -> Value:
    rows = {label: (union(*value.rows_of(label)),) for label in value.labels_on(dim)}
    axes = replace_axis(value.axes, dim, axis_of(value.shape[dim], CHANNEL))
    return value.with_rows(rows, axes=axes) if rows else value


def _rows_along(value: Value, label: int, places: int) -> Rows:
    rows = value.rows_of(label)
    return rows if len(rows) == places else rows * places


def _with_padding_numbered(rows: Rows, size: int) -> Rows:
    """The rows, where constants before and after the cells are numbered as padding."""
    real = [place for place, row in enumerate(rows) if row != (OUTSIDE,)]
    first, last = real[0], real[-1] + 1
    return pad_rows(rows[first:last], size, first, len(rows) - last)


def _end_to_end(
    op: Operation, values: list[Value], dim: int, label: int | None, total: int
) -> list[Value]:
    """The maps of different layers, joined end to end along a spatial axis."""
    start, placed = 0, []
    if label is None or any(not v.is_constant and label not in v.labels for v in values):
        return unknown_outputs(op, values)
    values = [v if v.is_constant else materialize(op, v) for v in values]
    if any(not v.is_constant and v.sizes[label] != v.shape[dim] for v in values):
        return unknown_outputs(op, values)  # the rest of the spatial axis is on another axis
    for v in values:
        size = v.shape[dim]
        if not v.is_constant:
            within = StridedAxis(size, total, low=start, high=total - size - start)
            axes = replace_axis(v.axes, dim, axis_of(total, label))
            placed.append(replace(v, axes=axes, base=apply_along(v, {label: within})))
        start += size
    return [replace(join(op, match_axes(op, placed)), bias_layer=None)]


HANDLERS: dict[str, Handler] = {"stack": stack, "concatenate": concatenate}
