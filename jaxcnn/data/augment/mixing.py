"""Augmentations that mix each image, and its targets, with the image before it in the batch.

The batch is in random order, so the image before is any other. The first is mixed with the last.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxcnn.data.augment.images import boxes, require_floats


def mixup(
    key: jax.Array, images: jax.Array, targets: jax.Array, alpha: float
) -> tuple[jax.Array, jax.Array]:
    """Mixes each image with the one before it: weight * image + (1 - weight) * before.

        images: (N, H, W, C), floats      targets: (N, classes), probabilities      returns both

    The weight, one for each image and its targets, has the distribution Beta(alpha, alpha).

    Source: Zhang et al., arXiv:1710.09412.

    >>> images, targets = jnp.ones((4, 8, 8, 1)), jnp.eye(4)
    >>> mixup(jax.random.key(0), images, targets, 0.2)[1].sum(-1)
    Array([1., 1., 1., 1.], dtype=float32)
    """
    return blend(images, targets, *mixup_weights(key, images, alpha))


def cutmix(
    key: jax.Array, images: jax.Array, targets: jax.Array, alpha: float
) -> tuple[jax.Array, jax.Array]:
    """Replaces a box in each image by that of the image before it.

        images: (N, H, W, C), floats      targets: (N, classes), probabilities      returns both

    The box has the image's aspect ratio, any cell as its centre and, where it lies inside, a share
    of the area whose distribution is Beta(alpha, alpha). The targets are mixed by the shares of the
    cells.

    Source: Yun et al., arXiv:1905.04899.

    >>> images, targets = jnp.ones((4, 8, 8, 1)), jnp.eye(4)
    >>> cutmix(jax.random.key(0), images, targets, 1.0)[1].sum(-1)
    Array([1., 1., 1., 1.], dtype=float32)
    """
    return blend(images, targets, *cutmix_weights(key, images, alpha))


def mixup_weights(key: jax.Array, images: jax.Array, alpha: float) -> tuple[jax.Array, jax.Array]:
    """The weights of each image in :func:`mixup`: of its cells (N, H, W, 1), its targets (N,)."""
    weights = jax.random.beta(key, alpha, alpha, (len(images),))
    return jnp.broadcast_to(weights[:, None, None, None], (*images.shape[:3], 1)), weights


def cutmix_weights(key: jax.Array, images: jax.Array, alpha: float) -> tuple[jax.Array, jax.Array]:
    """The weights of each image in :func:`cutmix`: of its cells (N, H, W, 1), its targets (N,)."""
    n, height, width, _ = images.shape
    size = jnp.array([[height, width]])
    keys = jax.random.split(key)
    shares = jax.random.beta(keys[0], alpha, alpha, (n, 1))
    sides = (jnp.sqrt(shares) * size.astype(jnp.float32)).astype(jnp.int32)
    centers = jax.random.randint(keys[1], (n, 2), 0, size)
    kept = ~boxes((height, width), centers - sides // 2, sides)
    cells = kept.astype(jnp.float32)
    return cells, cells.sum((1, 2, 3)) / (height * width)


def blend(
    images: jax.Array, targets: jax.Array, cells: jax.Array, weights: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Images and targets, mixed with those before them by weights (N, H, W, 1) and (N,)."""
    require_floats(images)
    if not jnp.issubdtype(targets.dtype, jnp.floating):
        raise TypeError(
            f"targets must be probabilities (N, classes), got {targets.dtype}; use "
            f"jax.nn.one_hot(targets, classes)"
        )
    # A roll moves one image between neighbouring shards of the batch; a permutation moves most.
    mixed = (
        weight * each.astype(jnp.float32) + (1 - weight) * jnp.roll(each, 1, 0).astype(jnp.float32)
        for each, weight in ((images, cells), (targets, weights[:, None]))
    )
    images_mixed, targets_mixed = mixed
    return images_mixed.astype(images.dtype), targets_mixed.astype(targets.dtype)
