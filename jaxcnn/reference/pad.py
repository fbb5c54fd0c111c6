"""Padding, cell by cell: where each new cell's value comes from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxcnn.errors import error_prefix
from jaxcnn.geometry import Padding, Window
from jaxcnn.geometry.padding_mode import source_cell
from jaxcnn.keywords import suggest_keywords
from jaxcnn.reference.taps import of_rank, taps, total
from jaxcnn.shapes import pad_windows
from jaxcnn.shapes.arrays import as_arrays, widened


@suggest_keywords
def pad(x: jax.Array, padding: Padding, *, padding_mode: str = "zeros") -> jax.Array:
    """Cell i of a padded axis, counted from -before, is the cell that the padding mode's rule names.

    Shapes, arguments and errors are those of :func:`jaxcnn.pad`, its fast twin.

    >>> import jax.numpy as jnp
    >>> pad(jnp.array([[1], [2], [3], [4]]), [2], padding_mode="circular")[:, 0]
    Array([3, 4, 1, 2, 3, 4, 1, 2], dtype=int32)
    """
    with error_prefix("pad"):
        (x,) = as_arrays(x=x)
        laid = pad_windows(x.shape, padding, padding_mode=padding_mode)
    return around(widened(x), laid, padding_mode).astype(x.dtype)


def around(x: jax.Array, windows: Sequence[Window], padding_mode: str) -> jax.Array:
    """x (..., *spatial, C) with each window's padding, one axis after the other."""
    for axis, window in enumerate(windows, start=x.ndim - 1 - len(windows)):
        low, high = window.padding
        sources = [
            source_cell(position, window.size, padding_mode)
            for position in range(-low, window.size + high)
        ]
        zero = jnp.zeros_like(jnp.take(x, 0, axis))
        cells = [zero if source is None else jnp.take(x, source, axis) for source in sources]
        x = jnp.stack(cells, axis)
    return x


def taps_by_real(windows: Sequence[Window], y: jax.Array) -> jax.Array:
    """The filter's taps, divided at each place of y by those that meet a real cell."""
    ones = jnp.ones((1, *(window.size for window in windows), 1), y.dtype)
    real = total(cells[0] for _, cells in taps(around(ones, windows, "zeros"), windows))
    return of_rank(math.prod(window.kernel_size for window in windows) / real, y.ndim)
