"""Deformable convolution as a Flax NNX module."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from jaxcnn.errors import error_prefix
from jaxcnn.keywords import suggest_keywords
from jaxcnn.nn._conv_base import ActivationLike, ConvBase, ParameterOptions, check_channels
from jaxcnn.nn._options import PromoteDtype, conv_options, promote_dtype
from jaxcnn.ops.deform import deform_conv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jax.nn.initializers import Initializer
    from jax.typing import DTypeLike

    from jaxcnn.geometry import Padding
    from jaxcnn.shapes.arrays import Sharding


@suggest_keywords
class DeformConv(ConvBase):
    """:func:`jaxcnn.deform_conv` as a layer, with an activation; it is called with the offsets.

        x: (N, *spatial, in_channels) or (*spatial, in_channels)
        offset: (N, *k, G*T*axes)      mask: (N, *k, G*T)      T = prod(kernel_size)
        returns (N, *k, out_channels) or (*k, out_channels)
        kernel: (*kernel_size, in_channels // groups, out_channels)      bias: (out_channels,)

    Args:
      in_channels, out_channels, kernel_size: as in :class:`jaxcnn.nn.Conv`.
      stride, padding, dilation, groups, rounding: as in :func:`jaxcnn.deform_conv`.
      use_bias, activation, kernel_init, bias_init, dtype, param_dtype, precision, promote_dtype,
        kernel_metadata, bias_metadata, rngs: as in :class:`jaxcnn.nn.Conv`.

    Raises:
      InputError: (a ValueError) for an impossible value, when the layer is built; names the
        argument. TypeError for a wrong type.

    The offsets keep their dtype: in bfloat16, a distance of 5 cells would be rounded to 1/32.

    The offsets usually come from a convolution with the same windows, whose kernel starts as zeros:

    >>> rngs, zeros = nnx.Rngs(0), nnx.initializers.zeros
    >>> offsets = nnx.Conv(3, 18, (3, 3), padding="VALID", kernel_init=zeros, rngs=rngs)
    >>> layer = DeformConv(3, 6, (3, 3), rngs=rngs)
    >>> x = jnp.ones((2, 7, 7, 3))
    >>> layer(x, offsets(x)).shape
    (2, 5, 5, 6)
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
                kernel_size,
                stride=stride,
                padding=padding,
                dilation=dilation,
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

    def __call__(
        self,
        x: jax.Array,
        offset: jax.Array,
        mask: jax.Array | None = None,
        *,
        out_sharding: Sharding | None = None,
    ) -> jax.Array:
        """The layer's output; the arguments are those of :func:`jaxcnn.deform_conv`."""
        x, kernel, bias = self._promote(x, self.kernel, self.bias)
        options = self.options
        y = deform_conv(
            x,
            offset,
            kernel,
            bias,
            stride=options.stride,
            padding=options.padding,
            dilation=options.dilation,
            groups=options.groups,
            rounding=options.rounding,
            mask=None if mask is None else jnp.asarray(mask, x.dtype),
            precision=options.precision,
            out_sharding=out_sharding,
        )
        return self._activate(y)
