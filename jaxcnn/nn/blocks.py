"""Blocks that many networks share: a normalised convolution, a gate for each channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flax import nnx

from jaxcnn.errors import error_prefix
from jaxcnn.geometry.check import integer
from jaxcnn.keywords import suggest_keywords
from jaxcnn.nn._options import require_channels
from jaxcnn.nn.activations import find_activation
from jaxcnn.nn.conv import Conv
from jaxcnn.nn.dense import Dense
from jaxcnn.nn.norm import BatchNorm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import jax

    from jaxcnn.geometry import Padding
    from jaxcnn.nn._conv_base import ActivationLike


@suggest_keywords
class ConvNorm(nnx.Module):
    """activation(norm(conv(x))); the convolution has no bias, as the norm has one.

        x: (N, *spatial, in_channels)      returns (N, *k, out_channels), with k as in jaxcnn.conv

    Args:
      in_channels, out_channels, kernel_size, stride, padding, dilation, groups, rounding: as in
        :class:`jaxcnn.nn.Conv`.
      norm: a function ``(channels, *, rngs)`` that returns the norm.
      activation: as in :class:`jaxcnn.nn.Conv`.
      rngs: random streams for the parameters.

    Attributes:
      conv, norm: the two layers.

    >>> import jax.numpy as jnp
    >>> layer = ConvNorm(3, 8, (3, 3), padding=1, activation="relu", rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((2, 5, 5, 3))).shape
    (2, 5, 5, 8)
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
        rounding: str = "exact",
        norm: Callable[..., nnx.Module] = BatchNorm,
        activation: ActivationLike = "linear",
        rngs: nnx.Rngs,
    ) -> None:
        with error_prefix(type(self).__name__):
            find_activation(activation)
            if not callable(norm):
                raise TypeError(
                    f"norm must be a function (channels, *, rngs) that returns the norm, got "
                    f"{norm!r}; for a convolution alone, use jaxcnn.nn.Conv"
                )
            self.conv = Conv(
                in_channels,
                out_channels,
                kernel_size,
                stride=stride,
                padding=padding,
                dilation=dilation,
                groups=groups,
                rounding=rounding,
                use_bias=False,
                rngs=rngs,
            )
        self.norm = norm(out_channels, rngs=rngs)
        self.activation = activation

    def __call__(self, x: jax.Array) -> jax.Array:
        return find_activation(self.activation).function(self.norm(self.conv(x)))  # pyright: ignore[reportCallIssue]


@suggest_keywords
class SqueezeExcite(nnx.Module):
    """Multiplies each channel by a gate, a function of the means of all channels.

        x: (N, *spatial, channels)      returns the same shape
        gate(expand(activation(squeeze(mean of x over its cells))))

    Args:
      channels: channels of x.
      squeeze_channels: outputs of the first dense layer.
      activation, gate: as ``activation`` in :class:`jaxcnn.nn.Conv`.
      rngs: random streams for the parameters.

    Attributes:
      squeeze, expand: the two dense layers.

    Source: Hu et al., arXiv:1709.01507, section 3.

    >>> import jax.numpy as jnp
    >>> SqueezeExcite(8, 2, rngs=nnx.Rngs(0))(jnp.ones((2, 5, 5, 8))).shape
    (2, 5, 5, 8)
    """

    def __init__(
        self,
        channels: int,
        squeeze_channels: int,
        *,
        activation: ActivationLike = "relu",
        gate: ActivationLike = "sigmoid",
        rngs: nnx.Rngs,
    ) -> None:
        with error_prefix(type(self).__name__):
            channels = integer("channels", channels, least=1)
            squeeze_channels = integer("squeeze_channels", squeeze_channels, least=1)
            for option in (activation, gate):
                find_activation(option)
        self.squeeze = Dense(channels, squeeze_channels, activation=activation, rngs=rngs)
        self.expand = Dense(squeeze_channels, channels, activation=gate, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        require_channels(self, x, "channels", self.squeeze.in_features)
        means = x.mean(tuple(range(1, x.ndim - 1)))
        gates = self.expand(self.squeeze(means))
        return x * gates.reshape((x.shape[0], *(1,) * (x.ndim - 2), x.shape[-1]))
