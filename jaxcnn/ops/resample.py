"""Resampling: blur pooling, pixel shuffle and unshuffle; the fast form."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.errors import error_prefix
from jaxcnn.geometry import Padding
from jaxcnn.keywords import suggest_keywords
from jaxcnn.ops.fold import fold
from jaxcnn.ops.pad import extend
from jaxcnn.shapes import ShuffleShapes, blur_shapes, shuffle_shapes, unshuffle_shapes
from jaxcnn.shapes.arrays import as_arrays, require_floating, widened
from jaxcnn.shapes.resample import binomial


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
    """Blurs each channel with a binomial filter and keeps every ``stride``-th cell.

    What makes a network less sensitive to shifts: instead of a pool or convolution of stride 2, the
    same at stride 1 and then this. The filter's weights on each axis are a row of Pascal's triangle
    scaled to sum 1: (1, 2, 1)/4 for 3 taps, (1, 4, 6, 4, 1)/16 for 5.

        x: (N, *spatial, C) or (*spatial, C), of a floating dtype
        returns (N, *k, C) or (*k, C), with k as in :func:`jaxcnn.conv`

    Args:
      x: the input; channels last.
      kernel_size: taps, one number for all spatial axes or one each. Where x has no batch axis, give one
        each: that is how it is recognised. 1 only subsamples.
      stride: cells from one output to the next.
      padding: as in :func:`jaxcnn.conv`. SAME_LOWER gives ceil(size/stride) outputs; with an odd
        filter and stride 1 or 2 they lie on the cells 0, stride, 2*stride, ..., as in the paper's
        program.
      padding_mode: what the padding holds, as in :func:`jaxcnn.pad`.
      rounding: ``"exact"`` or ``"floor"``, as in :func:`jaxcnn.conv`.

    Raises:
      InputError: (a ValueError) where shapes and arguments do not fit, with what to type instead.
      TypeError: where x is not floating.

    Source: Zhang, arXiv:1904.11486.

    >>> import jax.numpy as jnp
    >>> blur_pool(jnp.array([[0.0], [4.0], [0.0], [8.0]]), kernel_size=(3,))[:, 0]
    Array([2., 3.], dtype=float32)
    """
    with error_prefix("blur_pool"):
        (x,) = as_arrays(x=x)
        require_floating(x)
        shapes = blur_shapes(
            x.shape,
            kernel_size,
            stride=stride,
            padding=padding,
            padding_mode=padding_mode,
            rounding=rounding,
        )
    padded = extend(widened(x), shapes.windows, padding_mode)
    return fold(padded, shapes.windows, _blur).astype(x.dtype)


@suggest_keywords
def pixel_shuffle(x: jax.Array, factor: int | Sequence[int], *, order: str = "CRD") -> jax.Array:
    """Lays the channels of each cell out as a block of ``factor`` cells.

        x: (N, *spatial, C*prod(factor)) or (*spatial, C*prod(factor))
        returns (N, *spatial*factor, C) or (*spatial*factor, C), of which on an image with factors
        r_1, r_2 the cell (h*r_1 + i, w*r_2 + j), channel c, is x's cell (h, w), channel
        (c*r_1 + i)*r_2 + j for order "CRD",      (i*r_2 + j)*C + c for "DCR"

    Args:
      x: the input; channels last.
      factor: r, one number for all spatial axes or one each. Where x has no batch axis, give one
        each: that is how it is recognised.
      order: which channels make a block. ``"CRD"``: neighbouring ones, as in the paper and in
        PyTorch's PixelShuffle; ``"DCR"``: those C apart, as in TensorFlow's depth_to_space. ONNX's
        DepthToSpace has both names, and DCR where none is given.

    Raises:
      InputError: (a ValueError) where shapes and arguments do not fit, with what to type instead.

    Source: Shi et al., arXiv:1609.05158.

    >>> import jax.numpy as jnp
    >>> pixel_shuffle(jnp.arange(4).reshape(1, 1, 4), (2, 2))[..., 0]
    Array([[0, 1],
           [2, 3]], dtype=int32)
    """
    with error_prefix("pixel_shuffle"):
        (x,) = as_arrays(x=x)
        shapes = shuffle_shapes(x.shape, factor, order=order)
    leading = x.shape[: x.ndim - 1 - len(shapes.factors)]
    channels, factors = (shapes.channels,), shapes.factors
    stacked = (*channels, *factors) if order == "CRD" else (*factors, *channels)
    blocks = x.reshape(*leading, *shapes.coarse, *stacked)
    blocks = jnp.moveaxis(blocks, _stacked_offsets(shapes), _woven_offsets(shapes))
    # One axis at a time: so much of an array divided among devices may be reshaped at once.
    for axis in range(len(leading), len(leading) + len(factors)):
        blocks = lax.collapse(blocks, axis, axis + 2)
    return blocks


@suggest_keywords
def pixel_unshuffle(x: jax.Array, factor: int | Sequence[int], *, order: str = "CRD") -> jax.Array:
    """Gathers each block of ``factor`` cells into the channels of one; undoes ``pixel_shuffle``.

        x: (N, *spatial, C) or (*spatial, C)
        returns (N, *spatial/factor, C*prod(factor)) or (*spatial/factor, C*prod(factor))

    Args:
      x: the input; channels last.
      factor, order: as in :func:`pixel_shuffle`. The factor must divide the spatial sizes.

    Raises:
      InputError: (a ValueError) where shapes and arguments do not fit, with what to type instead.

    Source: Shi et al., arXiv:1609.05158; Zhang, Zuo and Zhang, arXiv:1710.04026.

    >>> import jax.numpy as jnp
    >>> pixel_unshuffle(jnp.arange(4).reshape(2, 2, 1), (2, 2))[0, 0]
    Array([0, 1, 2, 3], dtype=int32)
    """
    with error_prefix("pixel_unshuffle"):
        (x,) = as_arrays(x=x)
        shapes = unshuffle_shapes(x.shape, factor, order=order)
    leading = x.shape[: x.ndim - 1 - len(shapes.factors)]
    blocks = x
    for back, pair in enumerate(zip(shapes.coarse, shapes.factors, strict=True)):
        axis = len(leading) + 2 * back
        blocks = blocks.reshape(*blocks.shape[:axis], *pair, *blocks.shape[axis + 1 :])
    blocks = jnp.moveaxis(blocks, _woven_offsets(shapes), _stacked_offsets(shapes))
    return blocks.reshape(*leading, *shapes.coarse, shapes.stacked)


def _blur(taps: list[jax.Array]) -> jax.Array:
    weighted = (cells * weight for cells, weight in zip(taps, binomial(len(taps)), strict=True))
    return sum(weighted, jnp.zeros((), taps[0].dtype))


def _stacked_offsets(shapes: ShuffleShapes) -> list[int]:
    """Where the offsets in a block are in (..., H, W, C, r_1, r_2), or (..., H, W, r_1, r_2, C)."""
    axes = len(shapes.factors)
    first = -axes if shapes.order == "CRD" else -axes - 1
    return list(range(first, first + axes))


def _woven_offsets(shapes: ShuffleShapes) -> list[int]:
    """Where the offsets in a block are in (..., H, r_1, W, r_2, C)."""
    return list(range(-2 * len(shapes.factors), 0, 2))
