"""Batch and layer normalisation that compute in float32 or wider.

Sums of 16-bit numbers are taken in float32. No call depends on JAX's setting of dtype promotion.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxcnn.errors import error_prefix
from jaxcnn.geometry.check import integer
from jaxcnn.keywords import suggest_keywords
from jaxcnn.nn._options import require_channels, require_real

if TYPE_CHECKING:
    from jax.nn.initializers import Initializer
    from jax.typing import DTypeLike


@suggest_keywords
class BatchNorm(nnx.BatchNorm):
    """:class:`flax.nnx.BatchNorm` with the paper's statistics, in float32 or wider.

        x: (N, ..., channels)      returns the same shape, in ``dtype`` or the dtype of x

    In training, each channel is normalised by its mean and variance over all other axes. These
    enter running averages, the variance as the unbiased estimate (m/(m - 1) of the variance of m
    cells), as in PyTorch; Flax and Keras take the biased one. In evaluation (``model.eval()``),
    each channel is normalised by the running averages, as is an empty batch.

    Args:
      channels: the size of the last axis.
      epsilon: added to the variance; above 0.
      momentum: the share of the running averages that a step keeps (PyTorch's is 1 minus this).
      scale_init: initialiser of the learnt scale.
      dtype: dtype of the result; None keeps that of x.
      param_dtype: dtype of scale and bias.
      rngs: random streams for the parameters.

    Source: Ioffe and Szegedy, arXiv:1502.03167, algorithms 1 and 2.

    >>> norm = BatchNorm(3, rngs=nnx.Rngs(0))
    >>> norm(jnp.ones((2, 5, 5, 3), "bfloat16")).dtype, norm.mean.dtype
    (dtype(bfloat16), dtype('float32'))
    """

    def __init__(
        self,
        channels: int,
        *,
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        scale_init: Initializer = nnx.initializers.ones,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        with error_prefix(type(self).__name__):
            channels = integer("channels", channels, least=1)
            require_real("epsilon", epsilon, lambda e: 0 < e < math.inf, "above 0, such as 1e-5")
            require_real("momentum", momentum, lambda m: 0 <= m <= 1, "from 0 to 1, such as 0.9")
        super().__init__(
            channels,
            epsilon=epsilon,
            momentum=momentum,
            scale_init=scale_init,
            dtype=dtype,
            param_dtype=param_dtype,
            rngs=rngs,
        )

    def __call__(self, x: jax.Array, use_running_average: bool | None = None) -> jax.Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        require_channels(self, x, "channels", self.num_features)
        z, cells = _widened(x), math.prod(x.shape[:-1])
        given = self.use_running_average if use_running_average is None else use_running_average
        if given or cells == 0:  # an empty batch has no mean
            mean, var = self.mean[...], self.var[...]
        else:
            axes = tuple(range(x.ndim - 1))
            mean, var = z.mean(axes), z.var(axes)
            self._average(self.mean, mean)
            self._average(self.var, var * (cells / max(cells - 1, 1)))
        y = _scaled(z, mean, var, self)
        return y.astype(self.dtype or _floating(x))

    def _average(self, running: nnx.Variable, value: jax.Array) -> None:
        """Moves a running average towards the value."""
        value = jax.lax.stop_gradient(value).astype(running.dtype)
        # Not running[...] = ..., which asks each tracer for its sharding: the time to trace a
        # network would grow with the square of its length.
        running.set_value(self.momentum * running[...] + (1 - self.momentum) * value)


@suggest_keywords
class LayerNorm(nnx.LayerNorm):
    """:class:`flax.nnx.LayerNorm` over the last axis, in float32 or wider.

        x: (..., channels)      returns the same shape, in ``dtype`` or the dtype of x

    Args:
      channels: the size of the last axis.
      epsilon: added to the variance.
      dtype, param_dtype, rngs: as in :class:`BatchNorm`.

    Source: Ba et al., arXiv:1607.06450.

    >>> LayerNorm(2, rngs=nnx.Rngs(0))(jnp.array([[1.0, 3.0]])).round(3)
    Array([[-1.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        channels: int,
        *,
        epsilon: float = 1e-6,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        with error_prefix(type(self).__name__):
            channels = integer("channels", channels, least=1)
            require_real("epsilon", epsilon, lambda e: 0 < e < math.inf, "above 0, such as 1e-5")
        super().__init__(channels, epsilon=epsilon, dtype=dtype, param_dtype=param_dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        require_channels(self, x, "channels", self.num_features)
        z = _widened(x)
        y = _scaled(z, z.mean(-1, keepdims=True), z.var(-1, keepdims=True), self)
        return y.astype(self.dtype or _floating(x))


def _widened(x: jax.Array) -> jax.Array:
    """x in float32, or in float64 if it has that dtype."""
    return x if x.dtype == jnp.float64 else x.astype(jnp.float32)


def _floating(x: jax.Array) -> Any:
    """The dtype of a result for x: that of x, or float32 for integers."""
    return x.dtype if jnp.issubdtype(x.dtype, jnp.floating) else jnp.float32


def _scaled(z: jax.Array, mean: jax.Array, var: jax.Array, norm: Any) -> jax.Array:
    """(z - mean)/sqrt(var + epsilon) * scale + bias, in the dtype of z."""
    scale, bias = norm.scale[...].astype(z.dtype), norm.bias[...].astype(z.dtype)
    mean, var = _beside(mean.astype(z.dtype), z), _beside(var.astype(z.dtype), z)
    factor = jax.lax.rsqrt(var + norm.epsilon) * _beside(scale, z)
    return (z - mean) * factor + _beside(bias, z)


def _beside(value: jax.Array, z: jax.Array) -> jax.Array:
    """A value of each channel or example, with as many axes as z."""
    return value if value.ndim == z.ndim else value.reshape((1,) * (z.ndim - 1) + value.shape)
