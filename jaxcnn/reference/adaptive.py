"""Adaptive and global pools, as defined: output by output, cell by cell."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxcnn import shapes as edge
from jaxcnn.keywords import suggest_keywords
from jaxcnn.reference.pool import norm
from jaxcnn.reference.taps import total
from jaxcnn.shapes import widened

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxcnn.shapes import BinShapes


@suggest_keywords
def adaptive_max_pool(x: jax.Array, output_size: int | Sequence[int]) -> jax.Array:
    """The largest cell of each bin; the first on a tie, a NaN if there is one.

    Shapes, arguments and errors are those of :func:`jaxcnn.adaptive_max_pool`, its fast twin.

    >>> import jax.numpy as jnp
    >>> adaptive_max_pool(jnp.arange(5.0).reshape(5, 1), (3,))[:, 0]
    Array([1., 3., 4.], dtype=float32)
    """
    x, shapes = edge.adaptive_max_pool(x, output_size)
    return _each_bin(x, shapes, _largest)


@suggest_keywords
def adaptive_avg_pool(x: jax.Array, output_size: int | Sequence[int]) -> jax.Array:
    """The sum of the cells of each bin, divided by their number.

    Shapes, arguments and errors are those of :func:`jaxcnn.adaptive_avg_pool`, its fast twin.

    >>> import jax.numpy as jnp
    >>> adaptive_avg_pool(jnp.arange(5.0).reshape(5, 1), (3,))[:, 0]
    Array([0.5, 2. , 3.5], dtype=float32)
    """
    x, shapes = edge.adaptive_avg_pool(x, output_size)
    return _each_bin(x, shapes, _mean)


@suggest_keywords
def global_max_pool(x: jax.Array, *, rank: int | None = None, keepdims: bool = False) -> jax.Array:
    """The largest of all cells; the first on a tie, a NaN if there is one.

    Shapes, arguments and errors are those of :func:`jaxcnn.global_max_pool`, its fast twin.

    >>> import jax.numpy as jnp
    >>> global_max_pool(jnp.arange(8.0).reshape(2, 2, 2), rank=2)
    Array([6., 7.], dtype=float32)
    """
    x, shapes = edge.global_max_pool(x, rank=rank, keepdims=keepdims)
    return _each_bin(x, shapes, _largest)


@suggest_keywords
def global_avg_pool(x: jax.Array, *, rank: int | None = None, keepdims: bool = False) -> jax.Array:
    """The sum of all cells, divided by their number.

    Shapes, arguments and errors are those of :func:`jaxcnn.global_avg_pool`, its fast twin.

    >>> import jax.numpy as jnp
    >>> global_avg_pool(jnp.arange(8.0).reshape(2, 2, 2), rank=2)
    Array([3., 4.], dtype=float32)
    """
    x, shapes = edge.global_avg_pool(x, rank=rank, keepdims=keepdims)
    return _each_bin(x, shapes, _mean)


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
    x, p, shapes = edge.global_lp_pool(x, p, rank=rank, keepdims=keepdims)
    return _each_bin(x, shapes, partial(norm, p=p))


def _each_bin(
    x: jax.Array, shapes: BinShapes, pool: Callable[[list[jax.Array]], jax.Array]
) -> jax.Array:
    """The result of ``pool`` on each bin's cells, in row-major order, for each output."""
    x = widened(x)
    outputs = [
        pool([x[(slice(None), *cell)] for cell in product(*(range(*side) for side in block))])
        for block in product(*shapes.bins)
    ]
    y = jnp.stack(outputs, axis=1)
    return shapes.restore(y.reshape(len(x), *shapes.spatial, shapes.channels))


def _largest(cells: list[jax.Array]) -> jax.Array:
    best = cells[0]
    for cell in cells[1:]:
        best = jnp.where((cell > best) | jnp.isnan(cell), cell, best)
    return best


def _mean(cells: list[jax.Array]) -> jax.Array:
    return total(cells) / len(cells)
