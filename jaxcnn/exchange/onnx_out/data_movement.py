"""Primitives that arrange entries: reshape, transpose, slice, pad, concatenate and others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcnn.exchange.onnx_out.graph import END
from jaxcnn.exchange.onnx_out.reshape import reshaped
from jaxcnn.exchange.onnx_out.value import Value, carrier, constant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.exchange.onnx_out.operation import Operation


def transpose(op: Operation) -> Value:
    """``transpose``: no node, only another order of axes."""
    return transposed(op.values[0], op.params["permutation"])


def transposed(x: Value, permutation: Sequence[int]) -> Value:
    """The value whose axis i is axis ``permutation[i]`` of x."""
    permutation = tuple(map(int, permutation))
    shape, stored = (tuple(sizes[p] for p in permutation) for sizes in (x.shape, x.stored))
    if x.is_constant:
        return replace(x, shape=shape, stored=stored, array=np.transpose(x.array, permutation))
    return replace(x, shape=shape, stored=stored, axes=tuple(map(permutation.index, x.axes)))


def broadcast(op: Operation) -> Value:
    """``broadcast_in_dim``: new axes have size 1 in the tensor, after the others."""
    x, shape = op.values[0], op.shape
    into = tuple(map(int, op.params["broadcast_dimensions"]))
    stored = [1] * len(shape)
    for axis, size in zip(into, x.stored, strict=True):
        stored[axis] = size
    if x.is_constant:
        array = np.reshape(x.array, stored)
        axes = tuple(range(len(shape)))
        return replace(x, shape=shape, stored=tuple(stored), axes=axes, array=array)
    new = [axis for axis in range(len(shape)) if axis not in into]
    name = x.name
    if new:
        name = op.node("Unsqueeze", name, op.graph.ints(range(len(into), len(shape))))
    return op.result(name, (*(into[axis] for axis in x.axes), *new), tuple(stored))


def squeeze(op: Operation) -> Value:
    """``squeeze``."""
    return squeezed(op, op.values[0], op.params["dimensions"])


def squeezed(op: Operation, x: Value, dimensions: Sequence[int]) -> Value:
    """x without these axes of size 1."""
    kept = [axis for axis in range(len(x.shape)) if axis not in dimensions]
    shape, stored = (tuple(sizes[axis] for axis in kept) for sizes in (x.shape, x.stored))
    axes = tuple(kept.index(axis) for axis in x.axes if axis in kept)
    if x.is_constant:
        return replace(x, shape=shape, stored=stored, axes=axes, array=np.reshape(x.array, stored))
    places = op.graph.ints(sorted(x.axes.index(axis) for axis in dimensions))
    name = op.node("Squeeze", x.name, places) if dimensions else x.name
    return replace(x, shape=shape, stored=stored, axes=axes, name=name)


def reshape(op: Operation) -> Value:
    """``reshape``."""
    return reshaped(op, op.values[0], op.shape)


def static_slice(op: Operation) -> Value:
    """``slice``."""
    start, limit = op.params["start_indices"], op.params["limit_indices"]
    strides = op.params["strides"] or (1,) * len(start)
    return sliced(op, op.values[0], start, limit, strides)


def sliced(
    op: Operation, x: Value, starts: Sequence[Any], limits: Sequence[Any], strides: Sequence[int]
) -> Value:
    """The cells from each start to each limit, exclusive, in steps."""
    x = op.whole(x)
    axes = x.axes
    name, cuts = op.tensor(x, axes), []
    sizes = list(x.shape)
    for axis, (start, limit, stride) in enumerate(zip(starts, limits, strides, strict=True)):
        size = x.shape[axis]
        if isinstance(start, int) and start == 0 and limit == size and stride == 1:
            continue
        sizes[axis] = (limit - start + stride - 1) // stride
        end = END if limit == size else limit if isinstance(limit, int) else limit - size
        if not (isinstance(start, int) and isinstance(end, int)):
            op.refuse(f"cuts at {start} and {limit}, which depend on the batch size")
        cuts.append((axes.index(axis), start, end, stride))
    if cuts:
        where, start, end, stride = map(op.graph.ints, zip(*cuts, strict=True))
        name = op.node("Slice", name, start, end, where, stride)
    return Value(tuple(sizes), x.dtype, tuple(sizes), axes, name)


def dynamic_slice(op: Operation) -> Value:
    """``dynamic_slice`` with starts that are known."""
    x, *given = op.values
    taken = op.params["slice_sizes"]
    starts: list[int] = []
    for value, size, count in zip(given, x.shape, taken, strict=True):
        start = 0 if size == count else value.scalar
        if start is None:
            op.refuse("cuts where the input says")
        starts.append(inside(op, int(start), size - count))
    limits = [start + count for start, count in zip(starts, taken, strict=True)]
    return sliced(op, x, starts, limits, (1,) * len(starts))


def inside(op: Operation, start: int, most: Any) -> int:
    """The start, moved to a place from 0 to ``most``, as JAX does."""
    if isinstance(most, int):
        return min(max(start, 0), most)
    if start:
        op.refuse(f"cuts the batch at {start}, and it may have fewer examples")
    return start


def split(op: Operation) -> list[Value]:
    """``split``."""
    x, axis, sizes = op.whole(op.values[0]), op.params["axis"], op.params["sizes"]
    inputs = (op.tensor(x, x.axes), op.graph.ints(sizes))
    attributes = {"axis": x.axes.index(axis)}
    names = op.graph.nodes_of("Split", inputs, len(sizes), attributes)
    return [op.result(name, x.axes, output=i) for i, name in enumerate(names)]


def reverse(op: Operation) -> Value:
    """``rev``."""
    x, dimensions = op.whole(op.values[0]), op.params["dimensions"]
    each = [1] * len(dimensions)
    bounds = [[-1] * len(each), [-END] * len(each), map(x.axes.index, dimensions), [-1] * len(each)]
    return op.result(op.node("Slice", op.tensor(x, x.axes), *map(op.graph.ints, bounds)), x.axes)


def concatenate(op: Operation) -> Value:
    """``concatenate``, in the order of axes of the first input that is no constant."""
    values = [op.whole(value) for value in op.values]
    axes = next((v.axes for v in values if not v.is_constant), values[0].axes)
    names = [op.tensor(value, axes) for value in values]
    return op.result(op.node("Concat", *names, axis=axes.index(op.params["dimension"])), axes)


def stack(op: Operation) -> Value:
    """``stack``."""
    return stacked(op, op.values, op.params["axis"])


def stacked(op: Operation, values: Sequence[Value], axis: int) -> Value:
    """The values along a new axis."""
    before, after = values[0].shape[:axis], values[0].shape[axis:]
    rows = [op.whole(reshaped(op, value, (*before, 1, *after))) for value in values]
    axes = next((row.axes for row in rows if not row.is_constant), rows[0].axes)
    name = op.node("Concat", *(op.tensor(row, axes) for row in rows), axis=axes.index(axis))
    shape = (*before, len(values), *after)
    return Value(shape, values[0].dtype, shape, axes, name)


def pad(op: Operation) -> Value:
    """``pad``: cells between cells, cells at the ends, then cells cut off at the ends."""
    x, fill = op.values
    config = [(int(low), int(high), int(step)) for low, high, step in op.params["padding_config"]]
    if fill.scalar is None:
        op.refuse("fills with a number that depends on the input")
    return padded(op, x, config, fill.scalar)


def padded(op: Operation, x: Value, config: Sequence[tuple[int, int, int]], fill: Any) -> Value:
    """x with (before, after, between) cells of the number ``fill`` on each axis."""
    x = op.whole(x)
    for axis, (_, _, between) in enumerate(config):
        if between:
            x = _dilated(op, x, axis, between + 1, fill)
    ends = [(max(low, 0), max(high, 0)) for low, high, _ in config]
    x = _extended(op, x, ends, fill)
    starts = [max(-low, 0) for low, _, _ in config]
    limits = [
        size - max(-high, 0) if high < 0 else size
        for size, (_, high, _) in zip(x.shape, config, strict=True)
    ]
    return sliced(op, x, starts, limits, (1,) * len(starts))


def _extended(op: Operation, x: Value, ends: Sequence[tuple[int, int]], fill: Any) -> Value:
    if not any(map(any, ends)):
        return op.arranged(x, x.axes)
    before, after = ([ends[axis][i] for axis in x.axes] for i in (0, 1))
    inputs = (op.graph.ints([*before, *after]), op.graph.array(np.asarray(fill, carrier(x.dtype))))
    name = op.node("Pad", op.tensor(x, x.axes), *inputs)
    shape = tuple(size + low + high for size, (low, high) in zip(x.shape, ends, strict=True))
    return Value(shape, x.dtype, shape, x.axes, name)


def _dilated(op: Operation, x: Value, axis: int, step: int, fill: Any) -> Value:
    """x with ``step - 1`` cells between neighbours: each cell gets an axis of its own."""
    size, at = x.shape[axis], axis + 1
    x = reshaped(op, x, (*x.shape[:at], 1, *x.shape[at:]))
    x = _extended(op, x, [(0, step - 1 if a == at else 0) for a in range(len(x.shape))], fill)
    x = reshaped(op, x, (*x.shape[:axis], size * step, *x.shape[at + 1 :]))
    limits = [n - (step - 1 if a == axis else 0) for a, n in enumerate(x.shape)]
    return sliced(op, x, (0,) * len(limits), limits, (1,) * len(limits))


def tile(op: Operation) -> Value:
    """``tile``."""
    x, counts = op.whole(op.values[0]), op.params["reps"]
    counts = op.graph.ints(counts[axis] for axis in x.axes)
    return op.result(op.node("Tile", op.tensor(x, x.axes), counts), x.axes)


def iota(op: Operation) -> Value:
    """``iota``: a constant that repeats along all axes but one."""
    axis, size = op.params["dimension"], op.shape[op.params["dimension"]]
    if not isinstance(size, int):
        op.refuse("counts along the batch, whose size the file leaves open")
    stored = tuple(size if dim == axis else 1 for dim in range(len(op.shape)))
    return constant(np.arange(size, dtype=op.dtype).reshape(stored), "", op.shape)


def dimension(op: Operation) -> Value:
    """``dim_as_value``: a size that depends on the batch, as a number."""
    size = op.node("Squeeze", op.graph.sizes([op.params["dim"]]), op.graph.ints([0]))
    return op.result(op.cast(size, np.dtype("int64"), op.dtype))


RULES = {
    "broadcast_in_dim": broadcast,
    "concatenate": concatenate,
    "dim_as_value": dimension,
    "dynamic_slice": dynamic_slice,
    "iota": iota,
    "pad": pad,
    "reshape": reshape,
    "rev": reverse,
    "slice": static_slice,
    "split": split,
    "squeeze": squeeze,
    "stack": stack,
    "tile": tile,
    "transpose": transpose,
}
