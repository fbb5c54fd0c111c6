"""Augmentation of images, on the device inside the training step."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax


def random_shift(key: jax.Array, images: jax.Array, max_shift: int) -> jax.Array:
    """Shifts each image by up to ``max_shift`` cells on each axis; zeros fill the edges.

        images: (N, H, W, C)      returns (N, H, W, C)

    >>> random_shift(jax.random.key(0), jnp.ones((2, 4, 4, 1)), 1).shape
    (2, 4, 4, 1)
    """
    n, height, width, channels = images.shape
    padded = jnp.pad(images, [(0, 0), (max_shift, max_shift), (max_shift, max_shift), (0, 0)])
    starts = jax.random.randint(key, (n, 2), 0, 2 * max_shift + 1)

    def cut(image: jax.Array, start: jax.Array) -> jax.Array:
        return lax.dynamic_slice(image, (start[0], start[1], 0), (height, width, channels))

    return jax.vmap(cut)(padded, starts)
