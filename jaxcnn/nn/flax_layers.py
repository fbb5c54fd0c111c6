"""Flax's BatchNorm and Linear with this library's dtypes and initial weights.

For the text form and the models. Sums of 16-bit numbers are taken in float32, and no call depends
on JAX's setting of dtype promotion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxcnn.geometry.check import integer
from jaxcnn.nn._options import promote_dtype
from jaxcnn.nn.activations import find_activation
from jaxcnn.ops.bias import add_bias

if TYPE_CHECKING:
    from jax.nn.initializers import Initializer
    from jax.typing import DTypeLike


class BatchNorm(nnx.BatchNorm):
    """:class:`flax.nnx.BatchNorm` that computes in float32, whatever the dtype of x.

        x: (N, ..., channels)      returns the same shape, in ``dtype`` or the dtype of x

    In training, each channel is normalised by its mean and variance over all other axes, and these
    enter running averages; in evaluation (``model.eval()``), by the running averages.

    Args:
      channels: the size of the last axis.
      momentum: the share of the running averages that a step keeps.
      scale_init: initialiser of the learnt scale.
      dtype: dtype of the result; None keeps that of x.
      param_dtype: dtype of scale and bias.
      rngs: random streams for the parameters.

    Source: Ioffe and Szegedy, arXiv:1502.03167.

    >>> norm = BatchNorm(3, rngs=nnx.Rngs(0))
    >>> norm(jnp.ones((2, 5, 5, 3), "bfloat16")).dtype, norm.mean.dtype
    (dtype(bfloat16), dtype('float32'))
    """

    def __init__(
        self,
        channels: int,
        *,
        momentum: float = 0.9,
        scale_init: Initializer = nnx.initializers.ones,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        super().__init__(
            channels,
            momentum=momentum,
            scale_init=scale_init,
            param_dtype=param_dtype,
            promote_dtype=_in_float32,
            rngs=rngs,
        )
        self.result_dtype = dtype

    def __call__(self, x: jax.Array, **options: Any) -> jax.Array:
        y = super().__call__(x, **options)
        dtype = x.dtype if jnp.issubdtype(x.dtype, jnp.floating) else y.dtype
        return y.astype(self.result_dtype or dtype)


def _in_float32(arrays: Any, /, **_: Any) -> Any:
    return tuple(None if array is None else array.astype(jnp.float32) for array in arrays)


class Dense(nnx.Linear):
    """activation(x @ kernel + bias).

        x: (..., in_features)      returns (..., out_features)

    Args:
      in_features, out_features: the sizes of the last axes of input and output.
      use_bias: whether to add a number to each feature.
      activation: an activation's name; the initial weights have its gain, as in
        :class:`jaxcnn.nn.Conv`.
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
        activation: str = "linear",
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
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
        bias = None if self.bias is None else self.bias[...]
        x, kernel, bias = promote_dtype((x, self.kernel[...], bias), dtype=self.dtype)
        return find_activation(self.activation).function(add_bias(x @ kernel, bias))
