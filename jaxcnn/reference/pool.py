"""Pooling, as its definition reads."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxcnn.arrays import as_arrays, require_floating
from jaxcnn.errors import speaking_as
from jaxcnn.geometry import Padding, pool_shapes
from jaxcnn.reference.taps import overhang, pad, taps


def max_pool(
    x: jax.Array,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
) -> jax.Array:
    """The largest real cell under each window; the first one, on a tie; a NaN, if there is one.

    Shapes, arguments and errors are those of :func:`jaxcnn.max_pool`, its fast twin.

    >>> import jax.numpy as jnp
    >>> max_pool(jnp.array([[1.0], [3.0], [2.0], [0.0]]), (2,))[:, 0]
    Array([3., 2.], dtype=float32)
    """
    with speaking_as("max_pool"):
        (x,) = as_arrays(x=x)
        shapes = pool_shapes(
            x.shape, window, stride=stride, padding=padding, dilation=dilation, rounding=rounding
        )
    batched = x if shapes.batch is not None else x[None]
    laid = shapes.windows
    cells_of = overhang(pad(batched, laid), laid)
    real_of = overhang(pad(jnp.ones_like(batched, bool), laid, False), laid, False)
    best = found = None
    for (_, cells), (_, is_real) in zip(taps(cells_of, laid), taps(real_of, laid), strict=True):
        if best is None:
            best, found = cells, is_real
            continue
        wins = is_real & (~found | (cells > best) | jnp.isnan(cells))
        best, found = jnp.where(wins, cells, best), found | is_real
    return best if shapes.batch is not None else best[0]


def avg_pool(
    x: jax.Array,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
    count_include_pad: bool = False,
) -> jax.Array:
    """The sum of the cells under each window, by their number: the real ones, or all.

    Shapes, arguments and errors are those of :func:`jaxcnn.avg_pool`, its fast twin.

    >>> import jax.numpy as jnp
    >>> avg_pool(jnp.array([[1.0], [3.0], [2.0], [0.0]]), (2,))[:, 0]
    Array([2., 1.], dtype=float32)
    """
    with speaking_as("avg_pool"):
        (x,) = as_arrays(x=x)
        require_floating(x)
        shapes = pool_shapes(
            x.shape, window, stride=stride, padding=padding, dilation=dilation, rounding=rounding
        )
    batched = x if shapes.batch is not None else x[None]
    laid = shapes.windows
    cells_of = overhang(pad(batched, laid), laid)
    counts_of = overhang(pad(jnp.ones_like(batched), laid, 1 if count_include_pad else 0), laid)
    total = sum(cells for _, cells in taps(cells_of, laid))
    count = sum(cells for _, cells in taps(counts_of, laid))
    mean = total / count
    return mean if shapes.batch is not None else mean[0]
