"""The settings of a training run: checked when they are made, and stored as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from flax import nnx

from jaxcnn.data.mnist import CLASSES, IMAGE
from jaxcnn.errors import InputError
from jaxcnn.geometry.check import integer
from jaxcnn.geometry.text import format_shape
from jaxcnn.nn import Stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.inspect import Plan

# Sizes 28 -> 14 -> 7 -> 7 -> 1, all exact; the last kernel is as large as its input.
DIGITS_LAYERS = (
    "conv:32:k4:s2:p1:relu",
    "conv:64:k4:s2:p1:relu",
    "conv:64:k3:p1:relu",
    "conv:10:k7",
)

INT32 = 2**31 - 1
"""The largest int32; steps and seeds are int32 on the device."""


@dataclass(frozen=True)
class TrainConfig:
    """The settings of a run; the defaults train the digits network.

    Attributes:
      layers: the stack, in the text form of :mod:`jaxcnn.nn.text`; its last layer gives one number
        for each of the ten digits.
      epochs: passes over the 55,000 training images.
      batch_size: images in a step; it must divide 55,000, so that an epoch sees every image.
      learning_rate: the peak of a one-cycle schedule (Smith and Topin, arXiv:1708.07120).
      weight_decay: the weight decay of AdamW (Loshchilov and Hutter, arXiv:1711.05101).
      max_shift: the most cells by which a training image is shifted on each axis.
      seed: the seed of weights, order and augmentation.

    Raises:
      InputError: (a ValueError) if a value is out of range, or if the layers do not fit together.
      TypeError: if a value has the wrong type.

    >>> TrainConfig(epochs=2).plan().output
    (1, 1, 10)
    """

    layers: tuple[str, ...] = DIGITS_LAYERS
    epochs: int = 8
    batch_size: int = 125
    learning_rate: float = 4e-3
    weight_decay: float = 0.1
    max_shift: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        words = self.layers
        if not (isinstance(words, list | tuple) and all(isinstance(word, str) for word in words)):
            raise TypeError(f"layers must list words such as {DIGITS_LAYERS[0]}, got {words!r}")
        object.__setattr__(self, "layers", tuple(words))
        for name, least in (("epochs", 1), ("batch_size", 1), ("max_shift", 0), ("seed", 0)):
            integer(name, getattr(self, name), least=least)
        if self.seed > INT32:
            raise InputError(f"seed must be at most {INT32}, got {self.seed}")
        if self.max_shift >= IMAGE[0]:
            raise InputError(
                f"max_shift {self.max_shift} shifts images of {IMAGE[0]} cells out of sight; use "
                f"{IMAGE[0] - 1} or less"
            )
        for name in ("learning_rate", "weight_decay"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{name} must be a number, got {value!r}")
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name} must be a finite number >= 0, got {value}")
        found, wanted = nnx.eval_shape(self.stack).output_shape, (1, 1, CLASSES)
        if found != wanted:
            raise InputError(
                f"layers end with {format_shape(found)}, but must end with {format_shape(wanted)}, "
                f"a number for each digit; use conv:{CLASSES}:k{format_shape(found[:-1])} for one "
                f"layer more"
            )

    def stack(self, image_shape: Sequence[int] = IMAGE) -> Stack:
        """The network for images of this shape, with its initial weights."""
        return Stack(image_shape, self.layers, rngs=nnx.Rngs(self.seed))

    def plan(self) -> Plan:
        """The plan of the network for images of the digits' size."""
        return nnx.eval_shape(self.stack).plan()

    def steps_per_epoch(self, images: int) -> int:
        """The number of steps in one pass over ``images`` images.

        Raises:
          InputError: (a ValueError) if the batch size does not divide it, or if all epochs together
            have more steps than an int32 counts.
        """
        if images % self.batch_size:
            near = [b for b in range(1, images + 1) if images % b == 0]
            below = max(b for b in near if b <= self.batch_size or b == 1)
            above = min((b for b in near if b > self.batch_size), default=below)
            raise InputError(
                f"batch_size {self.batch_size} does not divide the {images} training images: "
                f"{images % self.batch_size} would be left out of every epoch; "
                f"use {below} or {above}"
            )
        steps = images // self.batch_size
        if steps * self.epochs > INT32:
            raise InputError(
                f"epochs {self.epochs} of {steps} steps are more than an int32 counts; use "
                f"{INT32 // steps} or fewer"
            )
        return steps

    def to_json(self) -> str:
        """The settings as JSON text."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> TrainConfig:
        """The settings in the text of :meth:`to_json`; an unknown or missing name is an error."""
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"settings are not JSON: {error}") from None
        names = {field.name for field in fields(cls)}
        if not isinstance(found, dict) or set(found) != names:
            given = sorted(found) if isinstance(found, dict) else type(found).__name__
            raise InputError(f"settings must have the names {sorted(names)}, got {given}")
        return cls(**found)
