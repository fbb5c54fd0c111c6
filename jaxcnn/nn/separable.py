"""Depthwise and separable convolution as Flax NNX modules."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from jaxcnn.errors import error_prefix
from jaxcnn.geometry.check import integer
from jaxcnn.keywords import suggest_keywords
from jaxcnn.nn._conv_base import ActivationLike, ConvBase, ParameterOptions
from jaxcnn.nn._options import PromoteDtype, conv_options, promote_dtype
from jaxcnn.ops.separable import depthwise_conv, separable_conv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jax.nn.initializers import Initializer
    from jax.typing import DTypeLike

    from jaxcnn.geometry import Padding
    from jaxcnn.shapes.arrays import Sharding


@suggest_keywords
class DepthwiseConv(ConvBase):
    """:func:`jaxcnn.depthwise_conv` as a layer, with an activation.

        x: (N, *spatial, in_channels) or (*spatial, in_channels)
        returns (N, *k, out_channels) or (*k, out_channels)
        kernel: (*kernel_size, in_channels, depth_multiplier)      bias: (out_channels,)
        out_channels = in_channels * depth_multiplier

    Args:
      in_channels: channels of the input.
      kernel_size: cells of the kernel on each spatial axis.
      depth_multiplier: output channels for each input channel.
      stride, padding, dilation, rounding, padding_mode: as in :func:`jaxcnn.conv`.
      use_bias, activation, kernel_init, bias_init, dtype, param_dtype, precision, promote_dtype,
        kernel_metadata, bias_metadata, rngs: as in :class:`jaxcnn.nn.Conv`. fan_in is
        the number of taps.

    Raises:
      InputError: (a ValueError) for an impossible value, when the layer is built; names the
        argument. TypeError for a wrong type.

    >>> layer = DepthwiseConv(3, (3, 3), depth_multiplier=2, padding="SAME", rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((7, 7, 3))).shape
    (7, 7, 6)
    """

    def __init__(
        self,
        in_channels: int,
        kernel_size: Sequence[int],
        *,
        depth_multiplier: int = 1,
        stride: int | Sequence[int] = 1,
        padding: Padding = "VALID",
        dilation: int | Sequence[int] = 1,
        rounding: str = "exact",
        padding_mode: str = "zeros",
        use_bias: bool = True,
        activation: ActivationLike = "linear",
        kernel_init: Initializer | None = None,
        bias_init: Initializer = nnx.initializers.zeros,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        precision: lax.PrecisionLike = None,
        promote_dtype: PromoteDtype = promote_dtype,
        kernel_metadata: Mapping[str, Any] = MappingProxyType({}),
        bias_metadata: Mapping[str, Any] = MappingProxyType({}),
        rngs: nnx.Rngs,
    ) -> None:
        with error_prefix(type(self).__name__):
            in_channels = integer("in_channels", in_channels, least=1)
            multiplier = integer("depth_multiplier", depth_multiplier, least=1)
            self.options = conv_options(
                kernel_size,
                stride=stride,
                padding=padding,
                dilation=dilation,
                groups=in_channels,
                rounding=rounding,
                padding_mode=padding_mode,
                dtype=dtype,
                param_dtype=param_dtype,
                precision=precision,
                promote_dtype=promote_dtype,
            )
            parameters = ParameterOptions(
                rngs=rngs,
                use_bias=use_bias,
                activation=activation,
                kernel_init=kernel_init,
                bias_init=bias_init,
                param_dtype=self.param_dtype,
                kernel_metadata=kernel_metadata,
                bias_metadata=bias_metadata,
            )
        self.in_channels, self.out_channels = in_channels, in_channels * multiplier
        self.depth_multiplier, self.activation = multiplier, activation
        shape = (*self.kernel_size, in_channels, multiplier)
        self.kernel = parameters.kernel(shape, fan_in=math.prod(self.kernel_size))
        self.bias = parameters.bias((self.out_channels,))

    def __call__(self, x: jax.Array, *, out_sharding: Sharding | None = None) -> jax.Array:
        """The layer's output, divided among devices as ``out_sharding`` of :func:`jaxcnn.conv`."""
        x, kernel, bias = self._promote(x, self.kernel, self.bias)
        options = self.options
        y = depthwise_conv(
            x,
            kernel,
            bias,
            stride=options.stride,
            padding=options.padding,
            dilation=options.dilation,
            rounding=options.rounding,
            padding_mode=options.padding_mode,
            precision=options.precision,
            out_sharding=out_sharding,
        )
        return self._activate(y)


@suggest_keywords
class SeparableConv(ConvBase):
    """:func:`jaxcnn.separable_conv` as a layer, with an activation at the end.

        x: (N, *spatial, in_channels) or (*spatial, in_channels)
        returns (N, *k, out_channels) or (*k, out_channels)
        depthwise_kernel: (*kernel_size, in_channels, depth_multiplier)
        pointwise_kernel: (1, ..., 1, in_channels * depth_multiplier, out_channels)
        bias: (out_channels,)

    Args:
      in_channels: channels of the input.
      out_channels: channels of the output.
      kernel_size: cells of the depthwise kernel on each spatial axis.
      depth_multiplier: depthwise outputs for each input channel.
      stride, padding, dilation, rounding, padding_mode: as in :func:`jaxcnn.separable_conv`.
      use_bias, activation, kernel_init, bias_init, dtype, param_dtype, precision, promote_dtype,
        kernel_metadata, bias_metadata, rngs: as in :class:`jaxcnn.nn.Conv`;
        kernel_init and kernel_metadata apply to both kernels. The activation's gain applies to the
        pointwise kernel. fan_in is the number of taps, then of depthwise feature maps.

    Raises:
      InputError: (a ValueError) for an impossible value, when the layer is built; names the
        argument. TypeError for a wrong type.

    >>> layer = SeparableConv(3, 8, (3, 3), padding="SAME", rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((7, 7, 3))).shape
    (7, 7, 8)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sequence[int],
        *,
        depth_multiplier: int = 1,
        stride: int | Sequence[int] = 1,
        padding: Padding = "VALID",
        dilation: int | Sequence[int] = 1,
        rounding: str = "exact",
        padding_mode: str = "zeros",
        use_bias: bool = True,
        activation: ActivationLike = "linear",
        kernel_init: Initializer | None = None,
        bias_init: Initializer = nnx.initializers.zeros,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        precision: lax.PrecisionLike = None,
        promote_dtype: PromoteDtype = promote_dtype,
        kernel_metadata: Mapping[str, Any] = MappingProxyType({}),
        bias_metadata: Mapping[str, Any] = MappingProxyType({}),
        rngs: nnx.Rngs,
    ) -> None:
        with error_prefix(type(self).__name__):
            in_channels = integer("in_channels", in_channels, least=1)
            out_channels = integer("out_channels", out_channels, least=1)
            multiplier = integer("depth_multiplier", depth_multiplier, least=1)
            self.options = conv_options(
                kernel_size,
                stride=stride,
                padding=padding,
                dilation=dilation,
                groups=in_channels,
                rounding=rounding,
                padding_mode=padding_mode,
                dtype=dtype,
                param_dtype=param_dtype,
                precision=precision,
                promote_dtype=promote_dtype,
            )
            parameters = ParameterOptions(
                rngs=rngs,
                use_bias=use_bias,
                activation=activation,
                kernel_init=kernel_init,
                bias_init=bias_init,
                param_dtype=self.param_dtype,
                kernel_metadata=kernel_metadata,
                bias_metadata=bias_metadata,
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.depth_multiplier, self.activation = multiplier, activation
        taps, maps = math.prod(self.kernel_size), in_channels * multiplier
        depthwise = (*self.kernel_size, in_channels, multiplier)
        pointwise = (*(1 for _ in self.kernel_size), maps, out_channels)
        self.depthwise_kernel = parameters.kernel(depthwise, fan_in=taps, gain=1.0)
        self.pointwise_kernel = parameters.kernel(pointwise, fan_in=maps)
        self.bias = parameters.bias((out_channels,))

    def __call__(self, x: jax.Array, *, out_sharding: Sharding | None = None) -> jax.Array:
        """The layer's output, divided among devices as ``out_sharding`` of :func:`jaxcnn.conv`."""
        x, depthwise_kernel, pointwise_kernel, bias = self._promote(
            x, self.depthwise_kernel, self.pointwise_kernel, self.bias
        )
        options = self.options
        y = separable_conv(
            x,
            depthwise_kernel,
            pointwise_kernel,
            bias,
            stride=options.stride,
            padding=options.padding,
            dilation=options.dilation,
            rounding=options.rounding,
            padding_mode=options.padding_mode,
            precision=options.precision,
            out_sharding=out_sharding,
        )
        return self._activate(y)
