"""Augmentations of images (N, H, W, C): each image is drawn independently of the others."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.ndimage import map_coordinates

GREY = (0.299, 0.587, 0.114)
"""The weights of red, green and blue in brightness (ITU-R BT.601)."""


def shift(key: jax.Array, images: jax.Array, cells: int) -> jax.Array:
    """Shifts each image by -cells to cells, whole cells on each axis; zeros fill the edges.

        images: (N, H, W, C), any dtype      returns the same shape and dtype

    All (2 cells + 1)^2 shifts are equally likely.

    >>> shift(jax.random.key(0), jnp.ones((2, 4, 4, 1), "uint8"), 1).shape
    (2, 4, 4, 1)
    """
    return shift_by(images, jax.random.randint(key, (len(images), 2), -cells, cells + 1), cells)


def shift_by(images: jax.Array, shifts: jax.Array, most: int) -> jax.Array:
    """The images, each shifted by its row of ``shifts`` (N, 2), from -most to most.

    >>> shift_by(jnp.ones((1, 2, 2, 1)), jnp.array([[1, 0]]), 1)[0, :, :, 0]
    Array([[0., 0.],
           [1., 1.]], dtype=float32)
    """
    _, height, width, channels = images.shape
    padded = jnp.pad(images, [(0, 0), (most, most), (most, most), (0, 0)])

    def cut(image: jax.Array, by: jax.Array) -> jax.Array:
        start = (most - by[0], most - by[1], 0)
        return lax.dynamic_slice(image, start, (height, width, channels))

    return jax.vmap(cut)(padded, shifts)


def flip(key: jax.Array, images: jax.Array) -> jax.Array:
    """Mirrors each image left to right with probability 1/2.

        images: (N, H, W, C), any dtype      returns the same shape and dtype

    >>> flip(jax.random.key(0), jnp.ones((2, 4, 4, 1), "uint8")).dtype
    dtype('uint8')
    """
    chosen = jax.random.bernoulli(key, 0.5, (len(images), 1, 1, 1))
    return jnp.where(chosen, images[:, :, ::-1], images)


def cutout(key: jax.Array, images: jax.Array, cells: int) -> jax.Array:
    """Sets a square of ``cells`` x ``cells`` to zero in each image.

        images: (N, H, W, C), any dtype      returns the same shape and dtype

    Every cell is equally likely to be the square's centre, so a part of it may lie outside.

    Source: DeVries and Taylor, arXiv:1708.04552.

    >>> float(cutout(jax.random.key(0), jnp.ones((1, 9, 9, 1)), 1).sum())
    80.0
    """
    n, height, width, _ = images.shape
    centers = jax.random.randint(key, (n, 2), 0, jnp.array([[height, width]]))
    inside = boxes((height, width), centers - cells // 2, jnp.full((n, 2), cells))
    return jnp.where(inside, jnp.zeros((), images.dtype), images)


def boxes(size: tuple[int, int], starts: jax.Array, sizes: jax.Array) -> jax.Array:
    """Masks (N, H, W, 1) of the cells in boxes; ``starts`` and ``sizes`` are (N, 2).

    >>> boxes((1, 4), jnp.array([[0, 1]]), jnp.array([[1, 2]]))[0, 0, :, 0].tolist()
    [False, True, True, False]
    """
    rows, columns = (
        (jnp.arange(cells)[None] >= starts[:, axis, None])
        & (jnp.arange(cells)[None] < (starts + sizes)[:, axis, None])
        for axis, cells in enumerate(size)
    )
    return (rows[:, :, None] & columns[:, None])[..., None]


def color(key: jax.Array, images: jax.Array, strength: float) -> jax.Array:
    """Changes each image's brightness, contrast and, with three channels, saturation.

        images: (N, H, W, 1 or 3), floats in 0..1      returns the same shape and dtype, in 0..1

    Three factors are drawn from 1 - strength to 1 + strength. The first multiplies all entries; the
    second their difference from the image's mean grey; the third their difference from the grey of
    their cell. Entries beyond 0..1 are clipped after each.

    >>> color(jax.random.key(0), jnp.full((1, 2, 2, 1), 0.5), 0.0)[0, :, :, 0]
    Array([[0.5, 0.5],
           [0.5, 0.5]], dtype=float32)
    """
    require_floats(images)
    low, high = 1 - strength, 1 + strength
    factors = jax.random.uniform(key, (3, len(images), 1, 1, 1), minval=low, maxval=high)
    x = jnp.clip(images.astype(jnp.float32) * factors[0], 0, 1)
    x = _away_from(_grey(x).mean((1, 2), keepdims=True), x, factors[1])
    if images.shape[-1] == 3:
        x = _away_from(_grey(x), x, factors[2])
    return x.astype(images.dtype)


def _grey(images: jax.Array) -> jax.Array:
    if images.shape[-1] == 1:
        return images
    # Not a sum over an axis: XLA computes a sum over so short an axis ten times more slowly.
    red, green, blue = (weight * images[..., i : i + 1] for i, weight in enumerate(GREY))
    return red + green + blue


def _away_from(center: jax.Array, x: jax.Array, factor: jax.Array) -> jax.Array:
    return jnp.clip(center + factor * (x - center), 0, 1)


def crop(key: jax.Array, images: jax.Array, area: float, aspect: float = 0.75) -> jax.Array:
    """Cuts a random box out of each image and enlarges it to the image's size, bilinearly.

        images: (N, H, W, C), floats      returns the same shape and dtype

    The box's share of the image's area is uniform from ``area`` to 1. The logarithm of its aspect
    ratio, relative to the image's, is uniform from log(aspect) to -log(aspect), as far as such a
    box fits into the image. All places are equally likely.

    Source: Szegedy et al., arXiv:1409.4842, section 6.

    >>> crop(jax.random.key(0), jnp.ones((2, 8, 8, 3)), 0.5).shape
    (2, 8, 8, 3)
    """
    n, height, width, _ = images.shape
    keys = jax.random.split(key, 3)
    areas = jax.random.uniform(keys[0], (n,), minval=area, maxval=1)
    # A box of this area and ratio has sides sqrt(areas / ratio) and sqrt(areas * ratio) <= 1.
    reach = jnp.minimum(-math.log(aspect), -jnp.log(areas))
    ratios = jnp.exp(reach * jax.random.uniform(keys[1], (n,), minval=-1, maxval=1))
    places = jax.random.uniform(keys[2], (n, 2))
    sides = jnp.sqrt(jnp.stack([areas / ratios, areas * ratios], -1))
    starts = places * (1 - sides)
    rows, columns = (
        # Cell i covers i..i+1 of its axis, so its centre is at i + 1/2.
        starts[:, axis, None] * cells + sides[:, axis, None] * (_cells(cells) + 0.5)[None] - 0.5
        for axis, cells in enumerate((height, width))
    )
    return _sample(images, rows[:, :, None], columns[:, None], "nearest")


def rotate(key: jax.Array, images: jax.Array, degrees: float) -> jax.Array:
    """Rotates each image about its centre by -degrees to degrees, bilinearly; zeros fill.

        images: (N, H, W, C), floats      returns the same shape and dtype

    >>> rotate(jax.random.key(0), jnp.ones((2, 8, 8, 1)), 15.0).shape
    (2, 8, 8, 1)
    """
    return warp(images, angles=angles(key, images, degrees))


def scale(key: jax.Array, images: jax.Array, low: float, high: float) -> jax.Array:
    """Enlarges each image about its centre by low to high, bilinearly; zeros fill.

        images: (N, H, W, C), floats      returns the same shape and dtype

    The logarithm of the factor is uniform.

    >>> scale(jax.random.key(0), jnp.ones((2, 8, 8, 1)), 0.9, 1.1).shape
    (2, 8, 8, 1)
    """
    return warp(images, factors=factors(key, images, low, high))


def elastic(key: jax.Array, images: jax.Array, alpha: float, sigma: float) -> jax.Array:
    """Distorts each image by a smooth random field, bilinearly; zeros fill.

        images: (N, H, W, C), floats      returns the same shape and dtype

    Each cell's displacement on each axis is alpha times the sum of noise, uniform in -1..1, under a
    Gaussian of deviation ``sigma`` cells; beyond the image the noise is zero. Far from the edges a
    displacement has the deviation alpha / (sigma sqrt(12 pi)) cells.

    Source: Simard, Steinkraus and Platt, "Best Practices for Convolutional Neural Networks Applied
    to Visual Document Analysis", ICDAR 2003 (alpha 34, sigma 4 for MNIST).

    >>> elastic(jax.random.key(0), jnp.ones((2, 8, 8, 1)), 34.0, 4.0).shape
    (2, 8, 8, 1)
    """
    return warp(images, moves=moves(key, images, alpha, sigma))


def angles(key: jax.Array, images: jax.Array, degrees: float) -> jax.Array:
    """Angles (N,) in radians, for :func:`warp`."""
    most = math.radians(degrees)
    return jax.random.uniform(key, (len(images),), minval=-most, maxval=most)


def factors(key: jax.Array, images: jax.Array, low: float, high: float) -> jax.Array:
    """Factors of size (N,), for :func:`warp`."""
    draws = jax.random.uniform(key, (len(images),), minval=math.log(low), maxval=math.log(high))
    return jnp.exp(draws)


def moves(key: jax.Array, images: jax.Array, alpha: float, sigma: float) -> jax.Array:
    """Displacements (2, N, H, W) in cells, for :func:`warp`."""
    n, height, width, _ = images.shape
    noise = jax.random.uniform(key, (2, n, height, width), minval=-1, maxval=1)
    return alpha * jnp.einsum(
        "yh,anhw,xw->anyx", _gaussian(height, sigma), noise, _gaussian(width, sigma)
    )


def _gaussian(cells: int, sigma: float) -> jax.Array:
    """The matrix (cells, cells) that smooths an axis."""
    reach = max(cells, math.ceil(8 * sigma))
    steps = jnp.arange(-reach, reach + 1, dtype=jnp.float32)
    weights = jnp.exp(-((steps / sigma) ** 2) / 2)
    apart = jnp.arange(cells)[:, None] - jnp.arange(cells)[None]
    return (weights / weights.sum())[reach + apart]


def warp(
    images: jax.Array,
    *,
    angles: jax.Array | None = None,
    factors: jax.Array | None = None,
    moves: jax.Array | None = None,
) -> jax.Array:
    """Rotates, enlarges and distorts images in one bilinear resampling; zeros fill.

        images: (N, H, W, C), floats      returns the same shape and dtype

    Args:
      angles: (N,), in radians, counter-clockwise.
      factors: (N,); above 1 enlarges.
      moves: (2, N, H, W): for each cell of the result, how far down and to the right of its place
        in the rotated and enlarged image its content comes from, in cells of the input.

    >>> image = jnp.array([[1.0, 2.0], [3.0, 4.0]])[None, :, :, None]
    >>> jnp.rint(warp(image, angles=jnp.array([jnp.pi / 2]))[0, :, :, 0])
    Array([[2., 4.],
           [1., 3.]], dtype=float32)
    """
    _, height, width, _ = images.shape
    middle = (height - 1) / 2, (width - 1) / 2
    y = (_cells(height) - middle[0])[None, :, None]
    x = (_cells(width) - middle[1])[None, None]
    if angles is not None:
        cos, sin = jnp.cos(angles)[:, None, None], jnp.sin(angles)[:, None, None]
        y, x = cos * y + sin * x, cos * x - sin * y
    if factors is not None:
        y, x = y / factors[:, None, None], x / factors[:, None, None]
    y, x = y + middle[0], x + middle[1]
    if moves is not None:
        y, x = y + moves[0], x + moves[1]
    return _sample(images, y, x, "constant")


def require_floats(images: jax.Array) -> None:
    """Refuses images that are not floats; TypeError."""
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise TypeError(
            f"images must be floats in 0..1, got {images.dtype}; use images.astype('float32') / 255"
        )


def _cells(cells: int) -> jax.Array:
    return jnp.arange(cells, dtype=jnp.float32)


def _sample(images: jax.Array, rows: jax.Array, columns: jax.Array, mode: str) -> jax.Array:
    """The images (N, H, W, C) at the places (rows, columns), which broadcast to (N, H, W)."""
    require_floats(images)
    at = [jnp.broadcast_to(places, images.shape[:3]) for places in (rows, columns)]

    def channel(image: jax.Array, *at: jax.Array) -> jax.Array:
        return map_coordinates(image, at, order=1, mode=mode)

    over_channels = jax.vmap(channel, (-1, None, None), -1)
    return jax.vmap(over_channels)(images.astype(jnp.float32), *at).astype(images.dtype)
