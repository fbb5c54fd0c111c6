"""Locally connected layers as Flax NNX modules."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from jaxcnn.errors import InputError, error_prefix
from jaxcnn.geometry.check import integer
from jaxcnn.keywords import suggest_keywords
from jaxcnn.nn._conv_base import ActivationLike, ConvBase, ParameterOptions
from jaxcnn.nn._options import PromoteDtype, check_shape, conv_options, promote_dtype
from jaxcnn.ops.local import local_conv
from jaxcnn.shapes import conv_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jax.nn.initializers import Initializer
    from jax.typing import DTypeLike

    from jaxcnn.geometry import Padding
    from jaxcnn.shapes.arrays import Sharding


@suggest_keywords
class LocalConv(ConvBase):
    """:func:`jaxcnn.local_conv` as a layer, with an activation, over inputs of one known size.

        x: (N, *input_shape) or input_shape, with input_shape = (*spatial, in_channels)
        returns (N, *k, out_channels) or (*k, out_channels)
        kernel: (*k, *kernel_size, in_channels, out_channels)      bias: (*k, out_channels)

    Args:
      input_shape: the input's shape without the batch axis, (*spatial, in_channels).
      out_channels: channels of the output.
      kernel_size: cells of the kernels on each spatial axis.
      stride, padding, dilation, rounding, padding_mode: as in :func:`jaxcnn.local_conv`.
      use_bias, activation, kernel_init, bias_init, dtype, param_dtype, precision, promote_dtype,
        kernel_metadata, bias_metadata, rngs: as in :class:`jaxcnn.nn.Conv`.

    Raises:
      InputError: (a ValueError) for an impossible value, or a kernel that does not fit the input,
        when the layer is built; names the argument. TypeError for a wrong type.

    >>> layer = LocalConv((7, 7, 3), 6, (3, 3), rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((2, 7, 7, 3))).shape
    (2, 5, 5, 6)
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        out_channels: int,
        kernel_size: Sequence[int],
        *,
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
            input_shape = check_shape(input_shape)
            out_channels = integer("out_channels", out_channels, least=1)
            self.options = conv_options(
                kernel_size,
                stride=stride,
                padding=padding,
                dilation=dilation,
                rounding=rounding,
                padding_mode=padding_mode,
                dtype=dtype,
                param_dtype=param_dtype,
                precision=precision,
                promote_dtype=promote_dtype,
            )
            axes = len(self.kernel_size)
            if len(input_shape) != axes + 1:
                raise InputError(
                    f"input_shape {input_shape} does not fit kernel_size {self.kernel_size}; use "
                    f"(*spatial, channels), {axes + 1} numbers, as in {(*(28,) * axes, 1)}"
                )
            shared = (*self.kernel_size, input_shape[-1], out_channels)
            shapes = conv_shapes(
                input_shape,
                shared,
                stride=self.stride,
                padding=self.padding,
                dilation=self.dilation,
                rounding=rounding,
                padding_mode=padding_mode,
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
        self.in_channels, self.out_channels = input_shape[-1], out_channels
        self.input_shape, self.activation = input_shape, activation
        self.kernel = parameters.kernel((*shapes.spatial, *shared), fan_in=shapes.terms)
        self.bias = parameters.bias(shapes.output)

    def __call__(self, x: jax.Array, *, out_sharding: Sharding | None = None) -> jax.Array:
        """The layer's output; ``out_sharding`` as in :func:`jaxcnn.conv`."""
        x, kernel, bias = self._promote(x, self.kernel, self.bias)
        options = self.options
        y = local_conv(
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
