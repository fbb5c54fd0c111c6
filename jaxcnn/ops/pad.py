"""Padding of arrays, the fast implementation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn import shapes as edge
from jaxcnn.keywords import suggest_keywords
from jaxcnn.shapes import widened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.geometry import Padding, Window

_NUMPY_MODES = {"reflect": "reflect", "replicate": "edge"}


@suggest_keywords
def pad(
    x: jax.Array,
    padding: Padding,
    *,
    padding_mode: str = "zeros",
    value: jax.typing.ArrayLike = 0,
) -> jax.Array:
    """Adds cells around the spatial axes of ``x``; 1234 padded by 2 on both sides becomes

        "zeros"      -> 00123400    or another ``value`` than 0
        "reflect"    -> 32123432    at most size - 1 cells per side
        "replicate"  -> 11123444
        "circular"   -> 34123412    at most size cells per side

        x: (N, *spatial, C) or (*spatial, C)
        returns (N, *padded, C) or (*padded, C), with padded = size + lo + hi

    Args:
      x: the input; channels last.
      padding: cells around x: an int, an int for each spatial axis, or a pair (before, after) for
        each. An x without a batch axis needs one entry for each axis. Negative numbers cut cells
        off, before the cells of the other side are filled: 1234 padded by (-1, 2) becomes 23434 if
        it is circular.
      padding_mode: what the new cells hold, as above.
      value: the number in the new cells of "zeros".

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit; it says what to type instead.
      TypeError: if an argument is of the wrong type.

    >>> import jax.numpy as jnp
    >>> pad(jnp.array([[1], [2], [3], [4]]), [2], padding_mode="reflect")[:, 0]
    Array([3, 2, 1, 2, 3, 4, 3, 2], dtype=int32)
    """
    x, value, shapes = edge.pad(x, padding, padding_mode=padding_mode, value=value)
    for axis, (low, high) in enumerate(shapes.cuts, 1):
        if low or high:
            x = lax.slice_in_dim(x, low, x.shape[axis] - high, axis=axis)
    return shapes.restore(extend(x, shapes.windows, padding_mode, value))


def extend(
    x: jax.Array, windows: Sequence[Window], padding_mode: str, value: jax.Array | None = None
) -> jax.Array:
    """x (N, *spatial, C) with each window's padding, filled as ``padding_mode`` says."""
    if padding_mode == "circular":
        for axis, window in enumerate(windows, 1):
            low, high = window.padding
            before = lax.slice_in_dim(x, window.size - low, window.size, axis=axis)
            x = jnp.concatenate([before, x, lax.slice_in_dim(x, 0, high, axis=axis)], axis)
        return x
    around = [(0, 0), *(window.padding for window in windows), (0, 0)]
    # Widened for the gradient, which sums the gradients of a cell's copies.
    wide = widened(x)
    if padding_mode in _NUMPY_MODES:
        return jnp.pad(wide, around, mode=_NUMPY_MODES[padding_mode]).astype(x.dtype)
    fill = jnp.zeros((), wide.dtype) if value is None else widened(value)
    return lax.pad(wide, fill, [(*pair, 0) for pair in around]).astype(x.dtype)
