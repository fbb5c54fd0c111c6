"""Padding, cell by cell: each new cell copies the cell that the padding mode names."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxcnn import shapes as edge
from jaxcnn.geometry.padding_mode import source_cell
from jaxcnn.keywords import suggest_keywords
from jaxcnn.reference.taps import taps, total
from jaxcnn.shapes import widened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.geometry import Padding, Window


@suggest_keywords
def pad(
    x: jax.Array,
    padding: Padding,
    *,
    padding_mode: str = "zeros",
    value: jax.typing.ArrayLike = 0,
) -> jax.Array:
    """The padded x: cell i of an axis, counted from -before, is the one the padding mode names.

    Negative padding first takes cells away.

    Shapes, arguments and errors are those of :func:`jaxcnn.pad`, its fast twin.

    >>> import jax.numpy as jnp
    >>> pad(jnp.array([[1], [2], [3], [4]]), [2], padding_mode="circular")[:, 0]
    Array([3, 4, 1, 2, 3, 4, 1, 2], dtype=int32)
    """
    x, value, shapes = edge.pad(x, padding, padding_mode=padding_mode, value=value)
    x = widened(x)
    for axis, cut in enumerate(shapes.cuts, start=1):
        kept = range(cut[0], x.shape[axis] - cut[1])
        x = jnp.take(x, jnp.array(kept), axis)
    return shapes.restore(around(x, shapes.windows, padding_mode, value))


def around(
    x: jax.Array, windows: Sequence[Window], padding_mode: str, value: jax.typing.ArrayLike = 0
) -> jax.Array:
    """x (N, *spatial, C) with each window's padding, one axis after the other."""
    for axis, window in enumerate(windows, start=1):
        low, high = window.padding
        sources = [
            source_cell(position, window.size, padding_mode)
            for position in range(-low, window.size + high)
        ]
        new = jnp.full_like(jnp.take(x, 0, axis), value)
        cells = [new if source is None else jnp.take(x, source, axis) for source in sources]
        x = jnp.stack(cells, axis)
    return x


def taps_by_real(windows: Sequence[Window], dtype: jax.typing.DTypeLike) -> jax.Array:
    """(1, *k, 1): for each output, the number of taps divided by that of taps on real cells."""
    ones = jnp.ones((1, *(window.size for window in windows), 1), dtype)
    real = total(cells for _, cells in taps(around(ones, windows, "zeros"), windows))
    return math.prod(window.kernel_size for window in windows) / real
