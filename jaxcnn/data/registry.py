"""Opens a data set by its name, file or folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxcnn.data.arrays import read_npz
from jaxcnn.data.dataset import Dataset
from jaxcnn.data.folders import open_folder, open_folder_images
from jaxcnn.data.idx_folder import has_idx, read_idx_folder
from jaxcnn.data.images import Images
from jaxcnn.data.pictures import RESIZES, Resize, fit_arrays
from jaxcnn.data.published import PUBLISHED, read_published
from jaxcnn.errors import InputError
from jaxcnn.geometry.check import choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.data.download import Progress
    from jaxcnn.data.parts import Parts


def _silent(what: str, done: int, total: int) -> None:
    """No progress is shown."""


def open_dataset(
    where: str | Path,
    *,
    image_size: tuple[int, int] | None = None,
    resize: str = "crop",
    channels: int | None = None,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
    memory: int = 2**31,
    folder: Path | None = None,
    progress: Progress = _silent,
) -> Dataset:
    """The data set at ``where``, checked completely.

    Args:
      where: one of these.

        - ``mnist``, which comes with the package; ``fashion-mnist``, ``cifar10`` or ``cifar100``,
          which are downloaded once. Their last 5,000 training images are for validation. (A folder
          of such a name is ``./mnist``.)
        - A file ``.npz``: see :func:`jaxcnn.data.arrays.read_npz`.
        - A folder of IDX files (``train-images-idx3-ubyte``, ..., also compressed).
        - A folder with a folder of pictures (PNG, JPEG, BMP, WebP, GIF, TIFF) for each class, or
          with such class folders in ``train``, ``val`` and ``test``. Needs Pillow.
      image_size: (H, W) of the images; None keeps their size. Pictures of different sizes become
        squares with the median of their shorter sides, at most 224.
      resize: ``"crop"`` or ``"stretch"``; see :class:`jaxcnn.data.Resize`.
      channels: 1, 3 or 4; None keeps those of arrays, and reads pictures as grey if all are grey,
        else as RGB. See :mod:`jaxcnn.data.pictures`.
      validation_share: of the training images, for a validation split that is not given; see
        :func:`jaxcnn.data.splits.draw_splits`.
      test_share: likewise for the test split.
      seed: of the drawn splits.
      memory: bytes up to which pictures are kept in memory; above it they are decoded when read.
      folder: where downloads are kept; None for ``$JAXCNN_DATA`` or ``~/.cache/jaxcnn``.
      progress: called with what is done, how much of it, and the total: files for pictures, bytes
        for downloads.

    Raises:
      InputError: (a ValueError) if there is no data set, or if anything in it cannot be used: every
        fault with its path, in one message.

    >>> mnist = open_dataset("mnist")
    >>> len(mnist.train), len(mnist.validation), len(mnist.test), mnist.image_shape
    (55000, 5000, 10000, (28, 28, 1))
    """
    choice("resize", resize, RESIZES)
    fitted = None if image_size is None else Resize(image_size, resize)
    shares = {"validation": validation_share, "test": test_share}
    parts = _parts(where, folder, progress)
    if parts is None:
        return open_folder(
            Path(where),
            image_size=image_size,
            resize=resize,
            channels=channels,
            shares=shares,
            seed=seed,
            memory=memory,
            progress=progress,
        )
    arrays = {
        split: (fit_arrays(np.asarray(part.images), channels, fitted), part.labels)
        for split, part in parts.splits.items()
    }
    data = Dataset.from_arrays(
        *arrays["train"],
        classes=parts.classes,
        validation=arrays.get("validation", validation_share),
        test=arrays.get("test", test_share),
        seed=seed,
        name=parts.name,
    )
    noted = () if fitted is None else (f"images are resized to {fitted}",)
    return dataclasses.replace(data, resize=fitted, notes=(*noted, *data.notes))


def open_images(
    where: str | Path,
    classes: Sequence[str],
    image_shape: tuple[int, int, int],
    resize: Resize | None,
    *,
    memory: int = 2**31,
    folder: Path | None = None,
    progress: Progress = _silent,
) -> Images:
    """The images at ``where`` as one split, to evaluate a network on them.

    If the data set has a test split, these are its images; otherwise all.

    Args:
      where: as for :func:`open_dataset`.
      classes: of the network: the labels of the result are indices of these.
      image_shape: (H, W, C) of the network.
      resize: how images get this size; None if they must have it.
      memory: as for :func:`open_dataset`.
      folder: likewise.
      progress: likewise.

    Raises:
      InputError: (a ValueError) as :func:`open_dataset`, and if a class of the data is none of
        ``classes``.

    >>> len(open_images("mnist", [str(digit) for digit in range(10)], (28, 28, 1), None))
    10000
    """
    classes = tuple(classes)
    parts = _parts(where, folder, progress)
    if parts is None:
        return open_folder_images(Path(where), classes, image_shape, resize, memory, progress)
    chosen = [parts.splits["test"]] if "test" in parts.splits else [*parts.splits.values()]
    images = np.concatenate(
        [fit_arrays(np.asarray(part.images), image_shape[-1], resize) for part in chosen]
    )
    if images.shape[1:] != image_shape:
        raise InputError(
            f"{parts.name} has images of {images.shape[1:]}, not {image_shape}; resize them"
        )
    labels = np.concatenate([part.labels for part in chosen])
    own = parts.classes or classes
    if unknown := [name for name in own if name not in classes]:
        raise InputError(
            f"{parts.name} has the classes {', '.join(own)}, but {', '.join(unknown)} are none of "
            f"the classes {', '.join(classes)}"
        )
    if labels.max() >= len(own):
        raise InputError(
            f"{parts.name} has labels up to {labels.max()}, but there are {len(own)} classes: "
            f"{', '.join(own)}"
        )
    return Images(images, np.array([classes.index(name) for name in own])[labels])


def _parts(where: str | Path, folder: Path | None, progress: Progress) -> Parts | None:
    """The arrays at ``where``; None if it is a folder of pictures."""
    if isinstance(where, str) and where in PUBLISHED:
        return read_published(where, folder, progress)
    path = Path(where)
    if path.is_dir():
        return read_idx_folder(path) if has_idx(path) else None
    if path.suffix == ".npz" and path.is_file():
        return read_npz(path)
    raise InputError(
        f"{where} is no data set: there is no such folder or .npz file, and the names are "
        f"{', '.join(PUBLISHED)}"
    )
