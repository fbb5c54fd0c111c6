"""Convolution and pooling as Flax NNX modules."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import DTypeLike

from jaxcnn import ops
from jaxcnn.errors import InputError, speaking_as
from jaxcnn.geometry import Padding
from jaxcnn.geometry._check import integer, is_sequence
from jaxcnn.nn.activations import activation as activation_named


class Conv(nnx.Module):
    """Several filters, slid over the input, and an activation: activation(Wx + b) at each place.

        x: (N, *spatial, in_channels) or (*spatial, in_channels)
        returns (N, *k, channels) or (*k, channels), with k as in :func:`jaxcnn.conv`
        kernel: (*filter, in_channels // groups, channels)      bias: (channels,)

    Args:
      in_channels: channels of the input.
      channels: filters, and so channels of the output.
      filter: the filters' size on each spatial axis, in cells; the number of entries is the
        number of axes.
      stride, padding, dilation, groups, rounding, precision: as in :func:`jaxcnn.conv`.
      use_bias: whether a number is added to each feature map.
      activation: its name; ``"linear"`` for none. Weights start as a truncated normal of variance
        gain/fan_in, with the gain that suits it (2 for rectifiers: He et al., arXiv:1502.01852).
      dtype: what is computed in; None for that of the input and the parameters together.
      param_dtype: what the parameters are kept in.
      rngs: where the weights are drawn from; the same seed gives the same weights.

    Raises:
      InputError: (a ValueError) where a number or a name cannot be; TypeError for a wrong type.

    >>> import jax.numpy as jnp
    >>> layer = Conv(1, 6, (3, 3), activation="relu", rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((7, 7, 1))).shape
    (5, 5, 6)
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        filter: Sequence[int],
        *,
        stride: int | Sequence[int] = 1,
        padding: Padding = "VALID",
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        rounding: str = "exact",
        use_bias: bool = True,
        activation: str = "linear",
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        precision: lax.PrecisionLike = None,
        rngs: nnx.Rngs,
    ) -> None:
        with speaking_as("Conv"):
            in_channels = integer("in_channels", in_channels, least=1)
            channels = integer("channels", channels, least=1)
            groups = integer("groups", groups, least=1)
            if not is_sequence(filter):
                raise TypeError(
                    f"filter must list one size for each spatial axis, got {filter!r}; for images "
                    f"use ({filter!r}, {filter!r})"
                )
            filter = tuple(integer("filter", size, least=1) for size in filter)
            for name, number in (("in_channels", in_channels), ("channels", channels)):
                if number % groups:
                    raise InputError(
                        f"groups {groups} does not divide {name} {number}; use {name} "
                        f"{number - number % groups or groups} or {number + groups - number % groups}"
                    )
            self.activation = activation
            gain = activation_named(activation).gain
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.groups, self.rounding, self.precision = groups, rounding, precision
        self.dtype = dtype
        init = nnx.initializers.variance_scaling(gain, "fan_in", "truncated_normal")
        shape = (*filter, in_channels // groups, channels)
        self.kernel = nnx.Param(init(rngs.params(), shape, param_dtype))
        self.bias = nnx.Param(jnp.zeros((channels,), param_dtype)) if use_bias else None

    def __call__(self, x: jax.Array) -> jax.Array:
        kernel, bias = self.kernel[...], None if self.bias is None else self.bias[...]
        dtype = self.dtype or jnp.result_type(x, kernel)
        y = ops.conv(
            jnp.asarray(x, dtype),
            kernel.astype(dtype),
            None if bias is None else bias.astype(dtype),
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            rounding=self.rounding,
            precision=self.precision,
        )
        return activation_named(self.activation).function(y)


class MaxPool(nnx.Module):
    """:func:`jaxcnn.max_pool` as a layer, with the same arguments.

    >>> import jax.numpy as jnp
    >>> MaxPool((2, 2))(jnp.ones((4, 4, 1))).shape
    (2, 2, 1)
    """

    def __init__(
        self,
        window: int | Sequence[int],
        *,
        stride: int | Sequence[int] | None = None,
        padding: Padding = "VALID",
        dilation: int | Sequence[int] = 1,
        rounding: str = "exact",
    ) -> None:
        self.window, self.stride, self.padding = window, stride, padding
        self.dilation, self.rounding = dilation, rounding

    def __call__(self, x: jax.Array) -> jax.Array:
        return ops.max_pool(
            x,
            self.window,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            rounding=self.rounding,
        )


class AvgPool(nnx.Module):
    """:func:`jaxcnn.avg_pool` as a layer, with the same arguments.

    >>> import jax.numpy as jnp
    >>> AvgPool((2, 2))(jnp.ones((4, 4, 1))).shape
    (2, 2, 1)
    """

    def __init__(
        self,
        window: int | Sequence[int],
        *,
        stride: int | Sequence[int] | None = None,
        padding: Padding = "VALID",
        dilation: int | Sequence[int] = 1,
        rounding: str = "exact",
        count_include_pad: bool = False,
    ) -> None:
        self.window, self.stride, self.padding = window, stride, padding
        self.dilation, self.rounding = dilation, rounding
        self.count_include_pad = count_include_pad

    def __call__(self, x: jax.Array) -> jax.Array:
        return ops.avg_pool(
            x,
            self.window,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            rounding=self.rounding,
            count_include_pad=self.count_include_pad,
        )
