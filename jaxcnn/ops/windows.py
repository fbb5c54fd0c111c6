"""Windows on an array: how they read the array, and how many cells they cover."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from jaxcnn.convolve.taps import ArrayWindow, AxisWindow, along_axes
from jaxcnn.geometry import Window, real_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import jax


def layout(x: jax.Array, windows: Sequence[Window]) -> ArrayWindow:
    """How ``windows`` on the spatial axes read x (N, *spatial, C)."""
    reads = [
        AxisWindow(
            w.size,
            w.output,
            w.kernel_size,
            w.stride,
            w.dilation,
            w.padding[0],
            _after(w),
        )
        for w in windows
    ]
    return along_axes(x.shape, 1, reads)


def padded_layout(padded: jax.Array, windows: Sequence[Window]) -> ArrayWindow:
    """How ``windows`` read an array (N, *padded, C) whose axes include the padding."""
    sizes = zip(padded.shape[1:-1], windows, strict=True)
    reads = [AxisWindow(n, w.output, w.kernel_size, w.stride, w.dilation) for n, w in sizes]
    return along_axes(padded.shape, 1, reads)


def _after(window: Window) -> int:
    """The padding after the last cell that windows read.

    For a symbolic size, the least padding with which the same number of windows fits.
    """
    if isinstance(window.size, int):
        return max(0, window.end - window.padding[0] - window.size)
    start = window.size + window.padding[0] - window.extent
    enough = range(window.extent + window.stride)
    return next(n for n in enough if (start + n) // window.stride + 1 == window.output)


def taps_by_real(windows: Sequence[Window]) -> float | jax.Array:
    """(1, *k, 1): for each output, the number of taps divided by that of taps on real cells."""
    return math.prod(window.kernel_size for window in windows) / over_places(windows, real_cells)


def over_places(windows: Sequence[Window], count: Callable[[Window, Any], Any]) -> int | jax.Array:
    """(1, *k, 1): for each output, the product of ``count`` over the axes.

    A single number if all outputs have the same one. Otherwise the program computes the array: a
    plan would count a constant array as weights.
    """
    product: Any = 1
    for axis, window in enumerate(windows):
        if isinstance(window.output, int):
            each = count(window, np.arange(window.output))
            if each.min() == each.max():
                product = product * int(each[0])
                continue
        each = count(window, jnp.arange(window.output))
        product = product * each.reshape(*(1,) * (axis + 1), -1, *(1,) * (len(windows) - axis))
    return product
