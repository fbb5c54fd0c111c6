"""Windows folded one axis at a time: F_1 + F_2 steps for F_1 x F_2 taps.

What is made of a window of cells can be made of the rows first and then of what the rows gave, for
a weighted sum whose weights are a product of one weight for each axis. Sums and maxima without
weights are in :mod:`jaxcnn.convolve.pool_lowerings`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
from jax import lax

from jaxcnn.geometry import Window


def fold(
    x: jax.Array, windows: Sequence[Window], combine: Callable[[list[jax.Array]], jax.Array]
) -> jax.Array:
    """Combines the cells of every window, the last spatial axis first.

    Args:
      x: (..., *padded, C): with the cells that the windows read beyond the input.
      windows: one for each spatial axis.
      combine: makes one of the cells under each tap of a window, in the order of the taps.
    """
    for back, window in enumerate(reversed(windows)):
        x = combine(_taps(x, window, x.ndim - 2 - back))
    return x


def _taps(x: jax.Array, window: Window, axis: int) -> list[jax.Array]:
    """For each tap of the window, the padded cells under it, one for each output."""
    last = (window.output - 1) * window.stride + 1
    starts = range(0, window.extent, window.dilation)
    return [lax.slice_in_dim(x, tap, tap + last, window.stride, axis) for tap in starts]
