"""Primitives that move cells without computing: reshapes, transposes, slices, paddings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jaxcnn.inspect.equations import Recipe
from jaxcnn.inspect.joining import movable_axis, unknown_outputs
from jaxcnn.inspect.materialize import materialize
from jaxcnn.inspect.rows import dilate_rows, pad_rows
from jaxcnn.inspect.values import BATCH, CHANNEL, Value, axis_of, replace_axis, reshaped

if TYPE_CHECKING:
    from jaxcnn.inspect.operation import Handler, Operation


def identity(op: Operation) -> list[Value]:
    """Primitives that annotate arrays without changing them."""
    return op.values


def reshape(op: Operation) -> list[Value]:
    """``reshape``."""
    x = op.values[0]
    found = reshaped(x, op.shape)
    pools = any(map(x.reads_several, range(len(x.rows))))
    if found is not None and found.rows != x.rows and pools:
        found = reshaped(materialize(op, x), op.shape)  # first the pool, then the reshape
    return [found] if found is not None else unknown_outputs(op, [x])


def squeeze(op: Operation) -> list[Value]:
    """``squeeze``: removes axes of size 1."""
    x, removed = op.values[0], op.params["dimensions"]
    return [replace(x, axes=tuple(axis for dim, axis in enumerate(x.axes) if dim not in removed))]


def transpose(op: Operation) -> list[Value]:
    """``transpose``."""
    x = op.values[0]
    return [replace(x, axes=tuple(x.axes[dim] for dim in op.params["permutation"]))]


def broadcast(op: Operation) -> list[Value]:
    """``broadcast_in_dim``: adds axes, and stretches axes of size 1."""
    x, shape = op.values[0], op.params["shape"]
    axes = [axis_of(size, None) for size in shape]
    for dim, to in enumerate(op.params["broadcast_dimensions"]):
        if x.shape[dim] == shape[to]:
            axes[to] = x.axes[dim]
    return [replace(x, axes=tuple(axes))]


def tile(op: Operation) -> list[Value]:
    """``tile``: repeats axes end to end."""
    x, times = op.values[0], op.params["reps"]
    axes = (axis_of(n, None) + axis for n, axis in zip(times, x.axes, strict=True))
    return [replace(x, axes=tuple(axes), bias_layer=None)]


def static_slice(op: Operation) -> list[Value]:
    """``slice``."""
    params, x = op.params, op.values[0]
    strides = params["strides"] or (1,) * len(x.axes)
    places = zip(params["start_indices"], params["limit_indices"], strides, strict=True)
    return [take_slice(op, x, [slice(*place) for place in places])]


def split(op: Operation) -> list[Value]:
    """``split``: several slices along one axis."""
    x, parts, start = op.values[0], [], 0
    for size in op.params["sizes"]:
        places = [slice(None)] * len(x.axes)
        places[op.params["axis"]] = slice(start, start + size, 1)
        parts.append(take_slice(op, x, places))
        start += size
    return parts


def dynamic_slice(op: Operation) -> list[Value]:
    """``dynamic_slice``: a slice, if its start is known."""
    x, *starts = op.values
    if x.is_constant:
        return unknown_outputs(op)
    places = []
    for dim, (size, start) in enumerate(zip(op.params["slice_sizes"], starts, strict=True)):
        if size == x.shape[dim]:
            places.append(slice(None))
        elif start.numbers is None:
            return unknown_outputs(op)
        else:
            first = min(max(int(start.numbers), 0), x.shape[dim] - size)
            places.append(slice(first, first + size, 1))
    return [take_slice(op, x, places)]


def take_slice(op: Operation, x: Value, places: list[slice]) -> Value:
    """The slice of x that takes these places of each axis."""
    for dim, place in enumerate(places):
        size = x.shape[dim]
        taken = range(*place.indices(size))
        if taken == range(size):
            continue
        x = movable_axis(op, x, dim)
        label = x.label_of(dim)
        if isinstance(label, int):
            rows = x.rows_of(label)[place]
            x = x.with_rows(
                {label: rows}, axes=replace_axis(x.axes, dim, axis_of(len(rows), label))
            )
            continue
        kept = label if label in (BATCH, CHANNEL) else CHANNEL
        x = replace(x, axes=replace_axis(x.axes, dim, axis_of(len(taken), kept)))
    return x


def index_first_axis(op: Operation, x: Value, place: int) -> Value:
    """``x[place]``."""
    if x.is_constant:
        recipe = None if x.numbers is None else Recipe(x.numbers[place])
        return replace(x, axes=x.axes[1:], recipe=recipe)
    rest = [slice(None)] * (len(x.axes) - 1)
    x = take_slice(op, x, [slice(place, place + 1, 1), *rest])
    return replace(x, axes=x.axes[1:])


def pad(op: Operation) -> list[Value]:
    """``pad``: cells at the ends, and zeros between cells."""
    x = op.values[0]
    if x.is_constant:
        return unknown_outputs(op)
    for dim, (low, high, between) in enumerate(op.params["padding_config"]):
        if not (low or high or between):
            continue
        x = movable_axis(op, x, dim)
        label = x.label_of(dim)
        if isinstance(label, int):
            rows = dilate_rows(x.rows_of(label), between + 1) if between else x.rows_of(label)
            x = x.with_rows({label: pad_rows(rows, x.map.sizes[label], low, high)})
        x = replace(
            x, axes=replace_axis(x.axes, dim, axis_of(op.shape[dim], label)), bias_layer=None
        )
    return [x]


def reverse(op: Operation) -> list[Value]:
    """``rev``."""
    x = op.values[0]
    for dim in op.params["dimensions"]:
        x = movable_axis(op, x, dim)
        label = x.spatial_label(dim)
        if label is not None:
            x = x.with_rows({label: x.rows_of(label)[::-1]})
    return [x]


HANDLERS: dict[str, Handler] = {
    "optimization_barrier": identity,
    "sharding_constraint": identity,
    "reshape": reshape,
    "squeeze": squeeze,
    "transpose": transpose,
    "broadcast_in_dim": broadcast,
    "tile": tile,
    "slice": static_slice,
    "split": split,
    "dynamic_slice": dynamic_slice,
    "pad": pad,
    "rev": reverse,
}
