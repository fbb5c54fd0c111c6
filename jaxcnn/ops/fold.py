"""Windows folded one axis at a time: F_1 + F_2 steps for F_1 x F_2 taps.

What a pool makes of a window of cells it can make of the rows first and then of what the rows gave,
for a maximum of maxima, a sum of sums, and a weighted sum whose weights are a product of one weight
for each axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.geometry import Window

Cells = Any
"""An array (..., *spatial, C), or a tuple of such that belong together cell by cell."""


def fold(cells: Cells, windows: Sequence[Window], combine: Callable[[list[Cells]], Cells]) -> Cells:
    """Combines the cells of every window, the last spatial axis first.

    In that order a tie is settled within the rows before it is settled between them, which is the
    row-major order of the definition.

    Args:
      cells: (..., *padded, C), as :func:`surround` makes them.
      windows: one for each spatial axis.
      combine: makes one of the cells under each tap of a window, in the order of the taps.
    """
    last = jax.tree.leaves(cells)[0].ndim - 2
    for back, window in enumerate(reversed(windows)):
        cells = combine(_taps(cells, window, last - back))
    return cells


def surround(x: jax.Array, windows: Sequence[Window], neutral: float) -> jax.Array:
    """x (..., *spatial, C) with cells of ``neutral`` wherever the windows read beyond it."""
    pads = [(0, 0, 0)] * x.ndim
    pads[-len(windows) - 1 : -1] = [(w.padding[0], w.padding[1] + w.overhang, 0) for w in windows]
    return lax.pad(x, jnp.asarray(neutral, x.dtype), pads)


def _taps(cells: Cells, window: Window, axis: int) -> list[Cells]:
    """For each tap of the window, the padded cells under it, one for each output."""
    last = (window.output - 1) * window.stride + 1

    def under(tap: int) -> Cells:
        return jax.tree.map(
            lambda x: lax.slice_in_dim(x, tap, tap + last, window.stride, axis), cells
        )

    return [under(tap) for tap in range(0, window.extent, window.dilation)]
