"""Fully connected layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from flax import nnx

from jaxcnn.errors import error_prefix
from jaxcnn.geometry.check import integer
from jaxcnn.keywords import suggest_keywords
from jaxcnn.nn._options import promote_dtype, require_channels
from jaxcnn.nn.activations import find_activation
from jaxcnn.ops.bias import add_bias

if TYPE_CHECKING:
    from jax.typing import DTypeLike

    from jaxcnn.nn._conv_base import ActivationLike


@suggest_keywords
class Dense(nnx.Linear):
    """activation(x @ kernel + bias).

        x: (..., in_features)      returns (..., out_features)

    Args:
      in_features, out_features: the sizes of the last axes of input and output.
      use_bias: whether to add a number to each feature.
      activation: as in :class:`jaxcnn.nn.Conv`; the initial weights have its gain.
      dtype, param_dtype, rngs: as in :class:`jaxcnn.nn.Conv`.

    >>> Dense(4, 2, activation="relu", rngs=nnx.Rngs(0))(jnp.ones((3, 4))).shape
    (3, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        use_bias: bool = True,
        activation: ActivationLike = "linear",
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        with error_prefix(type(self).__name__):
            in_features = integer("in_features", in_features, least=1)
            out_features = integer("out_features", out_features, least=1)
            gain = find_activation(activation).gain
        super().__init__(
            in_features,
            out_features,
            use_bias=use_bias,
            kernel_init=nnx.initializers.variance_scaling(gain, "fan_in", "truncated_normal"),
            dtype=dtype,
            param_dtype=param_dtype,
            rngs=rngs,
        )
        self.activation = activation

    def __call__(self, x: jax.Array) -> jax.Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        require_channels(self, x, "in_features", self.in_features)
        bias = None if self.bias is None else self.bias[...]
        x, kernel, bias = promote_dtype((x, self.kernel[...], bias), dtype=self.dtype)
        return find_activation(self.activation).function(add_bias(x @ kernel, bias))
