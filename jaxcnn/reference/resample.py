"""Resampling, as defined."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxcnn import shapes as edge
from jaxcnn.keywords import suggest_keywords
from jaxcnn.reference.pad import around
from jaxcnn.reference.taps import taps
from jaxcnn.shapes import widened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxcnn.geometry import Padding
    from jaxcnn.shapes import ShuffleShapes


@suggest_keywords
def blur_pool(
    x: jax.Array,
    *,
    kernel_size: int | Sequence[int] = 3,
    stride: int | Sequence[int] = 2,
    padding: Padding = "SAME_LOWER",
    padding_mode: str = "reflect",
    rounding: str = "exact",
) -> jax.Array:
    """The sum over the kernel's taps f of x times prod_axes binomial(F - 1, f) / 2^(F - 1).

    Shapes, arguments and errors are those of :func:`jaxcnn.blur_pool`, its fast twin.

    >>> import jax.numpy as jnp
    >>> blur_pool(jnp.array([[0.0], [4.0], [0.0], [8.0]]), kernel_size=(3,))[:, 0]
    Array([2., 3.], dtype=float32)
    """
    x, shapes = edge.blur_pool(
        x,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        padding_mode=padding_mode,
        rounding=rounding,
    )
    x, windows = widened(x), shapes.windows
    y = jnp.zeros((len(x), *shapes.spatial, shapes.channels), x.dtype)
    for tap, cells in taps(around(x, windows, padding_mode), windows):
        ways = math.prod(math.comb(w.kernel_size - 1, f) for f, w in zip(tap, windows, strict=True))
        y = y + cells * (ways / 2 ** sum(w.kernel_size - 1 for w in windows))
    return shapes.restore(y)


@suggest_keywords
def pixel_shuffle(x: jax.Array, factor: int | Sequence[int], *, order: str = "CRD") -> jax.Array:
    """The result, in which each offset in the blocks gets its channels of x.

    Shapes, arguments and errors are those of :func:`jaxcnn.pixel_shuffle`, its fast twin.

    >>> import jax.numpy as jnp
    >>> pixel_shuffle(jnp.arange(4).reshape(1, 1, 4), (2, 2))[..., 0]
    Array([[0, 1],
           [2, 3]], dtype=int32)
    """
    x, shapes = edge.pixel_shuffle(x, factor, order=order)
    y = jnp.zeros((len(x), *shapes.fine, shapes.channels), x.dtype)
    for cells, channels in _offsets(shapes):
        y = y.at[cells].set(x[..., jnp.array(channels)])
    return shapes.restore(y)


@suggest_keywords
def pixel_unshuffle(x: jax.Array, factor: int | Sequence[int], *, order: str = "CRD") -> jax.Array:
    """The result, in which each offset in the blocks of x fills its channels.

    Shapes, arguments and errors are those of :func:`jaxcnn.pixel_unshuffle`, its fast twin.

    >>> import jax.numpy as jnp
    >>> pixel_unshuffle(jnp.arange(4).reshape(2, 2, 1), (2, 2))[0, 0]
    Array([0, 1, 2, 3], dtype=int32)
    """
    x, shapes = edge.pixel_unshuffle(x, factor, order=order)
    y = jnp.zeros((len(x), *shapes.coarse, shapes.stacked), x.dtype)
    for cells, channels in _offsets(shapes):
        y = y.at[..., jnp.array(channels)].set(x[cells])
    return shapes.restore(y)


def _offsets(shapes: ShuffleShapes) -> Iterator[tuple[tuple, list[int]]]:
    """The cells on the fine side and the stacked channels of each offset (i, j, ...) in a block."""
    block = math.prod(shapes.factors)
    for number, offset in enumerate(product(*(range(r) for r in shapes.factors))):
        fine = (slice(i, None, r) for i, r in zip(offset, shapes.factors, strict=True))
        if shapes.order == "CRD":
            channels = [c * block + number for c in range(shapes.channels)]
        else:
            channels = [number * shapes.channels + c for c in range(shapes.channels)]
        yield (..., *fine, slice(None)), channels
