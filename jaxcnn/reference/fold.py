"""Unfolding into patches and folding them back, as defined."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn import shapes as edge
from jaxcnn.keywords import suggest_keywords
from jaxcnn.reference.taps import pad, taps
from jaxcnn.shapes import widened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.geometry import Padding


@suggest_keywords
def unfold(
    x: jax.Array,
    kernel_size: int | Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
) -> jax.Array:
    """The cells under each tap of the window, one tap's channels after the other's.

    Shapes, arguments and errors are those of :func:`jaxcnn.unfold`, its fast twin.

    >>> import jax.numpy as jnp
    >>> unfold(jnp.array([[1], [2], [3], [4]]), (3,))
    Array([[1, 2, 3],
           [2, 3, 4]], dtype=int32)
    """
    x, shapes = edge.unfold(
        x, kernel_size, stride=stride, padding=padding, dilation=dilation, rounding=rounding
    )
    padded = pad(widened(x), shapes.windows)
    cells = [cells for _, cells in taps(padded, shapes.windows)]
    return shapes.restore(jnp.concatenate(cells, axis=-1))


@suggest_keywords
def fold(
    patches: jax.Array,
    kernel_size: int | Sequence[int],
    *,
    output_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
) -> jax.Array:
    """Zeros with padding, to which the channels of each tap are added, without the padding.

    Shapes, arguments and errors are those of :func:`jaxcnn.fold`, its fast twin.

    >>> import jax.numpy as jnp
    >>> fold(jnp.array([[1, 2, 3], [2, 3, 4]]), (3,), output_size=(4,))[:, 0]
    Array([1, 4, 6, 4], dtype=int32)
    """
    patches, shapes = edge.fold(
        patches,
        kernel_size,
        output_size=output_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
    )
    patches, windows, channels = widened(patches), shapes.windows, shapes.channels
    y = jnp.zeros((len(patches), *(w.padded for w in windows), channels), patches.dtype)
    for number, tap in enumerate(product(*(range(w.kernel_size) for w in windows))):
        places = [
            np.arange(w.output) * w.stride + f * w.dilation
            for f, w in zip(tap, windows, strict=True)
        ]
        own = patches[..., number * channels : (number + 1) * channels]
        y = y.at[(slice(None), *np.ix_(*places))].add(own)
    real = (slice(w.padding[0], w.padding[0] + w.size) for w in windows)
    return shapes.restore(y[(slice(None), *real)])
