"""The convolution's relatives as Flax NNX modules: transposed, depthwise, separable, local.

Every layer starts its weights as a truncated normal of variance gain/fan_in, as in
:class:`jaxcnn.nn.Conv`, with fan_in the number of products that are summed for one output of its.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import DTypeLike

from jaxcnn.errors import InputError, error_prefix
from jaxcnn.geometry import Padding
from jaxcnn.geometry.check import integer, per_axis
from jaxcnn.keywords import suggest_keywords
from jaxcnn.nn._filtering import Filtering, check_channels, check_filter
from jaxcnn.nn._options import option
from jaxcnn.ops.conv_transpose import conv_transpose
from jaxcnn.ops.local import local_conv
from jaxcnn.ops.separable import depthwise_conv, separable_conv
from jaxcnn.shapes import conv_shapes


@suggest_keywords
class ConvTranspose(Filtering):
    """:func:`jaxcnn.conv_transpose` as a layer, with an activation.

        x: (N, *k, in_channels) or (*k, in_channels)
        returns (N, *size, channels) or (*size, channels)
        kernel: (*kernel_size, channels // groups, in_channels)      bias: (channels,)

    Args:
      in_channels: channels of the input.
      channels: channels of the output.
      kernel_size: the filters' size on each spatial axis, in cells.
      stride, padding, dilation, groups, output_padding, precision: as in
        :func:`jaxcnn.conv_transpose`.
      use_bias, activation, dtype, param_dtype, rngs: as in :class:`jaxcnn.nn.Conv`. fan_in is
        taps * in_channels / groups / prod(stride): of all taps, so many meet an input on average.

    Raises:
      InputError: (a ValueError) where a number or a name cannot be; TypeError for a wrong type.

    >>> layer = ConvTranspose(6, 3, (4, 4), stride=2, padding=1, rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((8, 8, 6))).shape
    (16, 16, 3)
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel_size: Sequence[int],
        *,
        stride: int | Sequence[int] = 1,
        padding: Padding = "VALID",
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        output_padding: int | Sequence[int] = 0,
        use_bias: bool = True,
        activation: str = "linear",
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        precision: lax.PrecisionLike = None,
        rngs: nnx.Rngs,
    ) -> None:
        with error_prefix("ConvTranspose"):
            in_channels, channels, groups = check_channels(in_channels, channels, groups)
            kernel_size = check_filter(kernel_size)
            stride = option("stride", stride, len(kernel_size))
            super().__init__(
                activation,
                dtype,
                param_dtype,
                len(kernel_size),
                stride=stride,
                padding=padding,
                dilation=dilation,
                groups=groups,
                output_padding=output_padding,
                precision=precision,
            )
        strides = per_axis("stride", stride, len(kernel_size), least=1)
        fan_in = math.prod(kernel_size) * in_channels / groups / math.prod(strides)
        self.kernel = self._draw(
            rngs, (*kernel_size, channels // groups, in_channels), fan_in=fan_in
        )
        self.bias = self._zeros((channels,)) if use_bias else None

    def __call__(
        self, x: jax.Array, *, output_size: int | Sequence[int] | None = None
    ) -> jax.Array:
        """The layer's output, of the ``output_size`` that :func:`jaxcnn.conv_transpose` takes."""
        y = conv_transpose(
            *self._in_one_dtype(x, self.kernel, self.bias),
            output_size=output_size,
            **self._arguments,
        )
        return self._activate(y)


@suggest_keywords
class DepthwiseConv(Filtering):
    """:func:`jaxcnn.depthwise_conv` as a layer, with an activation.

        x: (N, *spatial, channels) or (*spatial, channels)
        returns (N, *k, channels * multiplier) or (*k, channels * multiplier)
        kernel: (*kernel_size, channels, multiplier)      bias: (channels * multiplier,)

    Args:
      channels: channels of the input.
      kernel_size: the filters' size on each spatial axis, in cells.
      multiplier: filters for each channel.
      stride, padding, dilation, rounding, padding_mode, precision: as in :func:`jaxcnn.conv`.
      use_bias, activation, dtype, param_dtype, rngs: as in :class:`jaxcnn.nn.Conv`; fan_in is the
        number of taps.

    Raises:
      InputError: (a ValueError) where a number or a name cannot be; TypeError for a wrong type.

    >>> layer = DepthwiseConv(3, (3, 3), multiplier=2, padding="SAME", rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((7, 7, 3))).shape
    (7, 7, 6)
    """

    def __init__(
        self,
        channels: int,
        kernel_size: Sequence[int],
        *,
        multiplier: int = 1,
        stride: int | Sequence[int] = 1,
        padding: Padding = "VALID",
        dilation: int | Sequence[int] = 1,
        rounding: str = "exact",
        padding_mode: str = "zeros",
        use_bias: bool = True,
        activation: str = "linear",
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        precision: lax.PrecisionLike = None,
        rngs: nnx.Rngs,
    ) -> None:
        with error_prefix("DepthwiseConv"):
            channels = integer("channels", channels, least=1)
            multiplier = integer("multiplier", multiplier, least=1)
            kernel_size = check_filter(kernel_size)
            super().__init__(
                activation,
                dtype,
                param_dtype,
                len(kernel_size),
                stride=stride,
                padding=padding,
                dilation=dilation,
                rounding=rounding,
                padding_mode=padding_mode,
                precision=precision,
            )
        shape = (*kernel_size, channels, multiplier)
        self.kernel = self._draw(rngs, shape, fan_in=math.prod(kernel_size))
        self.bias = self._zeros((channels * multiplier,)) if use_bias else None

    def __call__(self, x: jax.Array) -> jax.Array:
        y = depthwise_conv(*self._in_one_dtype(x, self.kernel, self.bias), **self._arguments)
        return self._activate(y)


@suggest_keywords
class SeparableConv(Filtering):
    """:func:`jaxcnn.separable_conv` as a layer, with an activation at its end.

        x: (N, *spatial, in_channels) or (*spatial, in_channels)
        returns (N, *k, channels) or (*k, channels)
        depthwise_kernel: (*kernel_size, in_channels, multiplier)
        pointwise_kernel: (1, ..., 1, in_channels * multiplier, channels)      bias: (channels,)

    Args:
      in_channels: channels of the input.
      channels: channels of the output.
      kernel_size: the depthwise filters' size on each spatial axis, in cells.
      multiplier: depthwise filters for each channel.
      stride, padding, dilation, rounding, padding_mode, precision: as in
        :func:`jaxcnn.separable_conv`.
      use_bias, activation, dtype, param_dtype, rngs: as in :class:`jaxcnn.nn.Conv`. The
        activation's gain goes to the pointwise weights; fan_in is the number of taps, then of
        feature maps.

    Raises:
      InputError: (a ValueError) where a number or a name cannot be; TypeError for a wrong type.

    >>> layer = SeparableConv(3, 8, (3, 3), padding="SAME", rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((7, 7, 3))).shape
    (7, 7, 8)
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel_size: Sequence[int],
        *,
        multiplier: int = 1,
        stride: int | Sequence[int] = 1,
        padding: Padding = "VALID",
        dilation: int | Sequence[int] = 1,
        rounding: str = "exact",
        padding_mode: str = "zeros",
        use_bias: bool = True,
        activation: str = "linear",
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        precision: lax.PrecisionLike = None,
        rngs: nnx.Rngs,
    ) -> None:
        with error_prefix("SeparableConv"):
            in_channels = integer("in_channels", in_channels, least=1)
            channels = integer("channels", channels, least=1)
            multiplier = integer("multiplier", multiplier, least=1)
            kernel_size = check_filter(kernel_size)
            super().__init__(
                activation,
                dtype,
                param_dtype,
                len(kernel_size),
                stride=stride,
                padding=padding,
                dilation=dilation,
                rounding=rounding,
                padding_mode=padding_mode,
                precision=precision,
            )
        shape, maps = (*kernel_size, in_channels, multiplier), in_channels * multiplier
        self.depthwise_kernel = self._draw(rngs, shape, fan_in=math.prod(kernel_size), gain=1.0)
        pointwise = (*(1 for _ in kernel_size), maps, channels)
        self.pointwise_kernel = self._draw(rngs, pointwise, fan_in=maps)
        self.bias = self._zeros((channels,)) if use_bias else None

    def __call__(self, x: jax.Array) -> jax.Array:
        y = separable_conv(
            *self._in_one_dtype(x, self.depthwise_kernel, self.pointwise_kernel, self.bias),
            **self._arguments,
        )
        return self._activate(y)


@suggest_keywords
class LocalConv(Filtering):
    """:func:`jaxcnn.local_conv` as a layer, with an activation, over inputs of one known size.

        x: (N, *input) or input, with input = (*spatial, in_channels)
        returns (N, *k, channels) or (*k, channels)
        kernel: (*k, *kernel_size, in_channels, channels)      bias: (*k, channels)

    Args:
      input: the input's shape without the batch axis, (*spatial, in_channels).
      channels: filters at each place.
      kernel_size: the filters' size on each spatial axis, in cells.
      stride, padding, dilation, rounding, padding_mode, precision: as in :func:`jaxcnn.local_conv`.
      use_bias, activation, dtype, param_dtype, rngs: as in :class:`jaxcnn.nn.Conv`.

    Raises:
      InputError: (a ValueError) where a number or a name cannot be, or the filter does not fit the
        input; TypeError for a wrong type.

    >>> layer = LocalConv((7, 7, 3), 6, (3, 3), rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((2, 7, 7, 3))).shape
    (2, 5, 5, 6)
    """

    def __init__(
        self,
        input: Sequence[int],
        channels: int,
        kernel_size: Sequence[int],
        *,
        stride: int | Sequence[int] = 1,
        padding: Padding = "VALID",
        dilation: int | Sequence[int] = 1,
        rounding: str = "exact",
        padding_mode: str = "zeros",
        use_bias: bool = True,
        activation: str = "linear",
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        precision: lax.PrecisionLike = None,
        rngs: nnx.Rngs,
    ) -> None:
        with error_prefix("LocalConv"):
            input = tuple(integer("input", size, least=1) for size in input)
            kernel_size = check_filter(kernel_size)
            channels = integer("channels", channels, least=1)
            if len(input) != len(kernel_size) + 1:
                raise InputError(
                    f"input {input} does not fit kernel_size {kernel_size}; it must be (*spatial, channels), "
                    f"{len(kernel_size) + 1} numbers, as in {(*(28 for _ in kernel_size), 1)}"
                )
            shared = (*kernel_size, input[-1], channels)
            super().__init__(
                activation,
                dtype,
                param_dtype,
                len(kernel_size),
                stride=stride,
                padding=padding,
                dilation=dilation,
                rounding=rounding,
                padding_mode=padding_mode,
                precision=precision,
            )
            arguments = self._arguments
            del arguments["precision"]
            shapes = conv_shapes(input, shared, **arguments)
        self.kernel = self._draw(rngs, (*shapes.spatial, *shared), fan_in=shapes.terms)
        self.bias = self._zeros(shapes.output) if use_bias else None

    def __call__(self, x: jax.Array) -> jax.Array:
        y = local_conv(*self._in_one_dtype(x, self.kernel, self.bias), **self._arguments)
        return self._activate(y)
