"""Max pooling with indices and unpooling, as defined."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxcnn import shapes as edge
from jaxcnn.keywords import suggest_keywords
from jaxcnn.reference.taps import overhang, pad, taps
from jaxcnn.shapes import widened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.geometry import Padding


@suggest_keywords
def max_pool_with_indices(
    x: jax.Array,
    kernel_size: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
    index_order: str = "row_major",
) -> tuple[jax.Array, jax.Array]:
    """The largest real cell under each window, and its index; index -1 marks padding.

    Shapes, arguments and errors are those of :func:`jaxcnn.max_pool_with_indices`, its fast twin.

    >>> import jax.numpy as jnp
    >>> max_pool_with_indices(jnp.array([[1.0], [3.0], [2.0], [0.0]]), (2,))[1][:, 0]
    Array([1, 2], dtype=int32)
    """
    x, shapes = edge.max_pool_with_indices(
        x,
        kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        rounding=rounding,
        index_order=index_order,
    )
    x, windows = widened(x), shapes.windows
    spatial = x.shape[1:-1]
    numbers = jnp.broadcast_to(_numbers(spatial, index_order)[None, ..., None], x.shape)
    cells_of = overhang(pad(x, windows), windows)
    numbers_of = overhang(pad(numbers, windows, -1), windows, -1)
    pairs = zip(taps(cells_of, windows), taps(numbers_of, windows), strict=True)
    (_, best), (_, at) = next(pairs)
    for (_, cells), (_, number) in pairs:
        wins = (number >= 0) & ((at < 0) | (cells > best) | jnp.isnan(cells))
        best, at = jnp.where(wins, cells, best), jnp.where(wins, number, at)
    return shapes.restore(best), shapes.restore(at, at.dtype)


@suggest_keywords
def max_unpool(
    values: jax.Array,
    indices: jax.Array,
    *,
    output_size: int | Sequence[int],
    index_order: str = "row_major",
) -> jax.Array:
    """Zeros, into which each value, in row-major order, is written at its index.

    Shapes, arguments and errors are those of :func:`jaxcnn.max_unpool`, its fast twin.

    >>> import jax.numpy as jnp
    >>> max_unpool(jnp.array([[3.0], [5.0]]), jnp.array([[1], [2]]), output_size=(4,))[:, 0]
    Array([0., 3., 5., 0.], dtype=float32)
    """
    values, indices, shapes = edge.max_unpool(values, indices, output_size, index_order=index_order)
    flat = (len(values), math.prod(values.shape[1:-1]), shapes.channels)
    values, indices = values.reshape(flat), indices.reshape(flat).astype(jnp.int32)
    number = _numbers(shapes.sizes, index_order).reshape(1, -1, 1)
    y = jnp.zeros((len(values), math.prod(shapes.sizes), shapes.channels), values.dtype)
    for i in range(flat[1]):
        y = jnp.where(number == indices[:, i : i + 1], values[:, i : i + 1], y)
    return shapes.restore(y.reshape(len(values), *shapes.sizes, shapes.channels))


def _numbers(sizes: Sequence[int], index_order: str) -> jax.Array:
    """The index of each cell: the sum of its positions, each times the cells it passes over."""
    axes = range(len(sizes))
    numbers, step = jnp.zeros(sizes, jnp.int32), 1
    for axis in axes if index_order == "column_major" else reversed(axes):
        positions = jnp.arange(sizes[axis], dtype=jnp.int32)
        numbers = numbers + step * positions.reshape([-1 if a == axis else 1 for a in axes])
        step *= sizes[axis]
    return numbers
