"""Labelled images in three splits."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jaxcnn.data.faults import refuse
from jaxcnn.data.images import Images
from jaxcnn.data.splits import SPLITS, draw_splits, drawn_note
from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxcnn.data.pictures import Resize

_CHUNK = 2**24  # bytes of images that are measured at a time
_MOST_ABSENT = 10  # numbers below the largest label that no training image needs to have


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Labelled images in three splits, and what was done to them.

    Attributes:
      name: for people.
      classes: the name of each label.
      train: to learn from.
      validation: to choose settings by.
      test: to report.
      digest: SHA-256, in hexadecimal, of the images, the labels and the splits.
      resize: how pictures were brought to one size; None if they had it.
      notes: lines worth printing: sizes that were changed, splits that were drawn.
      splits: the paths or indices of each split that was drawn; None if all were given.

    Raises:
      InputError: (a ValueError) if the splits differ in the shape of an image, if a label has no
        class, or if there are fewer than two classes or two with one name.
    """

    name: str
    classes: tuple[str, ...]
    train: Images
    validation: Images
    test: Images
    digest: str
    resize: Resize | None = None
    notes: tuple[str, ...] = ()
    splits: Mapping[str, list[str] | list[int]] | None = None

    def __post_init__(self) -> None:
        faults, classes = [], self.classes
        if len(classes) < 2:
            faults.append(f"there must be 2 or more classes to tell apart, got {list(classes)}")
        if len(set(classes)) < len(classes):
            faults.append(f"two classes have the same name: {classes}")
        for split in SPLITS:
            images: Images = getattr(self, split)
            if images.image_shape != self.image_shape:
                faults.append(
                    f"the images of {split} are {images.image_shape}, those of train "
                    f"{self.image_shape}; resize them to one size"
                )
            if wrong := np.flatnonzero(images.labels >= len(classes)).tolist():
                faults.append(
                    f"{len(wrong)} of the {len(images)} labels of {split} are not below the number "
                    f"of classes, {len(classes)}; the first is {images.labels[wrong[0]]} at index "
                    f"{wrong[0]}"
                )
        refuse(self.name, faults)

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(getattr(self, split)):,} {split}" for split in SPLITS)
        names = ", ".join(map(repr, self.classes[:3])) + (", ..." if len(self.classes) > 3 else "")
        shape = "x".join(map(str, self.image_shape))
        return f"Dataset({self.name!r}: {counts}; {shape}; {len(self.classes):,} classes: {names})"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.train.image_shape

    def measure(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel over the training split, in units of 255.

        The sums are exact: the values of a channel are counted, not added. A deviation below 1/255
        is given as 1/255, so that a constant channel may be divided by it.

        >>> images = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1).repeat(9, 0)
        >>> Dataset.from_arrays(images, np.arange(18) // 9).measure()
        ((0.5,), (0.5,))
        """
        train, channels = self.train, self.image_shape[-1]
        counts = np.zeros((channels, 256), np.int64)
        step = max(1, _CHUNK // math.prod(self.image_shape))
        for first in range(0, len(train), step):
            chunk = train.read(np.arange(first, min(first + step, len(train))))
            for channel in range(channels):
                counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
        values = np.arange(256) / 255
        weights = counts / counts.sum(1, keepdims=True)
        mean = weights @ values
        deviation = np.sqrt((weights * (values - mean[:, None]) ** 2).sum(1))
        return tuple(mean.tolist()), tuple(np.maximum(deviation, 1 / 255).tolist())

    @classmethod
    def from_arrays(
        cls,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        classes: Sequence[str] | None = None,
        validation: tuple[np.ndarray, np.ndarray] | float = 0.1,
        test: tuple[np.ndarray, np.ndarray] | float = 0.1,
        seed: int = 0,
        name: str = "arrays",
    ) -> Dataset:
        """A data set of arrays.

        Args:
          images: (N, H, W, C), uint8, for training.
          labels: (N,), integers from 0.
          classes: the name of each label; None for the labels themselves.
          validation: images and labels, or the share of the training images to draw (see
            :func:`jaxcnn.data.splits.draw_splits`).
          test: likewise.
          seed: of the drawn splits.
          name: for people.

        Raises:
          InputError: (a ValueError) as :class:`Images` and :class:`Dataset`, and if ``classes`` is
            None and most numbers below the largest label have no training image.
          TypeError: as :class:`Images`.

        >>> images, labels = np.zeros((40, 8, 8, 3), np.uint8), np.arange(40) % 4
        >>> Dataset.from_arrays(images, labels)
        Dataset('arrays': 32 train, 4 validation, 4 test; 8x8x3; 4 classes: '0', '1', '2', ...)
        """
        parts = {"train": Images(images, labels)}
        shares: dict[str, float] = {}
        for split, given in (("validation", validation), ("test", test)):
            if isinstance(given, tuple):
                parts[split] = Images(*given)
            else:
                shares[split] = given
        classes = tuple(_numbers(parts) if classes is None else classes)
        splits, notes = None, tuple[str, ...]()
        if shares:
            drawn = draw_splits(labels, range(len(labels)), shares, seed)
            for split, indices in drawn.items():
                parts[split] = Images(images[indices], labels[indices])
            splits = {split: indices.tolist() for split, indices in drawn.items()}
            notes = (drawn_note(drawn, seed),)
        if absent := sorted(set(range(len(classes))) - set(parts["train"].labels.tolist())):
            named = ", ".join(classes[label] for label in absent)
            notes += (f"no training image for {len(absent)} of {len(classes)} classes: {named}",)
        return cls(
            name,
            classes,
            parts["train"],
            parts["validation"],
            parts["test"],
            _digest(classes, parts),
            notes=notes,
            splits=splits,
        )


def _numbers(parts: Mapping[str, Images]) -> list[str]:
    """The labels from 0 to the largest, as names; refuses labels that are not numbers of classes.

    Raises:
      InputError: if most of them have no training image.
    """
    split = max(parts, key=lambda split: int(parts[split].labels.max()))
    labels = parts[split].labels
    index = int(labels.argmax())
    count, known = int(labels[index]) + 1, len(np.unique(parts["train"].labels))
    if count - known > max(_MOST_ABSENT, known):
        raise InputError(
            f"label {labels[index]} at index {index} of {split} means {count:,} classes, but the "
            f"training images have only {known:,} different labels; correct it, renumber labels "
            f"with np.unique(labels, return_inverse=True)[1], or name all classes with classes=..."
        )
    return [str(label) for label in range(count)]


def _digest(classes: tuple[str, ...], parts: dict[str, Images]) -> str:
    digest = hashlib.sha256(json.dumps(classes).encode())
    for split in SPLITS:
        part = parts[split]
        digest.update(f"{split} {part.images.shape}".encode())
        digest.update(np.ascontiguousarray(part.images).data)
        digest.update(part.labels.data)
    return digest.hexdigest()
