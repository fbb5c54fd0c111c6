"""CIFAR-10 and CIFAR-100 in their published binary archives.

A record is one byte for the label (CIFAR-100: the coarse, then the fine label) and 3072 for the
image: its red, green and blue planes of 32x32. A. Krizhevsky, "Learning multiple layers of features
from tiny images", 2009; https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import io
import re
import tarfile
import zlib
from pathlib import Path, PurePosixPath

import numpy as np

from jaxcnn.errors import InputError

_PIXELS = 3 * 32 * 32
_NAMES = ("batches.meta.txt", "fine_label_names.txt")


def read_cifar(
    path: str | Path, content: bytes
) -> tuple[tuple[str, ...], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """The class names, and the images (N, 32, 32, 3) and labels (N,) of ``train`` and ``test``.

    The labels of CIFAR-100 are the 100 fine ones.

    Args:
      path: the archive, for errors.
      content: its bytes.

    Raises:
      InputError: (a ValueError) if it is no such archive, is truncated, or lacks a file.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            files = {
                PurePosixPath(member.name).name: file.read()
                for member in archive
                if member.name.endswith((".bin", *_NAMES)) and (file := archive.extractfile(member))
            }
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read as .tar.gz ({error})") from None
    names = next((files[name] for name in _NAMES if name in files), b"")
    train = sorted(name for name in files if re.fullmatch(r"data_batch_\d+\.bin|train\.bin", name))
    test = [name for name in files if name in ("test_batch.bin", "test.bin")]
    if not (names and train and test):
        raise InputError(
            f"{path}: has {', '.join(sorted(files)) or 'nothing'}, but a CIFAR archive in binary "
            f"form has {' or '.join(_NAMES)}, data_batch_*.bin or train.bin, and test_batch.bin or "
            f"test.bin"
        )
    label_bytes = 1 if "batches.meta.txt" in files else 2
    splits = {"train": train, "test": test}
    return tuple(names.decode().split()), {
        split: _records(path, b"".join(files[name] for name in members), label_bytes)
        for split, members in splits.items()
    }


def _records(path: str | Path, content: bytes, label_bytes: int) -> tuple[np.ndarray, np.ndarray]:
    size = label_bytes + _PIXELS
    if not content or len(content) % size:
        raise InputError(f"{path}: {len(content)} bytes of records are not a multiple of {size}")
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    planes = records[:, label_bytes:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, label_bytes - 1]
