"""Operations that move cells without computing: reshapes, slices, paddings."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

from jaxcnn.geometry.axis_maps import OUTSIDE, StridedAxis
from jaxcnn.inspect.elementwise import joined_along, matched
from jaxcnn.inspect.equations import Recipe
from jaxcnn.inspect.tracer import Rule, Tracer
from jaxcnn.inspect.values import (
    BATCH,
    CHANNEL,
    Rows,
    Value,
    axis_of,
    label_of,
    padded,
    replaced,
    reshaped,
    spread,
    union,
)


def same(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """Operations that say something about arrays and leave them alone."""
    return values


def reshape(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``reshape``."""
    x, shape = values[0], eqn.outvars[0].aval.shape
    found = reshaped(x, shape)
    if found is not None and found.rows != x.rows and any(map(x.folded, range(len(x.rows)))):
        found = reshaped(tracer.settle(x, eqn), shape)  # a pool is complete before cells are dealt
    return [found] if found is not None else tracer.opaque(eqn, values[:1])


def squeeze(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``squeeze``: axes of one place left out."""
    gone = eqn.params["dimensions"]
    axes = tuple(axis for dim, axis in enumerate(values[0].axes) if dim not in gone)
    return [replace(values[0], axes=axes)]


def transpose(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``transpose``."""
    axes = tuple(values[0].axes[dim] for dim in eqn.params["permutation"])
    return [replace(values[0], axes=axes)]


def broadcast(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``broadcast_in_dim``: new axes, and axes of one place stretched."""
    x, shape = values[0], eqn.params["shape"]
    axes = [axis_of(size, None) for size in shape]
    for dim, to in enumerate(eqn.params["broadcast_dimensions"]):
        if x.shape[dim] == shape[to]:
            axes[to] = x.axes[dim]
    return [replace(x, axes=tuple(axes))]


def tile(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``tile``: axes repeated end to end."""
    x, times = values[0], eqn.params["reps"]
    axes = (axis_of(n, None) + axis for n, axis in zip(times, x.axes, strict=True))
    return [replace(x, axes=tuple(axes), biased=None)]


def stack(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``stack``: arrays side by side along a new axis."""
    x, axis = joined_along(tracer, eqn, values), eqn.params["axis"]
    new = axis_of(len(values), CHANNEL if len(values) > 1 else None)
    return [replace(x, axes=(*x.axes[:axis], new, *x.axes[axis:]))]


def cut(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``slice``."""
    params, x = eqn.params, values[0]
    strides = params["strides"] or (1,) * len(x.axes)
    places = zip(params["start_indices"], params["limit_indices"], strides, strict=True)
    return [sliced(tracer, eqn, x, [slice(*place) for place in places])]


def split(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``split``: several slices along one axis."""
    x, parts, start = values[0], [], 0
    for size in eqn.params["sizes"]:
        places = [slice(None)] * len(x.axes)
        places[eqn.params["axis"]] = slice(start, start + size, 1)
        parts.append(sliced(tracer, eqn, x, places))
        start += size
    return parts


def sliced(tracer: Tracer, eqn: Any, x: Value, places: list[slice]) -> Value:
    """The slice of x that takes these places of each axis."""
    for dim, place in enumerate(places):
        size = x.shape[dim]
        taken = range(*place.indices(size))
        if taken == range(size):
            continue
        x = spatial_axis(tracer, eqn, x, dim)
        label = label_of(x.axes[dim])
        if isinstance(label, int):
            rows = x.rows_of(label)[place]
            x = x.with_rows({label: rows}, axes=replaced(x.axes, dim, axis_of(len(rows), label)))
            continue
        kept = label if label in (BATCH, CHANNEL) else CHANNEL
        x = replace(x, axes=replaced(x.axes, dim, axis_of(len(taken), kept)))
    return x


def spatial_axis(tracer: Tracer, eqn: Any, x: Value, dim: int) -> Value:
    """x with an axis ready for a change of rows: pools and repetitions are complete by now."""
    x = tracer.along_one(x, eqn, dim)
    label = label_of(x.axes[dim])
    if isinstance(label, int) and (x.folded(label) or _repeats(x.rows_of(label))):
        x = tracer.settle(x, eqn)
    return x


def _repeats(rows: Rows) -> bool:
    return any(one == other != (OUTSIDE,) for one, other in pairwise(rows))


def pad(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``pad``, with zeros between cells too."""
    x = values[0]
    if x.base is None:
        return tracer.opaque(eqn, values)
    for dim, (low, high, between) in enumerate(eqn.params["padding_config"]):
        if not (low or high or between):
            continue
        x = spatial_axis(tracer, eqn, x, dim)
        label = label_of(x.axes[dim])
        size = eqn.outvars[0].aval.shape[dim]
        if isinstance(label, int):
            rows = spread(x.rows_of(label), between + 1) if between else x.rows_of(label)
            rows = padded(rows, x.map.sizes[label], low, high)
            x = x.with_rows({label: rows})
        x = replace(x, axes=replaced(x.axes, dim, axis_of(size, label)), biased=None)
    return [x]


def reverse(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``rev``."""
    x = values[0]
    for dim in eqn.params["dimensions"]:
        x = spatial_axis(tracer, eqn, x, dim)
        label = label_of(x.axes[dim])
        if isinstance(label, int):
            x = x.with_rows({label: x.rows_of(label)[::-1]})
    return [x]


def cut_at(tracer: Tracer, eqn: Any, x: Value, place: int) -> Value:
    """One place of the first axis, without that axis."""
    if x.base is None:
        numbers = x.known.numbers if x.known is not None else None
        known = None if numbers is None else Recipe(numbers[place])
        return replace(x, axes=x.axes[1:], known=known)
    x = sliced(tracer, eqn, x, [slice(place, place + 1, 1), *[slice(None)] * (len(x.axes) - 1)])
    return replace(x, axes=x.axes[1:])


def stacked(tracer: Tracer, eqn: Any, values: list[Value], label: int | None) -> Value:
    """Arrays one after the other along a new first axis: the spatial axis ``label``, if any."""
    if all(value.base is None for value in values):
        weights = frozenset().union(*(value.weights for value in values))
        return Value((axis_of(len(values), CHANNEL), *values[0].axes), weights=weights)
    ended = all(v.base is None or (label is not None and v.sizes[label] == 1) for v in values)
    axis = axis_of(1, label if ended else CHANNEL)
    values = [replace(value, axes=(axis, *value.axes)) for value in values]
    return _concatenated(tracer, eqn, values, 0, len(values))[0]


def concatenate(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``concatenate``: channels side by side, or an axis made longer."""
    dim = eqn.params["dimension"]
    return _concatenated(tracer, eqn, values, dim, eqn.outvars[0].aval.shape[dim])


def _concatenated(
    tracer: Tracer, eqn: Any, values: list[Value], dim: int, size: int
) -> list[Value]:
    values = [v for v in values if v.shape[dim]]
    if len(values) == 1:
        return values
    found = [v.labels_on(dim) for v in values if v.base is not None]
    labels = frozenset().union(*found)
    if not all(found):  # beside channels an axis of the input can only be its channels
        values = [_as_channels(v, dim) if v.base is not None else v for v in values]
        labels = frozenset()
    if not labels:
        x = joined_along(tracer, eqn, values)
        kept = BATCH if label_of(x.axes[dim]) == BATCH else CHANNEL
        return [replace(x, axes=replaced(x.axes, dim, axis_of(size, kept)))]
    (label,) = labels if len(labels) == 1 else (None,)
    values = [spatial_axis(tracer, eqn, v, dim) if v.base is not None else v for v in values]
    moving = [v for v in values if v.base is not None]
    first = moving[0]
    others = [axis for axis in range(len(first.rows)) if axis != label]
    if label is None or not all(
        v.base is first.base and all(v.rows_of(a) == first.rows_of(a) for a in others)
        for v in moving
    ):
        return _end_to_end(tracer, eqn, values, dim, label, size)
    rows: Rows = ()
    for v in values:
        places = v.shape[dim]
        rows += ((OUTSIDE,),) * places if v.base is None else _along(v, label, places)
    x = first.with_rows({label: _zeros_numbered(rows, first.map.sizes[label])})
    return [replace(x, axes=replaced(x.axes, dim, axis_of(size, label)))]


def _as_channels(value: Value, dim: int) -> Value:
    rows = {label: (union(*value.rows_of(label)),) for label in value.labels_on(dim)}
    axes = replaced(value.axes, dim, axis_of(value.shape[dim], CHANNEL))
    return value.with_rows(rows, axes=axes) if rows else value


def _along(value: Value, label: int, places: int) -> Rows:
    rows = value.rows_of(label)
    return rows if len(rows) == places else rows * places


def _zeros_numbered(rows: Rows, size: int) -> Rows:
    """The rows with constants before and after counted as padding."""
    real = [place for place, row in enumerate(rows) if row != (OUTSIDE,)]
    first, last = real[0], real[-1] + 1
    return padded(rows[first:last], size, first, len(rows) - last)


def _end_to_end(
    tracer: Tracer, eqn: Any, values: list[Value], dim: int, label: int | None, total: int
) -> list[Value]:
    """Maps of different layers set end to end along a spatial axis."""
    start, placed = 0, []
    if label is None or any(v.base is not None and label not in v.labels for v in values):
        return tracer.opaque(eqn, values)
    settled = [v if v.base is None else tracer.settle(v, eqn) for v in values]
    if any(v.base is not None and v.sizes[label] != v.shape[dim] for v in settled):
        return tracer.opaque(eqn, values)  # the rest of that axis lies along another one
    for v in settled:
        size = v.shape[dim]
        if v.base is not None:
            layout: list[StridedAxis | None] = [None] * len(v.map.sizes)
            layout[label] = StridedAxis(size, total, low=start, high=total - size - start)
            axes = replaced(v.axes, dim, axis_of(total, label))
            placed.append(replace(v, axes=axes, base=v.map.apply(*layout)))
        start += size
    return [replace(tracer.join(matched(tracer, eqn, placed), eqn), biased=None)]


RULES: dict[str, Rule] = {
    "optimization_barrier": same,
    "sharding_constraint": same,
    "reshape": reshape,
    "squeeze": squeeze,
    "transpose": transpose,
    "broadcast_in_dim": broadcast,
    "slice": cut,
    "tile": tile,
    "stack": stack,
    "split": split,
    "pad": pad,
    "rev": reverse,
    "concatenate": concatenate,
}
