"""One number added to each feature map."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxcnn.shapes import widened


def add_bias(y: jax.Array, bias: jax.Array | None) -> jax.Array:
    """y (..., C) + bias, where there is one; its gradient is summed in float32 at least.

    Rounded twice, to float32 and to 16 bits, a sum of two 16-bit numbers is the one that rounding
    once gives: float32 has the 2p + 2 digits for it that S. A. Figueroa, "When is double rounding
    innocuous?", SIGNUM Newsletter 30(3), 1995, asks for.

    Args:
      y: the feature maps.
      bias: of the shape of y's last axes, or None.
    """
    if bias is None:
        return y
    bias = jnp.expand_dims(bias, tuple(range(y.ndim - bias.ndim)))
    return (widened(y) + widened(bias)).astype(y.dtype)
