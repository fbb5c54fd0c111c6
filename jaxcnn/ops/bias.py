"""A bias: one number added to each feature map."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxcnn.shapes import widened


def add_bias(y: jax.Array, bias: jax.Array | None) -> jax.Array:
    """y (..., C) plus the bias, if any; the bias's gradient is summed in float32 at least.

    A sum of two 16-bit numbers is rounded twice, to float32 and then to 16 bits. The result is the
    same as with one rounding, because float32 has the required 2p + 2 digits (S. A. Figueroa, "When
    is double rounding innocuous?", SIGNUM Newsletter 30(3), 1995).

    Args:
      y: the feature maps.
      bias: has the shape of y's last axes, or is None.
    """
    if bias is None:
        return y
    bias = jnp.expand_dims(bias, tuple(range(y.ndim - bias.ndim)))
    return (widened(y) + widened(bias)).astype(y.dtype)
