"""Padding with what lies beyond the edge, the fast form."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn.errors import error_prefix
from jaxcnn.geometry import Padding, Window, real_cells
from jaxcnn.keywords import suggest_keywords
from jaxcnn.shapes import pad_windows
from jaxcnn.shapes.arrays import as_arrays, widened

_NUMPY_MODES = {
    "zeros": "constant",
    "partial": "constant",
    "reflect": "reflect",
    "replicate": "edge",
}


@suggest_keywords
def pad(x: jax.Array, padding: Padding, *, padding_mode: str = "zeros") -> jax.Array:
    """Adds cells around the spatial axes of ``x``; 1234 padded by 2 on both sides becomes

        "zeros"      -> 00123400
        "reflect"    -> 32123432    at most size - 1 cells a side
        "replicate"  -> 11123444
        "circular"   -> 34123412    at most size cells a side

        x: (N, *spatial, C) or (*spatial, C)
        returns (N, *padded, C) or (*padded, C), with padded = size + lo + hi

    Args:
      x: the input; channels last.
      padding: cells around x: an int, an int for each spatial axis, or a pair (before, after) for
        each. Where x has no batch axis, give one entry each: that is how it is recognised.
      padding_mode: what the new cells hold.

    Raises:
      InputError: (a ValueError) where shapes and arguments do not fit, with what to type instead.
      TypeError: where an argument is of the wrong type.

    >>> import jax.numpy as jnp
    >>> pad(jnp.array([[1], [2], [3], [4]]), [2], padding_mode="reflect")[:, 0]
    Array([3, 2, 1, 2, 3, 4, 3, 2], dtype=int32)
    """
    with error_prefix("pad"):
        (x,) = as_arrays(x=x)
        laid = pad_windows(x.shape, padding, padding_mode=padding_mode)
    return extend(x, laid, padding_mode)


def extend(x: jax.Array, windows: Sequence[Window], padding_mode: str) -> jax.Array:
    """x (..., *spatial, C) with each window's padding, filled as ``padding_mode`` says."""
    leading = x.ndim - 1 - len(windows)
    if padding_mode == "circular":
        for axis, window in enumerate(windows, leading):
            low, high = window.padding
            before = lax.slice_in_dim(x, window.size - low, window.size, axis=axis)
            x = jnp.concatenate([before, x, lax.slice_in_dim(x, 0, high, axis=axis)], axis)
        return x
    around = [(0, 0)] * leading + [window.padding for window in windows] + [(0, 0)]
    # Widened for the way back, on which a cell's copies are added to it.
    return jnp.pad(widened(x), around, mode=_NUMPY_MODES[padding_mode]).astype(x.dtype)


def taps_by_real(windows: Sequence[Window]) -> float | jax.Array:
    """For each place (*k, 1), the filter's taps divided by those that are on real cells."""
    return math.prod(window.kernel_size for window in windows) / over_places(windows, real_cells)


def over_places(windows: Sequence[Window], count: Callable[[Window, Any], Any]) -> int | jax.Array:
    """(*k, 1): for each place the product of what ``count`` says on each axis.

    One number where all places have the same. Otherwise the program computes it: a plan would count
    a constant array as weights.
    """
    product: Any = 1
    for axis, window in enumerate(windows):
        if isinstance(window.output, int):
            each = count(window, np.arange(window.output))
            if each.min() == each.max():
                product = product * int(each[0])
                continue
        each = count(window, jnp.arange(window.output))
        product = product * each.reshape(*(1,) * axis, -1, *(1,) * (len(windows) - axis))
    return product
