"""Pooling over sliding windows, as defined."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn import shapes as edge
from jaxcnn.keywords import suggest_keywords
from jaxcnn.reference.taps import overhang, pad, taps, total
from jaxcnn.shapes import widened

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxcnn.geometry import Padding, Window


@suggest_keywords
def max_pool(
    x: jax.Array,
    kernel_size: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
) -> jax.Array:
    """The largest real cell under each window; the first on a tie, a NaN if there is one.

    Shapes, arguments and errors are those of :func:`jaxcnn.max_pool`, its fast twin.

    >>> import jax.numpy as jnp
    >>> max_pool(jnp.array([[1.0], [3.0], [2.0], [0.0]]), (2,))[:, 0]
    Array([3., 2.], dtype=float32)
    """
    x, shapes = edge.max_pool(
        x, kernel_size, stride=stride, padding=padding, dilation=dilation, rounding=rounding
    )
    return shapes.restore(_first_best(widened(x), shapes.windows, jnp.greater))


@suggest_keywords
def min_pool(
    x: jax.Array,
    kernel_size: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
) -> jax.Array:
    """The smallest real cell under each window; the first on a tie, a NaN if there is one.

    Shapes, arguments and errors are those of :func:`jaxcnn.min_pool`, its fast twin.

    >>> import jax.numpy as jnp
    >>> min_pool(jnp.array([[1.0], [3.0], [2.0], [0.0]]), (2,))[:, 0]
    Array([1., 0.], dtype=float32)
    """
    x, shapes = edge.min_pool(
        x, kernel_size, stride=stride, padding=padding, dilation=dilation, rounding=rounding
    )
    return shapes.restore(_first_best(widened(x), shapes.windows, jnp.less))


@suggest_keywords
def avg_pool(
    x: jax.Array,
    kernel_size: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
    count_include_pad: bool = False,
) -> jax.Array:
    """The sum of the cells under each window, divided by the number of real ones, or of all.

    Shapes, arguments and errors are those of :func:`jaxcnn.avg_pool`, its fast twin.

    >>> import jax.numpy as jnp
    >>> avg_pool(jnp.array([[1.0], [3.0], [2.0], [0.0]]), (2,))[:, 0]
    Array([2., 1.], dtype=float32)
    """
    x, shapes = edge.avg_pool(
        x, kernel_size, stride=stride, padding=padding, dilation=dilation, rounding=rounding
    )
    x, windows = widened(x), shapes.windows
    cells_of = overhang(pad(x, windows), windows)
    counts_of = overhang(pad(jnp.ones_like(x), windows, 1 if count_include_pad else 0), windows)
    sums = total(cells for _, cells in taps(cells_of, windows))
    counts = total(cells for _, cells in taps(counts_of, windows))
    return shapes.restore(sums / counts)


@suggest_keywords
def lp_pool(
    x: jax.Array,
    kernel_size: int | Sequence[int],
    p: float = 2,
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
) -> jax.Array:
    """The p-th root of the sum of the p-th powers of the magnitudes under each window.

    Shapes, arguments and errors are those of :func:`jaxcnn.lp_pool`, its fast twin.

    >>> import jax.numpy as jnp
    >>> lp_pool(jnp.array([[3.0], [-4.0], [0.0], [0.0]]), (2,))[:, 0]
    Array([5., 0.], dtype=float32)
    """
    x, p, shapes = edge.lp_pool(
        x, kernel_size, p, stride=stride, padding=padding, dilation=dilation, rounding=rounding
    )
    windows = shapes.windows
    cells_of = overhang(pad(widened(x), windows), windows)
    return shapes.restore(norm([cells for _, cells in taps(cells_of, windows)], p))


def norm(cells: Sequence[jax.Array], p: float) -> jax.Array:
    """m (sum (|cell|/m)^p)^(1/p), where m is the largest |cell|; the constant 0 if all are zero.

    The derivative is multiplied by m and divided by m, so it is 0 if that underflows.
    """
    if p == 1:
        return total(map(_magnitude, cells))
    largest = reduce(jnp.maximum, map(jnp.abs, cells))
    m = lax.stop_gradient(jnp.where((largest == 0) | jnp.isinf(largest), 1, largest))
    powers = total(_magnitude(cell / m) ** p for cell in cells)
    return m * jnp.where(powers == 0, 0, jnp.where(powers == 0, 1, powers) ** (1 / p))


def _magnitude(x: jax.Array) -> jax.Array:
    """|x|; the constant 0 at 0, where |x| has no derivative."""
    return jnp.where(x == 0, 0, jnp.abs(x))


def _first_best(
    x: jax.Array, windows: Sequence[Window], better: Callable[[jax.Array, jax.Array], jax.Array]
) -> jax.Array:
    """The best real cell of each window; the first on a tie, a NaN if there is one."""
    cells_of = overhang(pad(x, windows), windows)
    real_of = overhang(pad(jnp.ones_like(x, bool), windows, False), windows, False)
    pairs = zip(taps(cells_of, windows), taps(real_of, windows), strict=True)
    (_, best), (_, found) = next(pairs)
    for (_, cells), (_, is_real) in pairs:
        wins = is_real & (~found | better(cells, best) | jnp.isnan(cells))
        best, found = jnp.where(wins, cells, best), found | is_real
    return best
