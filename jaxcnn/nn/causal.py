"""Causal convolution as a Flax NNX module."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from jaxcnn.errors import InputError, error_prefix
from jaxcnn.geometry.check import integer
from jaxcnn.keywords import suggest_keywords
from jaxcnn.nn._conv_base import ActivationLike, ConvBase, ParameterOptions, check_channels
from jaxcnn.nn._options import PromoteDtype, conv_options, promote_dtype
from jaxcnn.ops.causal import causal_conv, causal_conv_state, causal_conv_stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jax.nn.initializers import Initializer
    from jax.typing import DTypeLike

    from jaxcnn.shapes.arrays import Sharding


@suggest_keywords
class CausalConv(ConvBase):
    """:func:`jaxcnn.causal_conv` as a layer, with an activation; it can also stream chunks.

        x: (N, T, in_channels) or (T, in_channels)
        returns (N, k, out_channels) or (k, out_channels), with k = (T - 1)/stride + 1
        kernel: (kernel_size, in_channels // groups, out_channels)      bias: (out_channels,)

    Args:
      in_channels: channels of the input.
      out_channels: channels of the output.
      kernel_size: taps of the kernel.
      stride, dilation, groups, rounding: as in :func:`jaxcnn.causal_conv`.
      use_bias, activation, kernel_init, bias_init, dtype, param_dtype, precision, promote_dtype,
        kernel_metadata, bias_metadata, rngs: as in :class:`jaxcnn.nn.Conv`.

    Raises:
      InputError: (a ValueError) when it is built, for an impossible value, naming the argument;
        TypeError for a wrong type.

    >>> layer = CausalConv(1, 4, 3, dilation=2, rngs=nnx.Rngs(0))
    >>> state = layer.state()
    >>> y, state = layer.stream(jnp.ones((5, 1)), state)
    >>> y.shape, state.shape
    ((5, 4), (4, 1))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        rounding: str = "exact",
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
            in_channels, out_channels, groups = check_channels(in_channels, out_channels, groups)
            self.options = conv_options(
                (integer("kernel_size", kernel_size, least=1),),
                stride=integer("stride", stride, least=1),
                padding="CAUSAL",
                dilation=integer("dilation", dilation, least=1),
                groups=groups,
                rounding=rounding,
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
        self.in_channels, self.out_channels, self.activation = in_channels, out_channels, activation
        shape = (*self.kernel_size, in_channels // groups, out_channels)
        self.kernel = parameters.kernel(shape, fan_in=math.prod(shape[:-1]))
        self.bias = parameters.bias((out_channels,))

    def __call__(self, x: jax.Array, *, out_sharding: Sharding | None = None) -> jax.Array:
        """The layer's output; ``out_sharding`` as in :func:`jaxcnn.conv`."""
        x, kernel, bias = self._promote(x, self.kernel, self.bias)
        options = self.options
        y = causal_conv(
            x,
            kernel,
            bias,
            stride=options.stride[0],
            dilation=options.dilation[0],
            groups=options.groups,
            rounding=options.rounding,
            precision=options.precision,
            out_sharding=out_sharding,
        )
        return self._activate(y)

    def state(self, batch: int | None = None) -> jax.Array:
        """The state before the first chunk, for ``batch`` examples; None for one example."""
        (kernel,) = self._promote(self.kernel)
        return causal_conv_state(
            kernel, batch=batch, dilation=self.options.dilation[0], groups=self.groups
        )

    def stream(
        self, chunk: jax.Array, state: jax.Array, *, out_sharding: Sharding | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """The outputs for the next chunk, and the new state: :func:`jaxcnn.causal_conv_stream`.

        Raises:
          InputError: if the layer's stride is not 1, or if arrays do not fit.
        """
        (stride,) = self.stride
        if stride != 1:
            raise InputError(
                f"CausalConv: stride {stride} gives no output for some cells of a chunk; stream "
                f"with a layer of stride 1, and take every {stride}th output"
            )
        y, state = causal_conv_stream(
            *self._promote(chunk, state, self.kernel, self.bias),
            dilation=self.options.dilation[0],
            groups=self.groups,
            precision=self.options.precision,
            out_sharding=out_sharding,
        )
        return self._activate(y), state
