"""Adaptive and global pools, as their definitions read: output by output, cell by cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product

import jax
import jax.numpy as jnp

from jaxcnn.errors import error_prefix
from jaxcnn.keywords import suggest_keywords
from jaxcnn.reference.pool import norm
from jaxcnn.reference.taps import total
from jaxcnn.shapes import BinShapes, adaptive_shapes, global_shapes
from jaxcnn.shapes.arrays import as_arrays, require_floating, require_ordered, widened
from jaxcnn.shapes.checks import norm_order


@suggest_keywords
def adaptive_max_pool(x: jax.Array, output_size: int | Sequence[int]) -> jax.Array:
    """The largest cell of each bin; the first one, on a tie; a NaN, if there is one.

    Shapes, arguments and errors are those of :func:`jaxcnn.adaptive_max_pool`, its fast twin.

    >>> import jax.numpy as jnp
    >>> adaptive_max_pool(jnp.arange(5.0).reshape(5, 1), (3,))[:, 0]
    Array([1., 3., 4.], dtype=float32)
    """
    with error_prefix("adaptive_max_pool"):
        (x,) = as_arrays(x=x)
        require_ordered(x)
        shapes = adaptive_shapes(x.shape, output_size)
    return _each_bin(x, shapes, _largest)


@suggest_keywords
def adaptive_avg_pool(x: jax.Array, output_size: int | Sequence[int]) -> jax.Array:
    """The sum of the cells of each bin, by their number.

    Shapes, arguments and errors are those of :func:`jaxcnn.adaptive_avg_pool`, its fast twin.

    >>> import jax.numpy as jnp
    >>> adaptive_avg_pool(jnp.arange(5.0).reshape(5, 1), (3,))[:, 0]
    Array([0.5, 2. , 3.5], dtype=float32)
    """
    with error_prefix("adaptive_avg_pool"):
        (x,) = as_arrays(x=x)
        require_floating(x)
        shapes = adaptive_shapes(x.shape, output_size)
    return _each_bin(x, shapes, _mean)


@suggest_keywords
def global_max_pool(x: jax.Array, *, rank: int | None = None, keepdims: bool = False) -> jax.Array:
    """The largest of all cells; the first one, on a tie; a NaN, if there is one.

    Shapes, arguments and errors are those of :func:`jaxcnn.global_max_pool`, its fast twin.

    >>> import jax.numpy as jnp
    >>> global_max_pool(jnp.arange(8.0).reshape(2, 2, 2), rank=2)
    Array([6., 7.], dtype=float32)
    """
    with error_prefix("global_max_pool"):
        (x,) = as_arrays(x=x)
        require_ordered(x)
        shapes = global_shapes(x.shape, rank)
    return _the_bin(x, shapes, _largest, keepdims)


@suggest_keywords
def global_avg_pool(x: jax.Array, *, rank: int | None = None, keepdims: bool = False) -> jax.Array:
    """The sum of all cells, by their number.

    Shapes, arguments and errors are those of :func:`jaxcnn.global_avg_pool`, its fast twin.

    >>> import jax.numpy as jnp
    >>> global_avg_pool(jnp.arange(8.0).reshape(2, 2, 2), rank=2)
    Array([3., 4.], dtype=float32)
    """
    with error_prefix("global_avg_pool"):
        (x,) = as_arrays(x=x)
        require_floating(x)
        shapes = global_shapes(x.shape, rank)
    return _the_bin(x, shapes, _mean, keepdims)


@suggest_keywords
def global_lp_pool(
    x: jax.Array, p: float = 2, *, rank: int | None = None, keepdims: bool = False
) -> jax.Array:
    """The p-th root of the sum of the p-th powers of all magnitudes.

    Shapes, arguments and errors are those of :func:`jaxcnn.global_lp_pool`, its fast twin.

    >>> import jax.numpy as jnp
    >>> global_lp_pool(jnp.array([[3.0], [-4.0]]), rank=1)
    Array([5.], dtype=float32)
    """
    with error_prefix("global_lp_pool"):
        (x,) = as_arrays(x=x)
        require_floating(x)
        p = norm_order(p)
        shapes = global_shapes(x.shape, rank)
    return _the_bin(x, shapes, partial(norm, p=p), keepdims)


def _each_bin(
    x: jax.Array, shapes: BinShapes, pool: Callable[[list[jax.Array]], jax.Array]
) -> jax.Array:
    """For each output, what ``pool`` makes of the cells of its bin, in row-major order."""
    dtype, x = x.dtype, widened(x)
    batched = x if shapes.batch is not None else x[None]
    outputs = [
        pool([batched[(slice(None), *cell)] for cell in product(*(range(*side) for side in block))])
        for block in product(*shapes.bins)
    ]
    return jnp.stack(outputs, axis=1).reshape(shapes.output).astype(dtype)


def _the_bin(
    x: jax.Array,
    shapes: BinShapes,
    pool: Callable[[list[jax.Array]], jax.Array],
    keepdims: bool,
) -> jax.Array:
    y = _each_bin(x, shapes, pool)
    return y if keepdims else y.reshape(*y.shape[: -1 - len(shapes.bins)], shapes.channels)


def _largest(cells: list[jax.Array]) -> jax.Array:
    best = cells[0]
    for cell in cells[1:]:
        best = jnp.where((cell > best) | jnp.isnan(cell), cell, best)
    return best


def _mean(cells: list[jax.Array]) -> jax.Array:
    return total(cells) / len(cells)
