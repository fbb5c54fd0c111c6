"""Convolution as a Flax NNX module."""

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
from jaxcnn.nn._conv_base import (
    ActivationLike,
    ConvBase,
    ParameterOptions,
    check_channels,
    checked_mask,
)
from jaxcnn.nn._options import PromoteDtype, conv_options, promote_dtype
from jaxcnn.ops.conv import conv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jax.nn.initializers import Initializer
    from jax.typing import DTypeLike

    from jaxcnn.geometry import Padding
    from jaxcnn.shapes.arrays import Sharding


@suggest_keywords
class Conv(ConvBase):
    """:func:`jaxcnn.conv` as a layer, with an activation.

        x: (N, *spatial, in_channels) or (*spatial, in_channels)
        returns (N, *k, out_channels) or (*k, out_channels), with k as in :func:`jaxcnn.conv`
        kernel: (*kernel_size, in_channels // groups, out_channels)      bias: (out_channels,)

    Args:
      in_channels: channels of the input.
      out_channels: channels of the output.
      kernel_size: cells of the kernel on each spatial axis; the number of entries is the number of
        axes.
      stride, padding, dilation, groups, rounding, padding_mode: as in :func:`jaxcnn.conv`.
      mask: as in :func:`jaxcnn.conv`; stored in the layer, not trained.
      use_bias: whether to add a number to each feature map.
      activation: a name, such as ``"relu"``, or a function of an array; ``"linear"`` for none.
      kernel_init, bias_init: Flax initialisers, (key, shape, dtype) -> array. By default the
        kernel is drawn from a truncated normal of variance gain/fan_in, with the activation's gain
        (2 for rectifiers: He et al., arXiv:1502.01852; 1 for an unknown function).
      dtype: dtype of the computation; None promotes the dtypes of input and parameters.
      param_dtype: dtype of the parameters.
      precision, preferred_element_type, algorithm: as in :func:`jaxcnn.conv`; the bias is added in
        preferred_element_type.
      promote_dtype: converts (x, kernel, bias) to one dtype, as in :class:`flax.nnx.Conv`.
      kernel_metadata, bias_metadata: metadata of the parameters' :class:`flax.nnx.Param`.
      rngs: random streams for the parameters; the same seed gives the same weights.

    Raises:
      InputError: (a ValueError) for an impossible value, when the layer is built; names the
        argument. TypeError for a wrong type.

    >>> layer = Conv(1, 6, (3, 3), activation="relu", rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((7, 7, 1))).shape
    (5, 5, 6)
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
        padding_mode: str = "zeros",
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
        algorithm: str | None = None,
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
                padding_mode=padding_mode,
                dtype=dtype,
                param_dtype=param_dtype,
                precision=precision,
                preferred_element_type=preferred_element_type,
                promote_dtype=promote_dtype,
                algorithm=algorithm,
            )
            shape = (*self.kernel_size, in_channels // groups, out_channels)
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
        self.kernel = parameters.kernel(shape, fan_in=math.prod(shape[:-1]))
        self.bias = parameters.bias((out_channels,))

    def __call__(self, x: jax.Array, *, out_sharding: Sharding | None = None) -> jax.Array:
        """The layer's output; ``out_sharding`` as in :func:`jaxcnn.conv`."""
        x, kernel, bias = self._promote(x, self.kernel, self.bias)
        options = self.options
        y = conv(
            x,
            kernel,
            self._in_dtype_of_result(bias),
            stride=options.stride,
            padding=options.padding,
            dilation=options.dilation,
            groups=options.groups,
            rounding=options.rounding,
            padding_mode=options.padding_mode,
            mask=None if self.mask is None else self.mask[...],
            precision=options.precision,
            preferred_element_type=options.preferred_element_type,
            algorithm=options.algorithm,
            out_sharding=out_sharding,
        )
        return self._activate(y)
