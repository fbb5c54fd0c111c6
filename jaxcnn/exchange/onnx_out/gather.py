"""Gathers and scatters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import GatherScatterMode

from jaxcnn.exchange.onnx_out.data_movement import inside, sliced, squeezed, transposed
from jaxcnn.exchange.onnx_out.value import Value, constant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jaxcnn.exchange.onnx_out.operation import Operation

_INT64 = np.dtype("int64")


def gather(op: Operation) -> Value:
    """``gather``: Gather along one axis, GatherND along several, or a slice."""
    x, indices = op.values
    numbers, sizes = op.params["dimension_numbers"], op.params["slice_sizes"]
    if len(indices.shape) == 1 and indices.is_constant:
        return _slice(op)
    taken, cut = list(numbers.start_index_map), numbers.collapsed_slice_dims
    if indices.is_constant:
        x, indices, taken = _cut(op, x, indices, taken)
    with_batch = numbers.operand_batching_dims
    rest = [axis for axis in range(len(x.shape)) if axis not in (*taken, *with_batch)]
    if sorted(taken) != sorted(cut) or any(sizes[axis] != x.shape[axis] for axis in rest):
        op.refuse("takes slices where the input says")
    bounds = [x.shape[axis] - 1 for axis in taken]
    if not all(isinstance(bound, int) for bound in bounds):
        op.refuse("takes entries along the batch, whose size the file leaves open")
    # Axes of the result: those of the indices, and those of x that are taken whole.
    at = [axis for axis in range(len(op.shape)) if axis not in numbers.offset_dims]
    indices, valid = _bounded(op, indices, bounds)
    if len(taken) == 1 and not with_batch:
        (axis,) = taken
        x = op.whole(x)
        place = x.axes.index(axis)
        name = op.node("Gather", op.tensor(x, x.axes), _without_last(op, indices), axis=place)
        whole = dict(zip(rest, numbers.offset_dims, strict=True))
        axes = [at if each == axis else [whole[each]] for each in x.axes]
        found = op.result(name, [each for group in axes for each in group])
    else:
        ordered = numbers.start_indices_batching_dims
        last = len(indices.shape) - 1
        others = [axis for axis in range(last) if axis not in ordered]
        x = op.whole(transposed(x, (*with_batch, *taken, *rest)))
        places = op.whole(transposed(indices, (*ordered, *others, last)))
        name = op.node("GatherND", op.tensor(x), op.tensor(places), batch_dims=len(ordered))
        axes = [at[axis] for axis in (*ordered, *others)] + list(numbers.offset_dims)
        found = op.result(name, axes)
    return found if valid is None else _filled(op, found, valid, at)


def _without_last(op: Operation, indices: Value) -> str:
    """The tensor of indices (..., 1) without its last axis."""
    return op.tensor(op.whole(squeezed(op, indices, (len(indices.shape) - 1,))))


def _slice(op: Operation) -> Value:
    """A gather at one known place: a slice."""
    x, indices = op.values
    numbers = op.params["dimension_numbers"]
    starts = zip(numbers.start_index_map, op.whole(indices).array, strict=True)
    return squeezed(op, _slices(op, x, dict(starts)), numbers.collapsed_slice_dims)


def _cut(
    op: Operation, x: Value, indices: Value, taken: list[int]
) -> tuple[Value, Value, list[int]]:
    """x with the slices whose start is the same for all indices, and what is left to take."""
    columns = np.asarray(op.whole(indices).array)
    cut = op.params["dimension_numbers"].collapsed_slice_dims
    starts, left = {}, []
    for number, axis in enumerate(taken):
        column = columns[..., number]
        if axis not in cut and (column == column.flat[0]).all():
            starts[axis] = column.flat[0]
        else:
            left.append(number)
    x = _slices(op, x, starts) if starts else x
    return x, constant(columns[..., left]), [taken[number] for number in left]


def _slices(op: Operation, x: Value, starts: Mapping[int, Any]) -> Value:
    """The slice from these starts, as large as ``slice_sizes`` on their axes."""
    first, limits = [0] * len(x.shape), list(x.shape)
    for axis, start in starts.items():
        size = op.params["slice_sizes"][axis]
        first[axis] = inside(op, int(start), x.shape[axis] - size)
        if first[axis] != start and op.params["mode"] == GatherScatterMode.FILL_OR_DROP:
            op.refuse("takes entries outside of the array")
        limits[axis] = first[axis] + size
    return sliced(op, x, first, limits, (1,) * len(first))


def _bounded(op: Operation, indices: Value, bounds: list[int]) -> tuple[Value, Value | None]:
    """Indices (..., k) as int64 within the bounds; and which were, if the others matter."""
    fills = op.params["mode"] == GatherScatterMode.FILL_OR_DROP
    most = np.array(bounds, np.int64)
    if indices.is_constant:
        given = np.asarray(op.whole(indices).array).astype(np.int64)
        inside = ((given >= 0) & (given <= most)).all(-1)
        found = constant(given.clip(0, most))
        return found, None if not fills or inside.all() else constant(inside)

    def program(indices: jax.Array) -> tuple[jax.Array, jax.Array]:
        held = np.minimum(bounds, np.iinfo(indices.dtype).max)
        most = jnp.array(held, indices.dtype).reshape(*(1,) * (indices.ndim - 1), -1)
        within = (indices >= 0) & (indices <= most)
        return jnp.minimum(jnp.maximum(indices, 0), most), within.all(-1)

    clipped, inside = _traced(op, program, indices)
    name = op.cast(clipped.name, clipped.dtype, _INT64)
    found = Value(clipped.shape, _INT64, clipped.stored, clipped.axes, name)
    return found, inside if fills else None


def _traced(op: Operation, program: Callable[..., Any], *values: Value) -> list[Value]:
    """The outputs of a function of JAX for these values."""
    types = [jax.ShapeDtypeStruct(value.shape, value.dtype) for value in values]
    found = jax.make_jaxpr(program)(*types)
    return op.run(found.jaxpr, found.consts, list(values))


def _missing(dtype: np.dtype) -> float | bool:
    """What JAX gives for an entry that is not there."""
    if jnp.issubdtype(dtype, jnp.floating):
        return np.nan
    if dtype.kind == "b":
        return True
    return np.iinfo(dtype).min if dtype.kind == "i" else np.iinfo(dtype).max


def _filled(op: Operation, found: Value, inside: Value, at: list[int]) -> Value:
    """The gathered entries, where the index was inside, else the fill value."""
    fill = op.params["fill_value"]
    if fill is None:
        fill = _missing(op.dtype)

    def program(found: jax.Array, inside: jax.Array) -> jax.Array:
        shown = jax.lax.broadcast_in_dim(inside, found.shape, at)
        return jax.lax.select(shown, found, jax.lax.full_like(found, fill))

    return _traced(op, program, found, inside)[0]


def scatter(op: Operation) -> Value:
    """``scatter``, ``scatter_add``, ``scatter_max`` and others, along one axis.

    Each entry of the updates has a place of its own along that axis, as in
    ``jnp.take_along_axis``. Places outside are those of one more cell, which is cut off again.
    """
    x, indices, updates = map(op.whole, op.values)
    numbers = op.params["dimension_numbers"]
    axes = numbers.scatter_dims_to_operand_dims
    others = tuple(axis for axis in range(len(x.shape)) if axis not in axes)
    aligned = numbers.operand_batching_dims == numbers.scatter_indices_batching_dims == others
    last = len(x.shape) - 1
    if len(axes) != 1 or not aligned or axes != (last,) or numbers.update_window_dims:
        op.refuse("has no rule for ONNX in this form")
    size = x.shape[last]

    def program(x: jax.Array, indices: jax.Array) -> tuple[jax.Array, jax.Array]:
        within = (indices >= 0) & (indices < size)
        places = jax.lax.select(within, indices, jax.lax.full_like(indices, size))
        more = [(0, 0, 0)] * last + [(0, 1, 0)]
        return jax.lax.pad(x, np.zeros((), x.dtype), more), places[..., 0]

    longer, places = _traced(op, program, x, indices)
    kind = {"scatter": "none"}.get(op.name, op.name.replace("-", "_").rpartition("_")[2])
    name = op.node(
        "ScatterElements",
        op.tensor(op.whole(longer)),
        op.cast(op.tensor(op.whole(places)), places.dtype, _INT64),
        op.tensor(updates),
        axis=last,
        reduction=kind,
    )
    found = Value(longer.shape, x.dtype, longer.shape, tuple(range(last + 1)), name)
    return sliced(op, found, (0,) * (last + 1), x.shape, (1,) * (last + 1))


RULES = {
    "gather": gather,
    **dict.fromkeys(
        ("scatter", "scatter-add", "scatter-max", "scatter-min", "scatter-mul"), scatter
    ),
}
