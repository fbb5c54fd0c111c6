"""Convolutions of 8-bit integers, the fast implementation."""

from __future__ import annotations

import math
import operator
from functools import partial, reduce
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn import shapes as edge
from jaxcnn.convolve import conv_general_dilated
from jaxcnn.convolve.layout import channels_last
from jaxcnn.convolve.taps import tap_slices
from jaxcnn.convolve.tuning import INTEGER_FEW_CHANNELS, INTEGER_MOST_UNROLLED_TAPS
from jaxcnn.geometry import Window
from jaxcnn.keywords import suggest_keywords
from jaxcnn.ops.bias import add_bias
from jaxcnn.ops.fold import unfold
from jaxcnn.ops.windows import padded_layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jax.typing import ArrayLike

    from jaxcnn.geometry import Padding
    from jaxcnn.shapes import ConvShapes


@suggest_keywords
def conv_integer(
    x: jax.Array,
    kernel: jax.Array,
    *,
    x_zero_point: ArrayLike = 0,
    kernel_zero_point: ArrayLike = 0,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    rounding: str = "exact",
) -> jax.Array:
    """The exact sums, in int32, of a convolution of 8-bit integers.

        x: (N, *spatial, C_in) or (*spatial, C_in)      kernel: (*F, C_in // groups, C_out)
        returns (N, *k, C_out) or (*k, C_out), the convolution of x - x_zero_point with
        kernel - kernel_zero_point, with k as in :func:`jaxcnn.conv`

    Integers have no gradient.

    Args:
      x, kernel: int8 or uint8, each; channels last.
      x_zero_point: the integer that stands for 0 in x, and that padding holds: a number, or an
        array of the dtype of x.
      kernel_zero_point: the same for the kernel: a number, or an array () or (C_out,) of the
        kernel's dtype.
      stride, padding, dilation, groups, rounding: as in :func:`jaxcnn.conv`.

    Sums of up to 33025 products fit int32; larger ones may wrap.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit; it says what to type instead.
      TypeError: if x or kernel has another dtype.

    Source: ConvInteger of ONNX, opset 10.

    >>> import jax.numpy as jnp
    >>> x, kernel = jnp.array([[2], [3], [4]], "uint8"), jnp.ones((2, 1, 1), "int8")
    >>> conv_integer(x, kernel, x_zero_point=1)[:, 0]
    Array([3, 5], dtype=int32)
    """
    x, kernel, x_zero_point, kernel_zero_point, shapes = edge.conv_integer(
        x,
        kernel,
        x_zero_point=x_zero_point,
        kernel_zero_point=kernel_zero_point,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        rounding=rounding,
    )
    return shapes.restore(_sums(x, kernel, x_zero_point, kernel_zero_point, shapes))


@suggest_keywords
def quantized_conv(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    x_scale: ArrayLike,
    kernel_scale: ArrayLike,
    y_scale: ArrayLike,
    x_zero_point: ArrayLike = 0,
    kernel_zero_point: ArrayLike = 0,
    y_zero_point: ArrayLike = 0,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    rounding: str = "exact",
) -> jax.Array:
    """A convolution of numbers that 8-bit integers stand for: q stands for scale*(q - zero_point).

        x: (N, *spatial, C_in) or (*spatial, C_in)      kernel: (*F, C_in // groups, C_out)
        bias: (C_out,)
        returns (N, *k, C_out) or (*k, C_out), with k as in :func:`jaxcnn.conv`:
        y = saturate(round((sums + bias) * (x_scale*kernel_scale/y_scale)) + y_zero_point)

    The sums are those of :func:`conv_integer`, exact in int32. They are scaled in float32 and
    rounded to the nearest integer, halves to the even one; what 8 bits cannot hold becomes the
    smallest or largest integer. Integers have no gradient.

    Args:
      x, kernel: int8 or uint8, each; channels last.
      bias: int32, in units of x_scale*kernel_scale.
      x_scale, y_scale: numbers, or floating arrays ().
      kernel_scale: a number, or a floating array () or (C_out,).
      x_zero_point, kernel_zero_point: as in :func:`conv_integer`.
      y_zero_point: the integer that stands for 0 in the result. The result has its dtype if it is
        an array of int8 or uint8, else that of x.
      stride, padding, dilation, groups, rounding: as in :func:`jaxcnn.conv`.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit; it says what to type instead.
      TypeError: if an array has another dtype.

    Source: Jacob et al., arXiv:1712.05877; QLinearConv of ONNX, opset 10.

    >>> import jax.numpy as jnp
    >>> x, kernel = jnp.array([[2], [3], [4]], "int8"), jnp.ones((2, 1, 1), "int8")
    >>> quantized_conv(x, kernel, x_scale=1.0, kernel_scale=1.0, y_scale=2.0)[:, 0]
    Array([2, 4], dtype=int8)
    """
    x, kernel, bias, x_zero_point, kernel_zero_point, y_zero_point, scale, shapes = (
        edge.quantized_conv(
            x,
            kernel,
            bias,
            x_scale=x_scale,
            kernel_scale=kernel_scale,
            y_scale=y_scale,
            x_zero_point=x_zero_point,
            kernel_zero_point=kernel_zero_point,
            y_zero_point=y_zero_point,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            rounding=rounding,
        )
    )
    y = add_bias(_sums(x, kernel, x_zero_point, kernel_zero_point, shapes), bias)
    y = jnp.round(y.astype("float32") * scale) + y_zero_point.astype("float32")
    bounds = jnp.iinfo(shapes.dtype)
    return shapes.restore(jnp.clip(y, bounds.min, bounds.max))


def _sums(
    x: jax.Array,
    kernel: jax.Array,
    x_zero_point: jax.Array | np.ndarray,
    kernel_zero_point: jax.Array | np.ndarray,
    shapes: ConvShapes,
) -> jax.Array:
    """The sums of (x - a)(w - b) over the terms of an output."""
    around = [(0, 0, 0), *((*pair, 0) for pair in shapes.paddings), (0, 0, 0)]
    x = lax.pad(x, jnp.asarray(x_zero_point, x.dtype).reshape(()), around)
    taps = math.prod(window.kernel_size for window in shapes.windows)
    if shapes.groups == shapes.in_channels > 1 and taps <= INTEGER_MOST_UNROLLED_TAPS:
        return _by_taps(x, kernel, x_zero_point, kernel_zero_point, shapes)
    return _by_products(x, kernel, x_zero_point, kernel_zero_point, shapes)


def _by_taps(
    x: jax.Array,
    kernel: jax.Array,
    x_zero_point: jax.Array | np.ndarray,
    kernel_zero_point: jax.Array | np.ndarray,
    shapes: ConvShapes,
) -> jax.Array:
    """The sums of a padded x and a kernel of one channel a group, which XLA fuses into one loop."""
    x = jnp.repeat(x, shapes.out_channels // shapes.groups, axis=-1)
    weights = (kernel.astype("int32") - kernel_zero_point).reshape(-1, shapes.out_channels)
    cells = tap_slices(x, padded_layout(x, shapes.windows))
    terms = [
        (cell.astype("int32") - x_zero_point) * weight.reshape((1,) * (x.ndim - 1) + (-1,))
        for cell, weight in zip(cells, weights, strict=True)
    ]
    return reduce(operator.add, terms)


def _by_products(
    x: jax.Array,
    kernel: jax.Array,
    x_zero_point: jax.Array | np.ndarray,
    kernel_zero_point: jax.Array | np.ndarray,
    shapes: ConvShapes,
) -> jax.Array:
    """The sums of a padded x, over T terms each, from sums of int8 products:

        sum xw - b sum x - a (sum w - T b)

    XLA multiplies int8 fast, and uint8 or int32 slowly on CPUs, so uint8 is shifted by 128 first,
    with its zero point. Filters of ones give the sums of x, one filter for each group.
    """
    x, x_zero_point = _signed(x, x_zero_point)
    kernel, kernel_zero_point = _signed(kernel, kernel_zero_point)
    windows, groups = shapes.windows, shapes.groups
    of_kernel = jnp.sum(kernel.reshape(-1, shapes.out_channels), 0, "int32")
    of_kernel = of_kernel.reshape(*x_zero_point.shape[:-1], -1)
    correction = x_zero_point * (of_kernel - shapes.terms * kernel_zero_point)
    if _is_zero(kernel_zero_point):
        return _products(x, kernel, windows, groups) - correction
    *taps, filters = kernel.shape
    by_group = kernel.reshape(*taps, groups, filters // groups)
    with_ones = jnp.concatenate([by_group, jnp.ones((*taps, groups, 1), "int8")], axis=-1)
    y = _products(x, with_ones.reshape(*taps, filters + groups), windows, groups)
    y = y.reshape(*y.shape[:-1], groups, filters // groups + 1)
    of_x = jnp.broadcast_to(y[..., -1:], (*y.shape[:-1], filters // groups))
    y, of_x = (each.reshape(*y.shape[:-2], filters) for each in (y[..., :-1], of_x))
    return y - kernel_zero_point * of_x - correction


def _signed(
    array: jax.Array, zero_point: jax.Array | np.ndarray
) -> tuple[jax.Array, jax.Array | np.ndarray]:
    """The array in int8, and its zero point, with the same difference."""
    if array.dtype == jnp.int8:
        return array, zero_point
    return lax.bitcast_convert_type(array ^ np.uint8(128), jnp.int8), zero_point - np.int32(128)


def _is_zero(zero_point: jax.Array | np.ndarray) -> bool:
    """Whether the zero point is known to be 0 before the program runs."""
    return isinstance(zero_point, np.ndarray) and not zero_point.any()


def _products(x: jax.Array, kernel: jax.Array, windows: Sequence[Window], groups: int) -> jax.Array:
    """The sums, in int32, of the int8 products of a padded x (N, *padded, C) and the kernel.

    XLA is fast over two spatial axes and many channels. So few channels are joined with the taps on
    the last axis, one axis gets another of size 1, and of more axes the first is summed tap by tap.
    """
    *before, last = windows
    if groups == 1 and x.shape[-1] < INTEGER_FEW_CHANNELS and last.kernel_size > 1:
        one = (1,) * len(before)
        x = unfold(
            x,
            (*one, last.kernel_size),
            stride=(*one, last.stride),
            dilation=(*one, last.dilation),
            rounding="floor",
        )
        kernel = kernel.reshape(*kernel.shape[: len(before)], 1, -1, kernel.shape[-1])
        windows = (*before, Window(last.output, 1))
    if len(windows) == 1:
        return _images(x[:, None], kernel[None], windows, groups)[:, 0]
    if len(windows) == 2:
        return _images(x, kernel, windows, groups)
    first, *others = windows
    inner = jax.vmap(partial(_products, windows=others, groups=groups), (1, None), 1)
    span = (first.output - 1) * first.stride + 1
    starts = (tap * first.dilation for tap in range(first.kernel_size))
    terms = [
        inner(lax.slice_in_dim(x, start, start + span, first.stride, axis=1), kernel[tap])
        for tap, start in enumerate(starts)
    ]
    return reduce(operator.add, terms)


def _images(x: jax.Array, kernel: jax.Array, windows: Sequence[Window], groups: int) -> jax.Array:
    one = (1,) * (2 - len(windows))
    return conv_general_dilated(
        x,
        kernel,
        window_strides=(*one, *(window.stride for window in windows)),
        padding=((0, 0), (0, 0)),
        rhs_dilation=(*one, *(window.dilation for window in windows)),
        dimension_numbers=channels_last(2),
        feature_group_count=groups,
        preferred_element_type=jnp.int32,
    )
