"""Labelled images in three splits, in memory or read on demand."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from jaxcnn.data.faults import refuse
from jaxcnn.data.splits import SPLITS, draw_splits, drawn_note
from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.data.pictures import Resize

_CHUNK = 2**24  # bytes of images that are measured at a time


@runtime_checkable
class Reader(Protocol):
    """Images that are read on demand."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, H, W, C)."""
        ...

    def read(self, indices: np.ndarray) -> np.ndarray:
        """The images (n, H, W, C) of ``indices`` (n,), uint8."""
        ...


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images: one split of a data set.

    Attributes:
      images: (N, H, W, C) with one to four channels: a uint8 array, or a :class:`Reader`.
      labels: (N,), int32, from 0; any integers are converted.

    Raises:
      InputError: (a ValueError) if the shapes do not fit, if there are no images, or if a label is
        negative.
      TypeError: if an argument is not a NumPy array, or has another dtype.

    >>> few = Images(np.zeros((3, 8, 8, 1), np.uint8), np.array([0, 1, 1]))
    >>> len(few), few.image_shape, few.nbytes, few.read(np.array([2, 0])).shape
    (3, (8, 8, 1), 192, (2, 8, 8, 1))
    """

    images: np.ndarray | Reader
    labels: np.ndarray

    def __post_init__(self) -> None:
        if not isinstance(self.images, Reader):
            _check_array(self.images)
        _check_shape(self.images.shape)
        _check_labels(self.labels, len(self))
        object.__setattr__(self, "labels", self.labels.astype(np.int32))

    def __len__(self) -> int:
        return self.images.shape[0]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        _, height, width, channels = self.images.shape
        return height, width, channels

    @property
    def nbytes(self) -> int:
        """The bytes of all images as uint8."""
        return math.prod(self.images.shape)

    @property
    def in_memory(self) -> bool:
        """Whether the images are an array."""
        return isinstance(self.images, np.ndarray)

    def read(self, indices: np.ndarray) -> np.ndarray:
        """The images (n, H, W, C) of ``indices`` (n,), uint8."""
        return (
            self.images[indices]
            if isinstance(self.images, np.ndarray)
            else self.images.read(indices)
        )


@dataclass(frozen=True, eq=False)
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
    splits: dict[str, list[str] | list[int]] | None = None

    def __post_init__(self) -> None:
        faults, classes = [], self.classes
        if len(classes) < 2:
            faults.append(
                f"{len(classes)} class is too few to learn from: {classes}; use 2 or more"
            )
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
          InputError: (a ValueError) as :class:`Images` and :class:`Dataset`.
          TypeError: as :class:`Images`.

        >>> images, labels = np.zeros((40, 8, 8, 3), np.uint8), np.arange(40) % 4
        >>> data = Dataset.from_arrays(images, labels)
        >>> len(data.train), len(data.validation), len(data.test), data.classes
        (32, 4, 4, ('0', '1', '2', '3'))
        """
        parts = {"train": Images(images, labels)}
        shares: dict[str, float] = {}
        for split, given in (("validation", validation), ("test", test)):
            if isinstance(given, tuple):
                parts[split] = Images(*given)
            else:
                shares[split] = given
        splits, notes = None, tuple[str, ...]()
        if shares:
            drawn = draw_splits(labels, range(len(labels)), shares, seed)
            for split, indices in drawn.items():
                parts[split] = Images(images[indices], labels[indices])
            splits = {split: indices.tolist() for split, indices in drawn.items()}
            notes = (drawn_note(drawn, seed),)
        if classes is None:
            most = max(int(part.labels.max()) for part in parts.values())
            classes = [str(label) for label in range(most + 1)]
        classes = tuple(classes)
        if absent := sorted(set(range(len(classes))) - set(parts["train"].labels.tolist())):
            named = ", ".join(classes[label] for label in absent)
            notes += (f"no training image for {len(absent)} of {len(classes)} classes: {named}",)
        return cls(
            name, classes, **parts, digest=_digest(classes, parts), notes=notes, splits=splits
        )


def _digest(classes: tuple[str, ...], parts: dict[str, Images]) -> str:
    digest = hashlib.sha256(json.dumps(classes).encode())
    for split in SPLITS:
        part = parts[split]
        digest.update(f"{split} {part.images.shape}".encode())
        digest.update(np.ascontiguousarray(part.images))
        digest.update(part.labels)
    return digest.hexdigest()


def _check_array(images: object) -> None:
    if not isinstance(images, np.ndarray):
        raise TypeError(
            f"images must be a NumPy array, got {type(images).__name__}; use np.asarray(images)"
        )
    if images.dtype == np.uint8:
        return
    if images.dtype.kind not in "biuf" or not images.size:
        raise TypeError(f"images must be uint8, got {images.dtype}; use images.astype(np.uint8)")
    low, high = images.min(), images.max()
    if images.dtype.kind == "b":
        use = "255 * images.astype(np.uint8)"
    elif images.dtype.kind == "f" and 0 <= low and high <= 1:
        use = "(255 * images).round().astype(np.uint8)"
    elif images.dtype.kind == "f" and -1 <= low and high <= 1:
        use = "(127.5 * images + 127.5).round().astype(np.uint8)"
    elif 0 <= low and high <= 255:
        use = "images.round().astype(np.uint8)"
    elif images.dtype == np.uint16:
        use = "(images >> 8).astype(np.uint8)"
    else:
        use = "np.interp(images, (low, high), (0, 255)).astype(np.uint8)"
    raise TypeError(
        f"images must be uint8, from 0 to 255, got {images.dtype} from {low} to {high}; use {use}"
    )


def _check_shape(shape: tuple[int, ...]) -> None:
    if len(shape) == 4 and 1 <= shape[3] <= 4 and shape[1] and shape[2]:
        if not shape[0]:
            raise InputError("images must be one or more, got none")
        return
    if len(shape) == 3:
        use = "images[..., None]"
    elif len(shape) == 4 and 1 <= shape[1] <= 4:
        use = "np.moveaxis(images, 1, -1)"
    else:
        use = "one to four channels, on the last axis"
    raise InputError(f"images of shape {shape} are not (N, H, W, C); use {use}")


def _check_labels(labels: object, count: int) -> None:
    if not isinstance(labels, np.ndarray):
        raise TypeError(
            f"labels must be a NumPy array, got {type(labels).__name__}; use np.asarray(labels)"
        )
    if labels.ndim == 2 and len(labels) == count:
        use = "labels[:, 0]" if labels.shape[1] == 1 else "labels.argmax(-1)"
        raise InputError(f"labels of shape {labels.shape} are not (N,); use {use}")
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels must be integers, got {labels.dtype}; use labels.astype(np.int32)")
    if labels.shape != (count,):
        raise InputError(
            f"labels of shape {labels.shape} do not fit the {count} images; use one for each"
        )
    if (low := int(labels.min())) < 0:
        raise InputError(
            f"labels must be 0 or more, got {low} at index {labels.argmin()}; use labels + {-low}"
        )
    if int(labels.max()) >= 2**31:
        raise InputError(
            f"labels must be below 2**31, got {labels.max()}; use the classes' numbers"
        )
