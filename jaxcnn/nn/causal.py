"""Causal convolution as a Flax NNX module."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import DTypeLike

from jaxcnn.errors import InputError, error_prefix
from jaxcnn.geometry.check import integer
from jaxcnn.keywords import suggest_keywords
from jaxcnn.nn._filtering import Filtering, check_channels
from jaxcnn.ops.causal import causal_conv, causal_conv_state, causal_conv_stream


@suggest_keywords
class CausalConv(Filtering):
    """:func:`jaxcnn.causal_conv` as a layer, with an activation; it also takes chunk after chunk.

        x: (N, T, in_channels) or (T, in_channels)
        returns (N, k, channels) or (k, channels), with k = (T - 1)/stride + 1
        kernel: (kernel_size, in_channels // groups, channels)      bias: (channels,)

    Args:
      in_channels: channels of the input.
      channels: channels of the output.
      kernel_size: taps of the filters.
      stride, dilation, groups, rounding, precision: as in :func:`jaxcnn.causal_conv`.
      use_bias, activation, dtype, param_dtype, rngs: as in :class:`jaxcnn.nn.Conv`.

    Raises:
      InputError: (a ValueError) where a number or a name cannot be; TypeError for a wrong type.

    >>> layer = CausalConv(1, 4, 3, dilation=2, rngs=nnx.Rngs(0))
    >>> state = layer.state()
    >>> y, state = layer.stream(jnp.ones((5, 1)), state)
    >>> y.shape, state.shape
    ((5, 4), (4, 1))
    """

    stride: int
    dilation: int
    groups: int
    precision: lax.PrecisionLike

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        rounding: str = "exact",
        use_bias: bool = True,
        activation: str = "linear",
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        precision: lax.PrecisionLike = None,
        rngs: nnx.Rngs,
    ) -> None:
        with error_prefix("CausalConv"):
            in_channels, channels, groups = check_channels(in_channels, channels, groups)
            shape = (integer("kernel_size", kernel_size, least=1), in_channels // groups, channels)
            super().__init__(
                activation,
                dtype,
                param_dtype,
                1,
                stride=integer("stride", stride, least=1),
                dilation=integer("dilation", dilation, least=1),
                groups=groups,
                rounding=rounding,
                precision=precision,
            )
        self.kernel = self._draw(rngs, shape, fan_in=math.prod(shape[:-1]))
        self.bias = self._zeros((channels,)) if use_bias else None

    def __call__(self, x: jax.Array) -> jax.Array:
        y = causal_conv(*self._in_one_dtype(x, self.kernel, self.bias), **self._arguments)
        return self._activate(y)

    def state(self, batch: int | None = None) -> jax.Array:
        """The state before the first chunk of ``batch`` examples, or of a single one."""
        (kernel,) = self._in_one_dtype(self.kernel)
        return causal_conv_state(kernel, batch=batch, dilation=self.dilation, groups=self.groups)

    def stream(self, chunk: jax.Array, state: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The outputs for the next chunk, and the state: :func:`jaxcnn.causal_conv_stream`.

        Raises:
          InputError: where the layer's stride is not 1, as well as for what does not fit.
        """
        if self.stride != 1:
            raise InputError(
                f"CausalConv: stride {self.stride} gives no output for some cells of a chunk; "
                f"stream with a layer of stride 1, and take every {self.stride}th output"
            )
        y, state = causal_conv_stream(
            *self._in_one_dtype(chunk, state, self.kernel, self.bias),
            dilation=self.dilation,
            groups=self.groups,
            precision=self.precision,
        )
        return self._activate(y), state
