"""Transposed convolution as a Flax NNX module."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from jaxcnn.errors import Advice, InputError, error_prefix
from jaxcnn.keywords import suggest_keywords
from jaxcnn.nn._conv_base import (
    ActivationLike,
    ConvBase,
    ParameterOptions,
    check_channels,
    checked_mask,
)
from jaxcnn.nn._options import PromoteDtype, conv_options, promote_dtype
from jaxcnn.ops.conv import masked
from jaxcnn.ops.conv_transpose import conv_transpose

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jax.nn.initializers import Initializer
    from jax.typing import DTypeLike

    from jaxcnn.geometry import Padding
    from jaxcnn.shapes.arrays import Sharding


@suggest_keywords
class ConvTranspose(ConvBase):
    """:func:`jaxcnn.conv_transpose` as a layer, with an activation.

        x: (N, *k, in_channels) or (*k, in_channels)
        returns (N, *size, out_channels) or (*size, out_channels)
        kernel: (*kernel_size, out_channels // groups, in_channels)      bias: (out_channels,)

    Args:
      in_channels: channels of the input.
      out_channels: channels of the output.
      kernel_size: cells of the kernel on each spatial axis.
      stride, padding, dilation, groups, output_padding: as in :func:`jaxcnn.conv_transpose`.
      mask, preferred_element_type: as in :class:`jaxcnn.nn.Conv`.
      use_bias, activation, kernel_init, bias_init, dtype, param_dtype, precision, promote_dtype,
        kernel_metadata, bias_metadata, rngs: as in :class:`jaxcnn.nn.Conv`. fan_in is
        taps * in_channels / groups / prod(stride), the mean number of taps that meet an input.

    Raises:
      InputError: (a ValueError) for an impossible value, when the layer is built; names the
        argument. TypeError for a wrong type.

    >>> layer = ConvTranspose(6, 3, (4, 4), stride=2, padding=1, rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((8, 8, 6))).shape
    (16, 16, 3)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sequence[int],
        *,
        stride: int | Sequence[int] = 1,
        padding: Padding = "VALID",
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        output_padding: int | Sequence[int] = 0,
        mask: jax.typing.ArrayLike | None = None,
        use_bias: bool = True,
        activation: ActivationLike = "linear",
        kernel_init: Initializer | None = None,
        bias_init: Initializer = nnx.initializers.zeros,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        precision: lax.PrecisionLike = None,
        preferred_element_type: DTypeLike | None = None,
        promote_dtype: PromoteDtype = promote_dtype,
        kernel_metadata: Mapping[str, Any] = MappingProxyType({}),
        bias_metadata: Mapping[str, Any] = MappingProxyType({}),
        rngs: nnx.Rngs,
    ) -> None:
        with error_prefix(type(self).__name__):
            in_channels, out_channels, groups = check_channels(in_channels, out_channels, groups)
            self.options = conv_options(
                kernel_size,
                stride=stride,
                padding=padding,
                dilation=dilation,
                groups=groups,
                output_padding=output_padding,
                least_padding=None,
                dtype=dtype,
                param_dtype=param_dtype,
                precision=precision,
                preferred_element_type=preferred_element_type,
                promote_dtype=promote_dtype,
            )
            _require_below_stride(self.output_padding, self.stride)
            shape = (*self.kernel_size, out_channels // groups, in_channels)
            self.mask = checked_mask(mask, shape)
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
        self.in_channels, self.out_channels, self.activation = in_channels, out_channels, activation
        terms = math.prod(self.kernel_size) * in_channels / groups
        self.kernel = parameters.kernel(shape, fan_in=terms / math.prod(self.stride))
        self.bias = parameters.bias((out_channels,))

    @property
    def output_padding(self) -> tuple[int, ...]:
        return self.options.output_padding

    def __call__(
        self,
        x: jax.Array,
        *,
        output_size: int | Sequence[int] | None = None,
        out_sharding: Sharding | None = None,
    ) -> jax.Array:
        """The layer's output; arguments as in :func:`jaxcnn.conv_transpose`."""
        x, kernel, bias = self._promote(x, self.kernel, self.bias)
        if self.mask is not None:
            kernel = masked(kernel, jnp.asarray(self.mask[...], kernel.dtype))
        options = self.options
        y = conv_transpose(
            x,
            kernel,
            self._in_dtype_of_result(bias),
            stride=options.stride,
            padding=options.padding,
            dilation=options.dilation,
            groups=options.groups,
            output_size=output_size,
            output_padding=options.output_padding,
            precision=options.precision,
            preferred_element_type=options.preferred_element_type,
            out_sharding=out_sharding,
        )
        return self._activate(y)


def _require_below_stride(output_padding: tuple[int, ...], stride: tuple[int, ...]) -> None:
    if any(extra >= step for extra, step in zip(output_padding, stride, strict=True)):
        most = tuple(
            min(extra, step - 1) for extra, step in zip(output_padding, stride, strict=True)
        )
        raise InputError(
            f"output_padding {output_padding} must be below stride {stride} on every axis.",
            Advice("output_padding", (most,)),
        )
