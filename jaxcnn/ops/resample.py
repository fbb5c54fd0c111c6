"""Resampling: blur pooling, pixel shuffle and unshuffle; the fast implementation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn import shapes as edge
from jaxcnn.convolve.taps import AxisWindow, tap_slices
from jaxcnn.keywords import suggest_keywords
from jaxcnn.ops.pad import extend
from jaxcnn.shapes import ShuffleShapes, widened
from jaxcnn.shapes.resample import binomial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.geometry import Padding, Window


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
    """Blurs each channel with a binomial kernel and keeps every ``stride``-th cell.

    A network is less sensitive to shifts if a pool or convolution of stride 1 followed by a blur
    pool replaces one of stride 2. The kernel's weights on each axis are a row of Pascal's triangle,
    scaled to sum 1: (1, 2, 1)/4 for 3 taps, (1, 4, 6, 4, 1)/16 for 5.

        x: (N, *spatial, C) or (*spatial, C), of a floating dtype
        returns (N, *k, C) or (*k, C), with k as in :func:`jaxcnn.conv`

    Args:
      x: the input; channels last.
      kernel_size: taps, one number for all spatial axes or one for each; 1 subsamples without a
        blur. An x without a batch axis needs one for each.
      stride: cells from one output to the next.
      padding: as in :func:`jaxcnn.conv`. SAME_LOWER gives ceil(size/stride) outputs; with an odd
        kernel and stride 1 or 2 these are centred on the cells 0, stride, 2*stride, ..., as in the
        paper's code.
      padding_mode: what the padding holds, as in :func:`jaxcnn.pad`.
      rounding: ``"exact"`` or ``"floor"``, as in :func:`jaxcnn.conv`.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit; it says what to type instead.
      TypeError: if x is not floating.

    Source: Zhang, arXiv:1904.11486.

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
    y = extend(widened(x), shapes.windows, padding_mode)
    for axis in reversed(range(1, x.ndim - 1)):  # F_1 + F_2 taps instead of F_1 * F_2
        y = _blur(y, shapes.windows[axis - 1], axis)
    return shapes.restore(y)


@suggest_keywords
def pixel_shuffle(x: jax.Array, factor: int | Sequence[int], *, order: str = "CRD") -> jax.Array:
    """Moves the channels of each cell into a block of ``factor`` cells.

        x: (N, *spatial, C*prod(factor)) or (*spatial, C*prod(factor))
        returns (N, *spatial*factor, C) or (*spatial*factor, C)

    On an image with factors r_1, r_2, the result's cell (h*r_1 + i, w*r_2 + j), channel c, is x's
    cell (h, w), channel

        (c*r_1 + i)*r_2 + j for order "CRD",      (i*r_2 + j)*C + c for "DCR"

    Args:
      x: the input; channels last.
      factor: r, one number for all spatial axes or one for each. An x without a batch axis needs
        one for each.
      order: which channels form a block. ``"CRD"``: neighbouring channels, as in the paper and in
        PyTorch's PixelShuffle; ``"DCR"``: channels C apart, as in TensorFlow's depth_to_space.
        ONNX's DepthToSpace has both, and DCR by default.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit; it says what to type instead.

    Source: Shi et al., arXiv:1609.05158.

    >>> import jax.numpy as jnp
    >>> pixel_shuffle(jnp.arange(4).reshape(1, 1, 4), (2, 2))[..., 0]
    Array([[0, 1],
           [2, 3]], dtype=int32)
    """
    x, shapes = edge.pixel_shuffle(x, factor, order=order)
    channels, factors = (shapes.channels,), shapes.factors
    stacked = (*channels, *factors) if order == "CRD" else (*factors, *channels)
    blocks = x.reshape(x.shape[0], *shapes.coarse, *stacked)
    blocks = jnp.moveaxis(blocks, _stacked_offsets(shapes), _woven_offsets(shapes))
    # One axis at a time: a reshape of an array divided among devices cannot split more axes.
    for axis in range(1, 1 + len(factors)):
        blocks = lax.collapse(blocks, axis, axis + 2)
    return shapes.restore(blocks)


@suggest_keywords
def pixel_unshuffle(x: jax.Array, factor: int | Sequence[int], *, order: str = "CRD") -> jax.Array:
    """Moves each block of ``factor`` cells into the channels of one; inverts ``pixel_shuffle``.

        x: (N, *spatial, C) or (*spatial, C)
        returns (N, *spatial/factor, C*prod(factor)) or (*spatial/factor, C*prod(factor))

    Args:
      x: the input; channels last.
      factor, order: as in :func:`pixel_shuffle`. The factor must divide the spatial sizes.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit; it says what to type instead.

    Source: Shi et al., arXiv:1609.05158; Zhang, Zuo and Zhang, arXiv:1710.04026.

    >>> import jax.numpy as jnp
    >>> pixel_unshuffle(jnp.arange(4).reshape(2, 2, 1), (2, 2))[0, 0]
    Array([0, 1, 2, 3], dtype=int32)
    """
    x, shapes = edge.pixel_unshuffle(x, factor, order=order)
    blocks = x
    for back, pair in enumerate(zip(shapes.coarse, shapes.factors, strict=True)):
        axis = 1 + 2 * back
        blocks = blocks.reshape(*blocks.shape[:axis], *pair, *blocks.shape[axis + 1 :])
    blocks = jnp.moveaxis(blocks, _woven_offsets(shapes), _stacked_offsets(shapes))
    return shapes.restore(blocks.reshape(x.shape[0], *shapes.coarse, shapes.stacked))


def _blur(x: jax.Array, window: Window, axis: int) -> jax.Array:
    """The weighted sum of the cells under the window along one axis of a padded x."""
    reads = [AxisWindow(size, size) for size in x.shape]
    reads[axis] = AxisWindow(x.shape[axis], window.output, window.kernel_size, window.stride)
    cells, weights = tap_slices(x, tuple(reads), 0), binomial(window.kernel_size)
    weighted = (cell * weight for cell, weight in zip(cells, weights, strict=True))
    return sum(weighted, jnp.zeros((), x.dtype))


def _stacked_offsets(shapes: ShuffleShapes) -> list[int]:
    """The axes of the offsets in (N, H, W, C, r_1, r_2), or (N, H, W, r_1, r_2, C)."""
    axes = len(shapes.factors)
    first = -axes if shapes.order == "CRD" else -axes - 1
    return list(range(first, first + axes))


def _woven_offsets(shapes: ShuffleShapes) -> list[int]:
    """The axes of the offsets in (N, H, r_1, W, r_2, C)."""
    return list(range(-2 * len(shapes.factors), 0, 2))
