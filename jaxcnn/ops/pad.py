"""Padding with what lies beyond the edge, the fast form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.arrays import as_arrays, widened
from jaxcnn.errors import speaking_as
from jaxcnn.geometry import Padding, Window, real_cells
from jaxcnn.geometry.boundary import pad_windows

_NUMPY_MODES = {
    "zeros": "constant",
    "partial": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}


def pad(x: jax.Array, padding: Padding, *, boundary: str = "zeros") -> jax.Array:
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
      boundary: what the new cells hold.

    Raises:
      InputError: (a ValueError) where shapes and arguments do not fit, with what to type instead.
      TypeError: where an argument is of the wrong type.

    >>> import jax.numpy as jnp
    >>> pad(jnp.array([[1], [2], [3], [4]]), [2], boundary="reflect")[:, 0]
    Array([3, 2, 1, 2, 3, 4, 3, 2], dtype=int32)
    """
    with speaking_as("pad"):
        (x,) = as_arrays(x=x)
        laid = pad_windows(x.shape, padding, boundary=boundary)
    return extend(x, laid, boundary)


def extend(x: jax.Array, windows: Sequence[Window], boundary: str) -> jax.Array:
    """x (..., *spatial, C) with each window's padding, filled as ``boundary`` says."""
    leading = x.ndim - 1 - len(windows)
    around = [(0, 0)] * leading + [window.padding for window in windows] + [(0, 0)]
    # Widened for the way back, on which a cell's copies are added to it.
    return jnp.pad(widened(x), around, mode=_NUMPY_MODES[boundary]).astype(x.dtype)


def taps_by_real(windows: Sequence[Window]) -> np.ndarray:
    """For each place (*k, 1), the filter's taps divided by those that are on real cells."""
    real = reduce(np.multiply.outer, [np.array(real_cells(window)) for window in windows])
    return math.prod(window.filter for window in windows) / real[..., None]
