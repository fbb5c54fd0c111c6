"""Labelled images, in memory or read on demand, and the checks of arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from jaxcnn.errors import InputError


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


@dataclass(frozen=True, eq=False, repr=False)
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
    >>> few
    Images(3 of 8x8x1, in memory)
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

    def __repr__(self) -> str:
        where = "in memory" if self.in_memory else "read on demand"
        return f"Images({len(self):,} of {'x'.join(map(str, self.image_shape))}, {where})"

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
        images = self.images
        return images[indices] if isinstance(images, np.ndarray) else images.read(indices)


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
    if images.dtype.kind == "f" and (wrong := int((~np.isfinite(images)).sum())):
        raise TypeError(
            f"images must be uint8, from 0 to 255, got {images.dtype} with {wrong} values that are "
            f"not finite; use np.nan_to_num(images)"
        )
    if images.dtype.kind == "b":
        use = "255 * images.astype(np.uint8)"
    elif images.dtype.kind == "f" and low >= 0 and high <= 1:
        use = "(255 * images).round().astype(np.uint8)"
    elif images.dtype.kind == "f" and low >= -1 and high <= 1:
        use = "(127.5 * images + 127.5).round().astype(np.uint8)"
    elif low >= 0 and high <= 255:
        use = "images.round().astype(np.uint8)"
    elif images.dtype == np.uint16:
        use = "(images >> 8).astype(np.uint8)"
    else:
        use = "np.interp(images, (images.min(), images.max()), (0, 255)).astype(np.uint8)"
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
        numbers = labels.dtype.kind in "bf"
        use = "labels.astype(np.int32)" if numbers else "np.unique(labels, return_inverse=True)[1]"
        raise TypeError(f"labels must be integers, got {labels.dtype}; use {use}")
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
