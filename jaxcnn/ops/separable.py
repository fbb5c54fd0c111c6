"""Depthwise and separable convolution by grouped convolutions, with one group per channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec

from jaxcnn import shapes as edge
from jaxcnn.keywords import suggest_keywords
from jaxcnn.ops.conv import convolve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.geometry import Padding
    from jaxcnn.shapes import Sharding


@suggest_keywords
def depthwise_conv(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
    padding_mode: str = "zeros",
    precision: lax.PrecisionLike = None,
    out_sharding: Sharding | None = None,
) -> jax.Array:
    """Slides ``multiplier`` filters over each channel separately; channels are never mixed.

        x: (N, *spatial, C) or (*spatial, C)      kernel: (*F, C, multiplier)
        bias: (C * multiplier,)
        returns (N, *k, C * multiplier) or (*k, C * multiplier), with k as in :func:`jaxcnn.conv`

    Filter m of channel c gives feature map c*multiplier + m, as in TensorFlow and Keras.

    Args:
      x: the input; channels last.
      kernel: the filters; the kernel's rank gives the number of spatial axes.
      bias: added to each feature map.
      stride, padding, dilation, rounding, padding_mode, precision, out_sharding: as in
        :func:`jaxcnn.conv`.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit; it says what to type instead.
      TypeError: if dtypes differ, or an argument is of the wrong type.

    >>> import jax.numpy as jnp
    >>> depthwise_conv(jnp.ones((7, 7, 3)), jnp.ones((3, 3, 3, 2))).shape
    (5, 5, 6)
    """
    x, kernel, bias, shapes = edge.depthwise_conv(
        x,
        kernel,
        bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        rounding=rounding,
        padding_mode=padding_mode,
    )
    weights = _one_group_a_channel(kernel)
    divided = shapes.sharding(out_sharding)
    return shapes.restore(convolve(x, weights, bias, shapes, precision, out_sharding=divided))


@suggest_keywords
def separable_conv(
    x: jax.Array,
    depthwise_kernel: jax.Array,
    pointwise_kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
    padding_mode: str = "zeros",
    precision: lax.PrecisionLike = None,
    out_sharding: Sharding | None = None,
) -> jax.Array:
    """A depthwise convolution, then a 1x1 convolution that mixes its feature maps.

        x: (N, *spatial, C) or (*spatial, C)
        depthwise_kernel: (*F, C, multiplier)
        pointwise_kernel: (1, ..., 1, C * multiplier, C_out), a 1 for each spatial axis
        bias: (C_out,)
        returns (N, *k, C_out) or (*k, C_out), with k as in :func:`jaxcnn.conv`

    Args:
      x: the input; channels last.
      depthwise_kernel: the filters of each channel, as in :func:`depthwise_conv`.
      pointwise_kernel: the weights that mix the feature maps.
      bias: added to each mixed feature map.
      stride, padding, dilation, rounding, padding_mode: for the depthwise convolution, as in
        :func:`jaxcnn.conv`.
      precision: for both convolutions, as in :func:`jaxcnn.conv`.
      out_sharding: as in :func:`jaxcnn.conv`; the feature maps between the two convolutions are
        divided along batch and channels as x is.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit; it says what to type instead.
      TypeError: if dtypes differ, or an argument is of the wrong type.

    Source: F. Chollet, "Xception", arXiv:1610.02357 (without an activation in between).

    >>> import jax.numpy as jnp
    >>> separable_conv(jnp.ones((7, 7, 3)), jnp.ones((3, 3, 3, 2)), jnp.ones((1, 1, 6, 8))).shape
    (5, 5, 8)
    """
    x, depthwise_kernel, pointwise_kernel, bias, shapes = edge.separable_conv(
        x,
        depthwise_kernel,
        pointwise_kernel,
        bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        rounding=rounding,
        padding_mode=padding_mode,
    )
    weights = _one_group_a_channel(depthwise_kernel)
    divided = shapes.sharding(out_sharding)
    between = None if divided is None else _between(x)
    maps = convolve(x, weights, None, shapes.depthwise, precision, out_sharding=between)
    maps = maps.astype(x.dtype)
    y = convolve(maps, pointwise_kernel, bias, shapes.pointwise, precision, out_sharding=divided)
    return shapes.restore(y)


def _between(x: jax.Array) -> PartitionSpec:
    """The partition of x along batch and channels alone: a stride may change the spatial sizes."""
    batch, *spatial, channels = jax.typeof(x).sharding.spec
    return PartitionSpec(batch, *[None] * len(spatial), channels)


def _one_group_a_channel(kernel: jax.Array) -> jax.Array:
    """(*F, C, multiplier) as (*F, 1, C * multiplier), the filters ordered by group."""
    filters = lax.collapse(kernel, kernel.ndim - 2)
    return jnp.expand_dims(filters, -2)  # a second step: channels on several devices can only merge
