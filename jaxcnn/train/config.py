"""The settings of a training run: checked when they are made, and stored as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from jaxcnn.data.pictures import RESIZES
from jaxcnn.errors import Advice, InputError
from jaxcnn.geometry.check import choice
from jaxcnn.keywords import suggest_keywords
from jaxcnn.train.setting import (
    Setting,
    augmentations,
    file_path,
    free_text,
    image_size,
    number,
    one_of,
    optional,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OPTIMIZERS = {
    "adamw": (4e-3, 0.1),
    "sgd": (0.1, 4e-3),
    "muon": (0.02, 0.02),
    "adadelta": (1.0, 4e-4),
}
"""Each optimizer's learning rate and weight decay; in a step, all remove the same share."""

SCHEDULES = ("onecycle", "cosine", "constant", "steps")
DTYPES = ("float32", "bfloat16")


def _listed(which: int) -> str:
    """The defaults of a setting that depends on the optimizer, as text."""
    return ", ".join(f"{name} {values[which]:g}" for name, values in OPTIMIZERS.items())


@suggest_keywords
@dataclass(frozen=True)
class TrainConfig:
    """The settings of a run; the defaults train the digits network on MNIST.

    Every field has a line of explanation, :func:`setting_of`, which ``jaxcnn train --help`` shows.

    Raises:
      InputError: (a ValueError) if a value is out of range.
      TypeError: if a value has the wrong type, or if there is no such setting.

    >>> TrainConfig(epochs=2, optimizer="sgd", learning_rate=0.1).momentum
    0.9
    """

    model: str | None = free_text(
        None,
        "The network: a name that `jaxcnn models` lists, layers such as 'conv:32:k3:p1:relu "
        "max:k2 flatten dense:10', or module:function.",
    )
    weights: str | None = file_path(
        "A file of weights to begin with; the last layer is new if it is for other classes."
    )
    epochs: int = whole(8, "Passes over the training images.", 1)
    batch_size: int = whole(128, "Images in a step.", 1)
    accumulate: int = whole(1, "Parts of a batch, computed one after another to save memory.", 1)
    optimizer: str = one_of("adamw", "The optimizer", tuple(OPTIMIZERS))
    learning_rate: float | None = optional(
        number(1.0, f"The peak of the learning rate; default: {_listed(0)}.", 0)
    )
    momentum: float = number(0.9, "The momentum of sgd and muon.", 0, 1)
    weight_decay: float | None = optional(
        number(
            1.0,
            "Share of a kernel that a step removes, times the learning rate; norms and biases keep "
            f"theirs; default: {_listed(1)}.",
            0,
        )
    )
    schedule: str = one_of("onecycle", "The course of the learning rate", SCHEDULES)
    warmup: float = number(
        0.2, "Share of the steps in which the learning rate rises; 0 for none.", 0, 1
    )
    clip: float | None = optional(
        number(
            1.0, "Largest global norm of the gradient; a longer one is scaled down.", 0, above=True
        )
    )
    label_smoothing: float = number(0.0, "Probability spread over the other classes.", 0, 1)
    ema: float = number(0.0, "Decay of an average of the weights, used to evaluate; 0: none.", 0, 1)
    dtype: str = one_of("float32", "The dtype of activations; weights are float32", DTYPES)
    augment: tuple[str, ...] = augmentations(
        ("shift:2",), "Random changes of the images, as in 'shift:2 flip rotate:15'."
    )
    test_augment: tuple[str, ...] = augmentations(
        (), "Views whose predictions are averaged, as in 'flip shift:1'."
    )
    patience: int | None = optional(
        whole(1, "Epochs without a better validation before the run stops early.", 1)
    )
    seed: int = whole(0, "Seed of weights, order, augmentation and drawn splits.", 0)
    image_size: tuple[int, int] | None = image_size("Resize images to this size, as in 64x64.")
    resize: str = one_of("crop", "How images are resized", RESIZES)
    channels: int | None = optional(whole(1, "Channels of an image: 1, 3 or 4.", 1, most=4))
    validation_share: float = number(
        0.1,
        "Share of the images for validation, where the data has no such split; above 0, below 1.",
        0,
        1,
        above=True,
    )
    test_share: float = number(0.1, "Share of the images for the test, likewise.", 0, 1, above=True)
    mesh: str | None = free_text(
        None, "Devices on each axis, as in data=4,spatial=2; default: all on data.", moves=True
    )
    memory: float = number(
        2.0, "GiB of images kept on the device; larger data is streamed.", 0, moves=True
    )
    workers: int = whole(
        0, "Processes that read streamed images, by grain; 0: threads.", 0, moves=True
    )
    save_minutes: float = number(
        10.0, "Minutes between checkpoints; the end of an epoch is always saved.", 0.0, moves=True
    )
    save_steps: int | None = optional(
        whole(1, "Steps between checkpoints, beside the minutes.", 1, moves=True)
    )

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if value is not None or entry.default is not None:
                value = setting_of(entry.name).check(entry.name, value)
                object.__setattr__(self, entry.name, value)
        if self.batch_size % self.accumulate:
            parts = [n for n in range(1, self.batch_size + 1) if self.batch_size % n == 0]
            nearest = min(parts, key=lambda n: abs(n - self.accumulate))
            raise InputError(
                f"accumulate {self.accumulate} does not divide batch_size {self.batch_size}.",
                Advice("accumulate", (nearest,)),
            )

    def resolved(self) -> TrainConfig:
        """The settings with the optimizer's own learning rate and weight decay if they are None.

        >>> TrainConfig(optimizer="sgd").resolved().learning_rate
        0.1
        """
        rate, decay = OPTIMIZERS[self.optimizer]
        return replace(
            self,
            learning_rate=rate if self.learning_rate is None else self.learning_rate,
            weight_decay=decay if self.weight_decay is None else self.weight_decay,
        )

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
        names = {entry.name for entry in fields(cls)}
        if not isinstance(found, dict):
            raise InputError(f"settings must be a JSON object, got {type(found).__name__}")
        if set(found) != names:
            missing, unknown = sorted(names - set(found)), sorted(set(found) - names)
            raise InputError(
                "; ".join(
                    f"{what} {', '.join(listed)}"
                    for what, listed in (("lacks", missing), ("has the unknown", unknown))
                    if listed
                )
                + "; was it written by another version of jaxcnn?"
            )
        return cls(**found)


SETTINGS: Mapping[str, Setting] = {
    entry.name: entry.metadata["setting"] for entry in fields(TrainConfig)
}


def setting_of(name: str) -> Setting:
    """The explanation and the rules of a setting.

    >>> setting_of("epochs").help
    'Passes over the training images.'
    """
    return SETTINGS[name]


def parse_settings(texts: Mapping[str, str], spell: Callable[[str], str] = str) -> dict[str, Any]:
    """Settings from texts, as on the command line.

    Args:
      texts: by the names of settings.
      spell: writes such a name in an error.

    Raises:
      InputError: (a ValueError) if a text is not a value of its setting.

    >>> parse_settings({"epochs": "3", "augment": "shift:2 flip", "clip": "none"})
    {'epochs': 3, 'augment': ('shift:2', 'flip'), 'clip': None}
    """
    found: dict[str, Any] = {}
    for name, text in texts.items():
        setting = setting_of(name)
        optional = next(e for e in fields(TrainConfig) if e.name == name).default is None
        if optional and text == "none":
            found[name] = None
            continue
        try:
            value = setting.parse(text)
        except ValueError:
            kind = {int: "an integer", float: "a number"}.get(setting.parse, "a size such as 64x64")  # type: ignore[arg-type]
            raise InputError(f"{spell(name)} must be {kind}, got {text!r}") from None
        try:
            found[name] = setting.check(spell(name), value)
        except TypeError as error:
            raise InputError(str(error)) from None
    return found


RECIPES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "quick": ("the defaults: a good network in minutes", {}),
    "best": (
        "30 epochs of stronger augmentation, with averaged weights",
        {"epochs": 30, "augment": ("shift:2", "rotate:10", "scale:0.9-1.1"), "ema": 0.999},
    ),
    "tiny": ("one epoch without augmentation, to try things", {"epochs": 1, "augment": ()}),
}
"""Settings by name: what each is for, and where it departs from the defaults."""


def recipe(name: str) -> TrainConfig:
    """The settings of a recipe of :data:`RECIPES`.

    >>> recipe("tiny").epochs
    1
    """
    return replace(TrainConfig(), **RECIPES[choice("recipe", name, tuple(RECIPES))][1])
