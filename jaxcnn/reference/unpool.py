"""Max pooling that remembers where, and its way back, as their definitions read."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxcnn.errors import error_prefix
from jaxcnn.geometry import Padding
from jaxcnn.keywords import suggest_keywords
from jaxcnn.reference.taps import overhang, pad, taps
from jaxcnn.shapes import pool_shapes, unpool_shapes
from jaxcnn.shapes.arrays import as_arrays, require_ordered, widened
from jaxcnn.shapes.checks import require_index_kind


@suggest_keywords
def max_pool_with_indices(
    x: jax.Array,
    kernel_size: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
) -> tuple[jax.Array, jax.Array]:
    """The largest real cell under each window and its number; a number of -1 marks padding.

    Shapes, arguments and errors are those of :func:`jaxcnn.max_pool_with_indices`, its fast twin.

    >>> import jax.numpy as jnp
    >>> max_pool_with_indices(jnp.array([[1.0], [3.0], [2.0], [0.0]]), (2,))[1][:, 0]
    Array([1, 2], dtype=int32)
    """
    with error_prefix("max_pool_with_indices"):
        (x,) = as_arrays(x=x)
        require_ordered(x)
        shapes = pool_shapes(
            x.shape,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            rounding=rounding,
        )
    dtype, x = x.dtype, widened(x)
    batched = x if shapes.batch is not None else x[None]
    laid = shapes.windows
    spatial = batched.shape[1:-1]
    numbers = jnp.arange(math.prod(spatial), dtype=jnp.int32).reshape(1, *spatial, 1)
    numbers = jnp.broadcast_to(numbers, batched.shape)
    cells_of = overhang(pad(batched, laid), laid)
    numbers_of = overhang(pad(numbers, laid, -1), laid, -1)
    pairs = zip(taps(cells_of, laid), taps(numbers_of, laid), strict=True)
    (_, best), (_, at) = next(pairs)
    for (_, cells), (_, number) in pairs:
        wins = (number >= 0) & ((at < 0) | (cells > best) | jnp.isnan(cells))
        best, at = jnp.where(wins, cells, best), jnp.where(wins, number, at)
    best = best.astype(dtype)
    return (best, at) if shapes.batch is not None else (best[0], at[0])


@suggest_keywords
def max_unpool(
    values: jax.Array, indices: jax.Array, *, output_size: int | Sequence[int]
) -> jax.Array:
    """Each value in its turn is written into the cell whose number its index is.

    Shapes, arguments and errors are those of :func:`jaxcnn.max_unpool`, its fast twin.

    >>> import jax.numpy as jnp
    >>> max_unpool(jnp.array([[3.0], [5.0]]), jnp.array([[1], [2]]), output_size=(4,))[:, 0]
    Array([0., 3., 5., 0.], dtype=float32)
    """
    with error_prefix("max_unpool"):
        (values,) = as_arrays(values=values)
        (indices,) = as_arrays(indices=indices)
        require_index_kind(indices.dtype)
        shapes = unpool_shapes(values.shape, indices.shape, output_size)
    examples = 1 if shapes.batch is None else shapes.batch
    flat = (examples, math.prod(shapes.spatial), shapes.channels)
    values, indices = values.reshape(flat), indices.reshape(flat).astype(jnp.int32)
    number = jnp.arange(math.prod(shapes.sizes), dtype=jnp.int32).reshape(1, -1, 1)
    y = jnp.zeros((examples, math.prod(shapes.sizes), shapes.channels), values.dtype)
    for i in range(flat[1]):
        y = jnp.where(number == indices[:, i : i + 1], values[:, i : i + 1], y)
    return y.reshape(shapes.output)
