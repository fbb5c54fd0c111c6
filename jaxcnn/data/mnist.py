"""MNIST, the handwritten digits of LeCun, Cortes and Burges, which come with the package.

Licence of the four data files: CC BY-SA 3.0; see ``mnist_files/README.md``.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.geometry.check import choice

FOLDER = Path(__file__).parent / "mnist_files"

# SHA-256 of the published compressed files.
DIGESTS = {
    "train-images": "0b367032e93c5d0cea0925647cfdb18614af8ee15f83e6f2fc2ad904a6835971",
    "train-labels": "1787548bbe0bff1ec2ecdc0ef292b02df999e2d1a6002d27500982c652b17203",
    "t10k-images": "1a1a05eab793c14bb050b398624a11b0ffd1a2953baed553b1b9bd079e2a20be",
    "t10k-labels": "b91679a0acfe4ba0e50a2437a903084cba1f5f92592b016a25a7dfd00455798b",
}

_SPLITS = {"train": ("train", 0, 55_000), "validation": ("train", 55_000, 60_000)}
_SPLITS["test"] = ("t10k", 0, 10_000)

IMAGE, CLASSES = (28, 28, 1), 10


@dataclass(frozen=True)
class Digits:
    """Labelled images of digits.

    Attributes:
      images: (N, 28, 28, 1), uint8, 0 for paper and 255 for ink.
      labels: (N,), integers from 0 to 9.

    Raises:
      InputError: (a ValueError) if the shapes do not fit, or if a label is not a digit.
      TypeError: if an argument is not a NumPy array, or has another dtype.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        for name, array in (("images", images), ("labels", labels)):
            if not isinstance(array, np.ndarray):
                raise TypeError(
                    f"{name} must be a NumPy array, got {type(array).__name__}; use "
                    f"np.asarray({name})"
                )
        if images.dtype != np.uint8:
            raise TypeError(
                f"images must be uint8, 0 for paper and 255 for ink, got {images.dtype}; if they "
                f"are from 0 to 1, use (255 * images).round().astype(np.uint8)"
            )
        if images.ndim != 4 or images.shape[1:] != IMAGE:
            fits = images.ndim == 3 and images.shape[1:] == IMAGE[:2]
            use = "images[..., None]" if fits else f"images of {IMAGE}, channels last"
            raise InputError(f"images of shape {images.shape} are not (N, 28, 28, 1); use {use}")
        if labels.dtype.kind not in "iu":
            raise TypeError(
                f"labels must be integers, got {labels.dtype}; use labels.astype(np.uint8)"
            )
        if labels.shape != (len(images),):
            use = "labels.argmax(-1)" if labels.shape == (len(images), CLASSES) else "one for each"
            raise InputError(
                f"labels of shape {labels.shape} do not fit the {len(images)} images; use {use}"
            )
        if not len(images):
            raise InputError("images must be one or more, got none")
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= CLASSES:
            raise InputError(
                f"labels must be digits from 0 to {CLASSES - 1}, got {low} to {high}"
                + (f"; use labels - {low}" if high - low < CLASSES else "")
            )

    def __len__(self) -> int:
        return len(self.labels)


def load_mnist(split: str = "train", *, folder: Path | str = FOLDER) -> Digits:
    """One split of MNIST.

    Args:
      split: ``"train"``, the first 55,000 of the 60,000 training digits; ``"validation"``, the
        last 5,000, to choose settings by; ``"test"``, the 10,000 test digits, to report.
      folder: the folder of the four compressed IDX files.

    Raises:
      InputError: (a ValueError) if a file is missing or differs from the published one.

    >>> digits = load_mnist("test")
    >>> digits.images.shape, digits.labels[:4].tolist()
    ((10000, 28, 28, 1), [7, 2, 1, 0])
    """
    prefix, first, end = _SPLITS[choice("split", split, tuple(_SPLITS))]
    images = _read(Path(folder) / f"{prefix}-images-idx3-ubyte.gz")
    labels = _read(Path(folder) / f"{prefix}-labels-idx1-ubyte.gz")
    return Digits(images[first:end, ..., None], labels[first:end])


def _read(path: Path) -> np.ndarray:
    """Checks the digest of a compressed IDX file of unsigned bytes, and returns its array."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); reinstall jaxcnn to restore it"
        ) from None
    digest = hashlib.sha256(content).hexdigest()
    expected = DIGESTS[path.name.split("-idx")[0]]
    if digest != expected:
        raise InputError(
            f"{path} is damaged or altered: its {len(content)} bytes have SHA-256 "
            f"{digest[:16]}..., not {expected[:16]}...; reinstall jaxcnn to restore it"
        )
    plain = gzip.decompress(content)
    axes = plain[3]  # the header: two zeros, the type, the number of axes, the size of each
    sizes = np.frombuffer(plain, ">u4", count=axes, offset=4)
    return np.frombuffer(plain, np.uint8, offset=4 + 4 * axes).reshape(sizes)
