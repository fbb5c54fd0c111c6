"""Convolution, the fast implementation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn import shapes as edge
from jaxcnn.convolve import conv_general_dilated
from jaxcnn.convolve.choose import check_algorithm
from jaxcnn.convolve.layout import channels_last
from jaxcnn.errors import error_prefix
from jaxcnn.keywords import suggest_keywords
from jaxcnn.ops.bias import add_bias
from jaxcnn.ops.pad import extend
from jaxcnn.ops.windows import taps_by_real
from jaxcnn.shapes import sum_dtype, widened

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from jaxcnn.geometry import Padding
    from jaxcnn.shapes import ConvShapes, Sharding


@suggest_keywords
def conv(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    rounding: str = "exact",
    padding_mode: str = "zeros",
    mask: jax.typing.ArrayLike | None = None,
    precision: lax.PrecisionLike = None,
    preferred_element_type: jax.typing.DTypeLike | None = None,
    algorithm: str | None = None,
    out_sharding: Sharding | None = None,
) -> jax.Array:
    """Slides the filters of ``kernel`` over ``x``; each gives one number per position: Wx + b.

    The kernel is not flipped: this is a cross-correlation, as everywhere in deep learning.

        x: (N, *spatial, C_in) or (*spatial, C_in)      kernel: (*F, C_in // groups, C_out)
        bias: (C_out,)
        returns (N, *k, C_out) or (*k, C_out), with
        k = (size + lo + hi - F')/stride + 1,   F' = dilation*(F - 1) + 1

    There may be any number of spatial axes. ``stride``, ``padding`` and ``dilation`` are one value
    for all axes or one for each. Sizes are in cells.

    Args:
      x: the input; channels last.
      kernel: the filters; the kernel's rank gives the number of spatial axes.
      bias: added to each feature map.
      stride: cells from one window to the next.
      padding: cells around x: ``"VALID"``, ``"SAME"``, ``"SAME_LOWER"``, ``"FULL"``,
        ``"CAUSAL"``, an int, an int for each axis, or a pair (before, after) for each axis.
      dilation: cells from one tap of the kernel to the next.
      groups: parts into which the channels are divided; filter j reads part j // (C_out/groups).
      rounding: ``"exact"`` raises an error if the stride leaves cells at the end unread;
        ``"floor"`` drops those cells, as other libraries do.
      padding_mode: what the padding holds; 1234 padded by 2 becomes 00123400 (``"zeros"``),
        32123432 (``"reflect"``), 11123444 (``"replicate"``), 34123412 (``"circular"``), or zeros
        that do not count (``"partial"``): each output is multiplied by taps/(taps on real cells)
        before the bias is added (Liu et al., arXiv:1811.11718).
      mask: an array that multiplies the kernel; each of its axes has the kernel's size or 1. A
        weight masked by 0 or False counts as 0 even if it is a NaN, and gets no gradient (van den
        Oord et al., arXiv:1606.05328).
      precision: as in :func:`jax.lax.conv_general_dilated`.
      preferred_element_type: the dtype of the result and of the bias; None takes that of x. With
        int32, sums of int8 products do not wrap; with float32, sums of bfloat16 are not rounded.
      algorithm: as in :func:`jaxcnn.conv_general_dilated`.
      out_sharding: how the result is divided among devices, as in
        :func:`jax.lax.conv_general_dilated`; needed if channels are divided.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit; it says what to type instead.
      TypeError: if dtypes differ, or an argument is of the wrong type.

    Source: Dumoulin and Visin, arXiv:1603.07285.

    >>> import jax.numpy as jnp
    >>> image, filters = jnp.ones((7, 7, 3)), jnp.ones((3, 3, 3, 6))
    >>> conv(image, filters).shape
    (5, 5, 6)
    """
    x, kernel, bias, mask, shapes = edge.conv(
        x,
        kernel,
        bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        rounding=rounding,
        padding_mode=padding_mode,
        mask=mask,
        preferred_element_type=preferred_element_type,
    )
    if algorithm is not None:
        with error_prefix("conv"):
            check_algorithm(algorithm)
    if mask is not None:
        kernel = masked(kernel, mask)
    divided = shapes.sharding(out_sharding)
    return shapes.restore(convolve(x, kernel, bias, shapes, precision, algorithm, divided))


def masked(kernel: jax.Array, mask: jax.Array) -> jax.Array:
    """kernel * mask, with 0 for 0 times a NaN or an infinity."""
    kept = jnp.where(mask == 0, jnp.zeros((), kernel.dtype), kernel)
    return (widened(kept) * widened(mask)).astype(kernel.dtype)


def convolve(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None,
    shapes: ConvShapes,
    precision: lax.PrecisionLike,
    algorithm: str | None = None,
    out_sharding: Sharding | None = None,
) -> jax.Array:
    """The convolution that ``shapes`` describes; x and the sharding have a batch axis."""
    paddings = shapes.paddings
    if shapes.padding_mode not in ("zeros", "partial"):
        x = extend(x, shapes.windows, shapes.padding_mode)
        paddings = ((0, 0),) * len(paddings)
    y = conv_general_dilated(
        widened(x, 16),  # 16-bit inputs: the algorithms sum in float32
        widened(kernel, 16),
        window_strides=shapes.strides,
        padding=paddings,
        rhs_dilation=shapes.dilations,
        dimension_numbers=channels_last(len(shapes.windows)),
        feature_group_count=shapes.groups,
        precision=precision,
        preferred_element_type=sum_type(x, shapes),
        out_sharding=out_sharding,
        algorithm=algorithm,
    )
    return finish(y, bias, shapes)


def sum_type(x: jax.Array, shapes: ConvShapes) -> np.dtype | None:
    """The dtype in which lax sums if the result differs from x in dtype; else None."""
    return None if shapes.dtype in (None, x.dtype) else sum_dtype(shapes.dtype)


def finish(y: jax.Array, bias: jax.Array | None, shapes: ConvShapes) -> jax.Array:
    """The sums ``y``, scaled to the real cells if the padding is partial, plus the bias."""
    if shapes.padding_mode == "partial":
        share = jnp.asarray(taps_by_real(shapes.windows), widened(y).dtype)
        y = (widened(y) * share).astype(y.dtype)
    return add_bias(y, bias)
