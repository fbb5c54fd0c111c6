"""Operations that pick cells at given places: known ones, as in resizing, and unknown ones."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

from jaxcnn.inspect.moves import sliced, spatial_axis
from jaxcnn.inspect.tracer import Rule, Tracer
from jaxcnn.inspect.values import CHANNEL, Value, axis_of, label_of, union


def gather(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``gather`` of single places along one axis."""
    x, places = values
    numbers, sizes = eqn.params["dimension_numbers"], eqn.params["slice_sizes"]
    if x.base is None or len(numbers.start_index_map) != 1:
        return tracer.opaque(eqn, values)
    (dim,), paired = numbers.start_index_map, numbers.operand_batching_dims
    kept = [d for d in range(len(x.axes)) if d != dim and d not in paired]
    if numbers.collapsed_slice_dims != (dim,) or any(sizes[d] != x.shape[d] for d in kept):
        return tracer.opaque(eqn, values)
    found = places.known.numbers if places.known is not None else None
    if found is None or paired or len(places.axes) != 2:
        return [_picked(tracer, eqn, x, places, dim, kept)]
    x = spatial_axis(tracer, eqn, x, dim)
    label = label_of(x.axes[dim])
    count = prod(places.shape)
    if isinstance(label, int):
        if x.fold == "resize" and x.rows[label] is not None:
            x = tracer.settle(x, eqn)
        rows = tuple(x.rows_of(label)[place] for place in found[:, 0])
        x = x.with_rows({label: rows}, fold="resize" if count > x.shape[dim] else x.fold)
    taken = iter([x.axes[d] for d in kept])
    axes = [
        next(taken) if d in numbers.offset_dims else axis_of(count, label)
        for d in range(len(x.axes))
    ]
    return [replace(x, axes=tuple(axes))]


def _picked(tracer: Tracer, eqn: Any, x: Value, places: Value, dim: int, kept: list[int]) -> Value:
    """What is picked at places that depend on the input: it may be any cell of the axis."""
    numbers = eqn.params["dimension_numbers"]
    gone = x.labels_on(dim)
    if gone and x.fold:
        x = tracer.settle(x, eqn)
    pairs = zip(numbers.start_indices_batching_dims, numbers.operand_batching_dims, strict=True)
    paired = dict(pairs)
    each = [
        x.axes[paired[d]] if d in paired else axis_of(size, CHANNEL)
        for d, size in enumerate(places.shape[:-1])
    ]
    others, taken = iter(each), iter([x.axes[d] for d in kept])
    rank = len(eqn.outvars[0].aval.shape)
    axes = tuple(next(taken) if d in numbers.offset_dims else next(others) for d in range(rank))
    # Picked by where a maximum lies, it is the maximum.
    fold = places.fold or x.fold
    return x.with_rows({label: (union(*x.rows_of(label)),) for label in gone}, axes=axes, fold=fold)


def dynamic_slice(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``dynamic_slice``: a slice where it is known from where, else any part there is."""
    x, *starts = values
    if x.base is None:
        return tracer.opaque(eqn, values)
    sizes, places = eqn.params["slice_sizes"], []
    for dim, (size, start) in enumerate(zip(sizes, starts, strict=True)):
        known = start.known.numbers if start.known is not None else None
        if size == x.shape[dim]:
            places.append(slice(None))
        elif known is None:
            return tracer.opaque(eqn, values)
        else:
            first = min(max(int(known), 0), x.shape[dim] - size)
            places.append(slice(first, first + size, 1))
    return [sliced(tracer, eqn, x, places)]


RULES: dict[str, Rule] = {"gather": gather, "dynamic_slice": dynamic_slice}
