"""Stratified splits: every class keeps its share in each split."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SPLITS = ("train", "validation", "test")


def draw_splits(
    labels: np.ndarray, names: Sequence[object], shares: Mapping[str, float], seed: int
) -> dict[str, np.ndarray]:
    """The indices of each split, drawn without replacement, class by class.

    A class of n images gives ``round(share * n)`` to a split, but at least one if n is 3 or more,
    and at least one stays for training. The images are drawn by the SHA-256 of the seed and their
    names, so the draw is the same on every machine and with every version of NumPy.

    Args:
      labels: (N,), the class of each image.
      names: N names that differ, such as paths or indices.
      shares: the share of each split that is drawn, ``validation``, ``test`` or both: above 0, and
        below 1 together.
      seed: any integer.

    Returns:
      The indices (n,) of ``train`` and of each split in ``shares``, in ascending order.

    Raises:
      InputError: (a ValueError) if the shares do not fit, or if a split would be empty.
      TypeError: if a share is not a number.

    >>> labels = np.repeat([0, 1], [10, 20])
    >>> drawn = draw_splits(labels, range(30), {"validation": 0.1, "test": 0.2}, 0)
    >>> {split: np.bincount(labels[indices]).tolist() for split, indices in drawn.items()}
    {'train': [7, 14], 'validation': [1, 2], 'test': [2, 4]}
    """
    for split, share in shares.items():
        if isinstance(share, bool) or not isinstance(share, int | float):
            raise TypeError(f"the share of {split} must be a number, got {share!r}; use 0.1")
        if not 0 < share < 1:
            raise InputError(
                f"the share of {split} must be above 0 and below 1, got {share:g}; use 0.1"
            )
    if sum(shares.values()) >= 1:
        raise InputError(
            f"shares of {' and '.join(map(str, shares.values()))} leave no images for training; "
            f"use 0.1 each"
        )
    drawn: dict[str, list[int]] = {split: [] for split in ("train", *shares)}
    rank = [
        hashlib.sha256(f"{seed}/{name}".encode(errors="surrogateescape")).digest() for name in names
    ]
    for label in np.unique(labels):
        members = sorted(np.flatnonzero(labels == label).tolist(), key=rank.__getitem__)
        size, left = len(members), len(shares)
        for split, share in shares.items():
            left -= 1
            room = max(len(members) - 1 - left, min(1, len(members) - 1))
            count = min(max(1, round(share * size)), room)
            drawn[split] += members[:count]
            members = members[count:]
        drawn["train"] += members
    for split in shares:
        if not drawn[split]:
            raise InputError(
                f"{len(labels)} images are too few to draw a {split} split: no class has "
                f"{len(shares) + 1} or more; add images, or divide them yourself: pictures into "
                f"folders train, val and test, arrays into x_train, y_train, x_val, y_val, x_test "
                f"and y_test"
            )
    return {split: np.array(sorted(indices), np.int64) for split, indices in drawn.items()}


def drawn_note(drawn: Mapping[str, np.ndarray], seed: int) -> str:
    """A line that says what :func:`draw_splits` drew.

    >>> drawn_note({"train": np.arange(9), "test": np.arange(9, 12)}, 0)
    'splits drawn from 12 images by seed 0, class by class: 9 train, 3 test'
    """
    each = ", ".join(f"{len(indices)} {split}" for split, indices in drawn.items())
    total = sum(map(len, drawn.values()))
    return f"splits drawn from {total} images by seed {seed}, class by class: {each}"
