"""Adaptive and global pools, the fast implementation: as many bins as outputs.

Bins are pooled one axis at a time, as means of means and maxima of maxima: a bin over several axes
is the product of one bin per axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn import shapes as edge
from jaxcnn.keywords import suggest_keywords
from jaxcnn.ops.norm import norm
from jaxcnn.shapes import widened

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxcnn.shapes import Bins, BinShapes


@suggest_keywords
def adaptive_max_pool(x: jax.Array, output_size: int | Sequence[int]) -> jax.Array:
    """The largest cell of each of ``output_size`` bins.

        x: (N, *spatial, C) or (*spatial, C)
        returns (N, *output_size, C) or (*output_size, C)

    Bin i of k on N cells goes from floor(i*N/k) up to, not including, ceil((i + 1)*N/k), as in
    PyTorch; if k does not divide N, neighbouring bins share a cell.

    Args:
      x: the input; channels last.
      output_size: the number of outputs, one for all spatial axes or one for each. An x without a
        batch axis needs one for each.

    The gradient goes to the first maximum of a bin, in row-major order. If a bin holds a NaN, its
    result is NaN.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit.

    >>> import jax.numpy as jnp
    >>> adaptive_max_pool(jnp.arange(5.0).reshape(5, 1), (3,))[:, 0]
    Array([1., 3., 4.], dtype=float32)
    """
    x, shapes = edge.adaptive_max_pool(x, output_size)
    return shapes.restore(_pool_bins(x, shapes, _first_largest))


@suggest_keywords
def adaptive_avg_pool(x: jax.Array, output_size: int | Sequence[int]) -> jax.Array:
    """The mean of each of ``output_size`` bins.

        x: (N, *spatial, C) or (*spatial, C), of a floating dtype
        returns (N, *output_size, C) or (*output_size, C)

    Args:
      x, output_size: as in :func:`adaptive_max_pool`, which has the same bins.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit.
      TypeError: if x is not floating.

    >>> import jax.numpy as jnp
    >>> adaptive_avg_pool(jnp.arange(5.0).reshape(5, 1), (3,))[:, 0]
    Array([0.5, 2. , 3.5], dtype=float32)
    """
    x, shapes = edge.adaptive_avg_pool(x, output_size)
    return shapes.restore(_pool_bins(widened(x), shapes, _mean))


@suggest_keywords
def global_max_pool(x: jax.Array, *, rank: int | None = None, keepdims: bool = False) -> jax.Array:
    """The largest cell of each channel.

        x: (N, *spatial, C) or (*spatial, C)
        returns (N, C) or (C,); with ``keepdims`` (N, 1, ..., 1, C) or (1, ..., 1, C)

    Args:
      x: the input; channels last.
      rank: the number of spatial axes. None takes all axes between the first and the last; an x
        without a batch axis needs the number.
      keepdims: whether the spatial axes stay, with size 1.

    The gradient goes to the first maximum in row-major order. A NaN makes the result NaN.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit.

    >>> import jax.numpy as jnp
    >>> global_max_pool(jnp.arange(8.0).reshape(2, 2, 2), rank=2)
    Array([6., 7.], dtype=float32)
    """
    x, shapes = edge.global_max_pool(x, rank=rank, keepdims=keepdims)
    return shapes.restore(_pool_bins(x, shapes, _first_largest))


@suggest_keywords
def global_avg_pool(x: jax.Array, *, rank: int | None = None, keepdims: bool = False) -> jax.Array:
    """The mean of each channel.

        x: (N, *spatial, C) or (*spatial, C), of a floating dtype
        returns (N, C) or (C,); with ``keepdims`` (N, 1, ..., 1, C) or (1, ..., 1, C)

    Args:
      x, rank, keepdims: as in :func:`global_max_pool`.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit.
      TypeError: if x is not floating.

    Source: Lin, Chen and Yan, arXiv:1312.4400.

    >>> import jax.numpy as jnp
    >>> global_avg_pool(jnp.arange(8.0).reshape(2, 2, 2), rank=2)
    Array([3., 4.], dtype=float32)
    """
    x, shapes = edge.global_avg_pool(x, rank=rank, keepdims=keepdims)
    return shapes.restore(_pool_bins(widened(x), shapes, _mean))


@suggest_keywords
def global_lp_pool(
    x: jax.Array, p: float = 2, *, rank: int | None = None, keepdims: bool = False
) -> jax.Array:
    """The p-norm of each channel: (sum |x|^p)^(1/p).

        x: (N, *spatial, C) or (*spatial, C), of a floating dtype
        returns (N, C) or (C,); with ``keepdims`` (N, 1, ..., 1, C) or (1, ..., 1, C)

    Args:
      x, rank, keepdims: as in :func:`global_max_pool`.
      p: the order of the norm, a number >= 1.

    No intermediate value overflows unless the norm does. If all cells are zero, the gradient is 0.
    Sums of 16-bit inputs are computed in float32.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit.
      TypeError: if x is not floating.

    Source: ONNX, operator GlobalLpPool.

    >>> import jax.numpy as jnp
    >>> global_lp_pool(jnp.array([[3.0], [-4.0]]), rank=1)
    Array([5.], dtype=float32)
    """
    x, p, shapes = edge.global_lp_pool(x, p, rank=rank, keepdims=keepdims)
    return shapes.restore(norm([widened(x)], p, tuple(range(1, x.ndim - 1))))


def _pool_bins(
    x: jax.Array,
    shapes: BinShapes,
    pool: Callable[[jax.Array, int, np.ndarray | None], jax.Array],
) -> jax.Array:
    """Pools the bins of each axis, the last axis first, so that ties follow row-major order.

    Args:
      x: (N, *spatial, C).
      shapes: the bins.
      pool: (cells, axis, real) -> x pooled along one axis. Axis ``axis - 1`` of the cells counts
        the bins, axis ``axis`` the cells of a bin. ``real`` marks the cells that are in their bin;
        None means all.
    """
    last = x.ndim - 2
    for back, bins in enumerate(reversed(shapes.bins)):
        x = pool(*_gather(x, bins, last - back))
    return x


def _gather(x: jax.Array, bins: Bins, axis: int) -> tuple[jax.Array, int, np.ndarray | None]:
    if bins.size % bins.output == 0:  # without overlap
        each = bins.output, bins.size // bins.output
        return x.reshape(*x.shape[:axis], *each, *x.shape[axis + 1 :]), axis + 1, None
    starts, ends = bins.of(np.arange(bins.output))
    longest = int(max(ends - starts))
    cells = starts[:, None] + np.arange(longest)
    real = (cells < ends[:, None]).reshape(bins.output, longest, *(1,) * (x.ndim - axis - 1))
    # A short bin repeats its last cell, which changes no maximum.
    places = jnp.asarray(np.minimum(cells, ends[:, None] - 1))
    gathered = jnp.take(widened(x), places, axis, mode="clip")
    return gathered.astype(x.dtype), axis + 1, real


def _first_largest(cells: jax.Array, axis: int, _: np.ndarray | None) -> jax.Array:
    # Not jnp.max, whose gradient is divided among equal cells.
    place = jnp.argmax(cells, axis, keepdims=True)
    return jnp.take_along_axis(cells, place, axis, mode="clip").squeeze(axis)


def _mean(cells: jax.Array, axis: int, real: np.ndarray | None) -> jax.Array:
    return jnp.mean(cells, axis, where=None if real is None else jnp.asarray(real))
