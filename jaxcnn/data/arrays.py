"""NumPy's ``.npz`` files of images and labels."""

from __future__ import annotations

import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np

from jaxcnn.data.parts import Parts, checked_parts
from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

# The names of a split's images and labels, in the words of this package, Keras and MedMNIST.
_NAMES = {
    "train": (("images", "labels"), ("x_train", "y_train"), ("train_images", "train_labels")),
    "validation": (
        ("x_validation", "y_validation"),
        ("x_val", "y_val"),
        ("validation_images", "validation_labels"),
        ("val_images", "val_labels"),
    ),
    "test": (("x_test", "y_test"), ("test_images", "test_labels")),
}


def read_npz(path: str | Path) -> Parts:
    """The arrays of an ``.npz`` file; no pickle is loaded.

    The training images are ``images`` and ``labels``, or ``x_train`` and ``y_train``, or
    ``train_images`` and ``train_labels``; validation (``x_val``, ``y_val``, ...) and test
    (``x_test``, ``y_test``, ...) may be there too, and ``classes``, the name of each label. Images
    without a channel axis get one.

    Raises:
      InputError: (a ValueError) if the file cannot be read, has other arrays, or has arrays that
        are no images or labels: all faults at once.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     images, labels = np.zeros((4, 8, 8), np.uint8), np.arange(4) % 2
    ...     np.savez(f"{folder}/few.npz", images=images, labels=labels, classes=["cat", "dog"])
    ...     parts = read_npz(f"{folder}/few.npz")
    >>> parts.classes, parts.splits["train"].image_shape
    (('cat', 'dog'), (8, 8, 1))
    """
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise InputError(
                f"{path}: is a .npy file of one array; save images and labels with np.savez(path, "
                f"images=images, labels=labels)"
            )
        with file:
            arrays = {name: file[name] for name in file.files}
    except InputError:
        raise
    except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile) as error:
        if isinstance(error, ValueError) and not zipfile.is_zipfile(path):
            raise InputError(
                f"{path}: is no .npz file; write it with np.savez(path, images=images, "
                f"labels=labels)"
            ) from None
        raise InputError(f"{path}: cannot be read as .npz ({error})") from None
    found = {}
    for split, pairs in _NAMES.items():
        for images, labels in pairs:
            if images in arrays and labels in arrays:
                found[split] = (arrays[images], arrays[labels])
    if "train" not in found:
        raise InputError(
            f"{path}: has the arrays {', '.join(arrays) or 'none'}, but no images and labels (or "
            f"x_train and y_train); save them with np.savez(path, images=images, labels=labels)"
        )
    classes = (
        tuple(str(name) for name in arrays["classes"].ravel()) if "classes" in arrays else None
    )
    return checked_parts(str(path), classes, found)
