"""Arrays as a file has them, before splits are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxcnn.data.faults import refuse
from jaxcnn.data.images import Images
from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np


@dataclass(frozen=True, eq=False)
class Parts:
    """The splits that a source has.

    Attributes:
      name: for people.
      classes: the name of each label, if the source has them.
      splits: images (N, H, W, C) and labels (N,) of ``train`` and, if the source has them, of
        ``validation`` and ``test``.
    """

    name: str
    classes: tuple[str, ...] | None
    splits: dict[str, Images]


def checked_parts(
    name: str,
    classes: tuple[str, ...] | None,
    arrays: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> Parts:
    """``arrays`` as parts; the faults of all splits are one error.

    Grey images (N, H, W) get an axis for the channel, labels (N, 1) lose the last axis.

    >>> import numpy as np
    >>> arrays = {"train": (np.zeros((3, 8, 8), np.uint8), np.zeros((3, 1), int))}
    >>> checked_parts("three", None, arrays).splits["train"].image_shape
    (8, 8, 1)
    """
    splits, faults = {}, []
    for split, (images, labels) in arrays.items():
        images = images[..., None] if images.ndim == 3 else images
        labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
        try:
            splits[split] = Images(images, labels)
        except (InputError, TypeError) as error:
            faults.append(f"{split}: {error}")
    refuse(name, faults)
    return Parts(name, classes, splits)
