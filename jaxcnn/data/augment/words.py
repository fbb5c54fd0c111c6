"""The text form of augmentations, and chains of them.

shift:2           by up to 2 cells on each axis         flip           left to right, or not
rotate:15         by up to 15 degrees                   scale:0.9-1.1  by a factor from 0.9 to 1.1
elastic:34:4      alpha 34, sigma 4 cells               crop:0.6       a box of 0.6 to 1 of the area
color:0.2         factors from 0.8 to 1.2               cutout:8       a square of 8x8 cells
mixup:0.2         weights from Beta(0.2, 0.2)           cutmix:1.0     shares from Beta(1, 1)
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp

from jaxcnn.data.augment import images as of_images
from jaxcnn.data.augment import mixing
from jaxcnn.errors import InputError, error_prefix
from jaxcnn.geometry.check import choice


@dataclass(frozen=True)
class _Kind:
    """One kind of augmentation: its function, how to write it, its values' names and ranges.

    A range ends at its bounds; ``above`` excludes zero.
    """

    function: Callable[..., Any]
    example: str
    ranges: dict[str, tuple[float, float]]
    above: bool = False


_INF = math.inf
_KINDS = {
    "shift": _Kind(of_images.shift, "shift:2", {"cells": (0, _INF)}),
    "flip": _Kind(of_images.flip, "flip", {}),
    "rotate": _Kind(of_images.rotate, "rotate:15", {"degrees": (0, 180)}),
    "scale": _Kind(
        of_images.scale, "scale:0.9-1.1", {"low": (0, _INF), "high": (0, _INF)}, above=True
    ),
    "elastic": _Kind(of_images.elastic, "elastic:34:4", {"alpha": (0, _INF), "sigma": (0.1, _INF)}),
    "crop": _Kind(of_images.crop, "crop:0.6", {"area": (0, 1)}, above=True),
    "color": _Kind(of_images.color, "color:0.2", {"strength": (0, 1)}),
    "cutout": _Kind(of_images.cutout, "cutout:8", {"cells": (0, _INF)}),
    "mixup": _Kind(mixing.mixup, "mixup:0.2", {"alpha": (0, _INF)}, above=True),
    "cutmix": _Kind(mixing.cutmix, "cutmix:1.0", {"alpha": (0, _INF)}, above=True),
}
_EXACT = ("shift", "flip", "cutout")
"""Those that move or erase whole cells, in any dtype."""

_WARPS = {
    "rotate": ("angles", of_images.angles),
    "scale": ("factors", of_images.factors),
    "elastic": ("moves", of_images.moves),
}
"""Those that :func:`jaxcnn.data.augment.images.warp` does together, with its arguments."""

_MIXES = {"mixup": mixing.mixup_weights, "cutmix": mixing.cutmix_weights}


@dataclass(frozen=True)
class Augmentation:
    """An augmentation with its values; a function of (key, images), or (key, images, targets).

    Attributes:
      name: the kind, such as ``"shift"``.
      values: the numbers of its word, in order.

    Raises:
      InputError: (a ValueError) for an unknown name, or values that are too many, too few or out of
        range; says how to write it.

    >>> Augmentation("shift", (1,))(jax.random.key(0), jnp.ones((2, 4, 4, 1))).shape
    (2, 4, 4, 1)
    """

    name: str
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        kind = _KINDS[choice("augmentation", self.name, tuple(_KINDS))]
        if len(self.values) != len(kind.ranges):
            wanted = " and ".join(kind.ranges) or "no numbers"
            raise InputError(
                f"{self.name} takes {wanted}, got {len(self.values)} numbers; write it as "
                f"{kind.example}"
            )
        for value, (what, (low, high)) in zip(self.values, kind.ranges.items(), strict=True):
            whole = what == "cells"
            if not (low <= value <= high) or (kind.above and value == 0) or value == _INF:
                least = f"above {low}" if kind.above else f"at least {low}"
                most = "" if high == _INF else f" and at most {high}"
                raise InputError(
                    f"{self.name}: {what} must be {least}{most}, got {value}; write it as "
                    f"{kind.example}"
                )
            if whole and not isinstance(value, int):
                raise InputError(
                    f"{self.name}: {what} must be a whole number, got {value}; write it as "
                    f"{kind.example}"
                )
        if self.name == "scale" and self.values[0] > self.values[1]:
            low, high = self.values
            raise InputError(
                f"scale: low {low} is above high {high}; write it as scale:{high}-{low}"
            )

    def __call__(self, key: jax.Array, *arrays: jax.Array) -> Any:
        return _KINDS[self.name].function(key, *arrays, *self.values)


def parse(word: str) -> Augmentation:
    """The augmentation that a word of the text form describes.

    Raises:
      InputError: (a ValueError) if the word is not understood; says how to write it.

    >>> parse("scale:0.9-1.1")
    Augmentation(name='scale', values=(0.9, 1.1))
    """
    name, *parts = word.split(":")
    kind = _KINDS[choice("augmentation", name, tuple(_KINDS))]
    if name == "scale" and len(parts) == 1:
        parts = parts[0].split("-")
    for part in parts:
        if not re.fullmatch(r"\d+(\.\d*)?|\.\d+", part):
            raise InputError(
                f"augmentation {word}: {part!r} is not a number; write it as {kind.example}"
            )
    values = tuple(int(part) if part.isdecimal() else float(part) for part in parts)
    with error_prefix(f"augmentation {word}"):
        return Augmentation(name, values)


Apply = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


def compose(words: Sequence[str], image_shape: Sequence[int]) -> Apply:
    """The function (key, images, targets) -> (images, targets) of a list of words, in their order.

        images: (N, H, W, C), uint8, or floats in 0..1      targets: (N, classes), probabilities
        returns images as floats in 0..1 (float32 for uint8), and targets

    Rotation, scale and elastic distortion are one resampling, where the first of them stands. With
    both mixup and cutmix, each image is mixed by one of them, drawn with probability 1/2.

    Args:
      words: as in :func:`parse`.
      image_shape: (H, W, C).

    Raises:
      InputError: (a ValueError) if a word is not understood, is there twice, or does not suit
        images of this shape; names the word.

    >>> augment = compose(["shift:1", "rotate:10", "mixup:0.2"], (4, 4, 1))
    >>> images, targets = augment(jax.random.key(0), jnp.ones((2, 4, 4, 1), "uint8"), jnp.eye(2))
    >>> images.dtype, targets.shape
    (dtype('float32'), (2, 2))
    """
    if isinstance(words, str):
        raise TypeError(f"augmentations must be a list of words, as in ['shift:2'], got {words!r}")
    steps = [parse(word) for word in words]
    shape = tuple(image_shape)
    for number, (word, step) in enumerate(zip(words, steps, strict=True)):
        if step.name in [other.name for other in steps[:number]]:
            raise InputError(f"augmentation {word}: {step.name} is given twice; leave one out")
        _require_suitable(word, step, shape)
    return partial(_apply, tuple(steps), shape)


def _apply(
    steps: tuple[Augmentation, ...],
    shape: tuple[int, ...],
    key: jax.Array,
    images: jax.Array,
    targets: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    if images.shape[1:] != shape:
        raise InputError(
            f"images of shape {images.shape} are not (N, {', '.join(map(str, shape))})"
        )
    keys = {step.name: jax.random.fold_in(key, number) for number, step in enumerate(steps)}
    waiting = {step.name: step for step in steps}
    while waiting:
        name, step = next(iter(waiting.items()))
        together = [step]
        if name in _EXACT:
            images = step(keys[name], images)
        elif name in _WARPS:
            together = [waiting[each] for each in waiting if each in _WARPS]
            images = _warp(keys, _as_floats(images), together)
        elif name in _MIXES:
            together = [waiting[each] for each in waiting if each in _MIXES]
            pick = jax.random.fold_in(key, len(steps))
            images, targets = _mix(keys, pick, _as_floats(images), targets, together)
        else:
            images = step(keys[name], _as_floats(images))
        for done in together:
            del waiting[done.name]
    return _as_floats(images), targets


def _warp(keys: dict[str, jax.Array], images: jax.Array, steps: list[Augmentation]) -> jax.Array:
    found = {}
    for step in steps:
        argument, draw = _WARPS[step.name]
        found[argument] = draw(keys[step.name], images, *step.values)
    return of_images.warp(images, **found)


def _mix(
    keys: dict[str, jax.Array],
    pick: jax.Array,
    images: jax.Array,
    targets: jax.Array,
    steps: list[Augmentation],
) -> tuple[jax.Array, jax.Array]:
    cells, weights = _MIXES[steps[0].name](keys[steps[0].name], images, *steps[0].values)
    for other in steps[1:]:
        first = jax.random.bernoulli(pick, 0.5, weights.shape)
        other_cells, other_weights = _MIXES[other.name](keys[other.name], images, *other.values)
        cells = jnp.where(first[:, None, None, None], cells, other_cells)
        weights = jnp.where(first, weights, other_weights)
    return mixing.blend(images, targets, cells, weights)


def _as_floats(images: jax.Array) -> jax.Array:
    return images.astype(jnp.float32) / 255 if images.dtype == jnp.uint8 else images


def _require_suitable(word: str, step: Augmentation, shape: tuple[int, ...]) -> None:
    height, width, channels = shape
    least = min(height, width)
    if step.name in ("shift", "cutout") and step.values[0] >= least:
        what = "moves" if step.name == "shift" else "erases"
        raise InputError(
            f"augmentation {word} {what} whole images of {height}x{width} cells; use "
            f"{step.name}:{least - 1} or less"
        )
    if step.name == "color" and channels not in (1, 3):
        raise InputError(
            f"augmentation {word} is for images of 1 channel (grey) or 3 (red, green, blue), got "
            f"{channels}; leave it out"
        )


def views(
    words: Sequence[str], image_shape: Sequence[int]
) -> tuple[Callable[[jax.Array], jax.Array], ...]:
    """The views of images for test-time augmentation: functions of images (N, H, W, C), any dtype.

    ``flip`` has two views; ``shift:1`` has nine, the shifts by up to one cell on each axis. Several
    words have the product of their views. The first view is the images themselves.

    Raises:
      InputError: (a ValueError) if a word is neither ``flip`` nor a ``shift``, or as in
        :func:`compose`.

    >>> len(views(["flip", "shift:1"], (28, 28, 1)))
    18
    """
    compose(words, image_shape)
    lists = [_views(word, parse(word)) for word in words]
    return tuple(partial(_in_turn, each) for each in product(*lists))


def _views(word: str, step: Augmentation) -> list[Callable[[jax.Array], jax.Array]]:
    if step.name == "flip":
        return [lambda images: images, lambda images: images[:, :, ::-1]]
    if step.name != "shift":
        raise InputError(f"{word} has no fixed views; use flip, shift:1, or both")
    most = int(step.values[0])
    by = sorted(product(range(-most, most + 1), repeat=2), key=lambda each: (each != (0, 0), each))
    return [partial(_shifted, by=each, most=most) for each in by]


def _shifted(images: jax.Array, by: tuple[int, ...], most: int) -> jax.Array:
    return of_images.shift_by(images, jnp.broadcast_to(jnp.array(by), (len(images), 2)), most)


def _in_turn(steps: Sequence[Callable[[jax.Array], jax.Array]], images: jax.Array) -> jax.Array:
    for step in steps:
        images = step(images)
    return images
