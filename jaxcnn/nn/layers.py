"""Convolution and pooling as Flax NNX modules."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import DTypeLike

from jaxcnn import ops
from jaxcnn.errors import error_prefix
from jaxcnn.geometry import Padding
from jaxcnn.geometry.check import is_sequence
from jaxcnn.keywords import suggest_keywords
from jaxcnn.nn._filtering import Filtering, Mask, check_channels, check_filter
from jaxcnn.nn._options import option
from jaxcnn.shapes.checks import require_mask


@suggest_keywords
class Conv(Filtering):
    """Several filters, slid over the input, and an activation: activation(Wx + b) at each place.

        x: (N, *spatial, in_channels) or (*spatial, in_channels)
        returns (N, *k, channels) or (*k, channels), with k as in :func:`jaxcnn.conv`
        kernel: (*kernel_size, in_channels // groups, channels)      bias: (channels,)

    Args:
      in_channels: channels of the input.
      channels: filters, and so channels of the output.
      kernel_size: the filters' size on each spatial axis, in cells; the number of entries is the
        number of axes.
      stride, padding, dilation, groups, rounding, padding_mode, precision: as in :func:`jaxcnn.conv`.
      mask: as in :func:`jaxcnn.conv`; kept with the layer, not trained.
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
        kernel_size: Sequence[int],
        *,
        stride: int | Sequence[int] = 1,
        padding: Padding = "VALID",
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        rounding: str = "exact",
        padding_mode: str = "zeros",
        mask: jax.typing.ArrayLike | None = None,
        use_bias: bool = True,
        activation: str = "linear",
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        precision: lax.PrecisionLike = None,
        rngs: nnx.Rngs,
    ) -> None:
        with error_prefix("Conv"):
            in_channels, channels, groups = check_channels(in_channels, channels, groups)
            kernel_size = check_filter(kernel_size)
            shape = (*kernel_size, in_channels // groups, channels)
            if mask is not None:
                require_mask(jnp.shape(mask), shape)
            super().__init__(
                activation,
                dtype,
                param_dtype,
                len(kernel_size),
                stride=stride,
                padding=padding,
                dilation=dilation,
                groups=groups,
                rounding=rounding,
                padding_mode=padding_mode,
                precision=precision,
            )
        self.mask = None if mask is None else Mask(jnp.asarray(mask))
        self.kernel = self._draw(rngs, shape, fan_in=math.prod(shape[:-1]))
        self.bias = self._zeros((channels,)) if use_bias else None

    def __call__(self, x: jax.Array) -> jax.Array:
        return ops.conv(
            *self._in_one_dtype(x, self.kernel, self.bias),
            mask=None if self.mask is None else self.mask[...],
            activation=self.activation,
            **self._arguments,
        )


@suggest_keywords
class MaxPool(nnx.Module):
    """:func:`jaxcnn.max_pool` as a layer, with the same arguments.

    >>> import jax.numpy as jnp
    >>> MaxPool((2, 2))(jnp.ones((4, 4, 1))).shape
    (2, 2, 1)
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        *,
        stride: int | Sequence[int] | None = None,
        padding: Padding = "VALID",
        dilation: int | Sequence[int] = 1,
        rounding: str = "exact",
    ) -> None:
        with error_prefix("MaxPool"):
            axes = len(kernel_size) if is_sequence(kernel_size) else None
            self.kernel_size = option("kernel_size", kernel_size, axes)
            self.stride = None if stride is None else option("stride", stride, axes)
            self.padding = option("padding", padding, axes)
            self.dilation = option("dilation", dilation, axes)
            self.rounding = option("rounding", rounding)

    def __call__(self, x: jax.Array) -> jax.Array:
        return ops.max_pool(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            rounding=self.rounding,
        )


@suggest_keywords
class AvgPool(nnx.Module):
    """:func:`jaxcnn.avg_pool` as a layer, with the same arguments.

    >>> import jax.numpy as jnp
    >>> AvgPool((2, 2))(jnp.ones((4, 4, 1))).shape
    (2, 2, 1)
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        *,
        stride: int | Sequence[int] | None = None,
        padding: Padding = "VALID",
        dilation: int | Sequence[int] = 1,
        rounding: str = "exact",
        count_include_pad: bool = False,
    ) -> None:
        with error_prefix("AvgPool"):
            axes = len(kernel_size) if is_sequence(kernel_size) else None
            self.kernel_size = option("kernel_size", kernel_size, axes)
            self.stride = None if stride is None else option("stride", stride, axes)
            self.padding = option("padding", padding, axes)
            self.dilation = option("dilation", dilation, axes)
            self.rounding = option("rounding", rounding)
        self.count_include_pad = bool(count_include_pad)

    def __call__(self, x: jax.Array) -> jax.Array:
        return ops.avg_pool(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            rounding=self.rounding,
            count_include_pad=self.count_include_pad,
        )
