"""Predictions for whole splits: batches of one size, the last one padded and cut again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcnn.data.stream import batches
from jaxcnn.train.tasks import Evaluation, measure

if TYPE_CHECKING:
    from jaxcnn.data import Images
    from jaxcnn.train.step import Trainer

CELLS = 2**20
"""Cells of all images in a batch, about; a batch has at least the images of a training step."""

AHEAD = 2
"""Batches that are computed while an earlier one is fetched."""


def evaluate(trainer: Trainer, variables: Any, images: Images) -> Evaluation:
    """The measures of a split; ``variables`` are parameters and other variables."""
    return measure(log_probabilities(trainer, variables, images), images.labels)


def log_probabilities(trainer: Trainer, variables: Any, images: Images) -> np.ndarray:
    """The log-probability of each class: (N, classes), float32."""
    place, count = trainer.place, len(images)
    size = _batch_size(trainer, images)
    rows = place.rows(size)

    def indices(step: int) -> np.ndarray:
        # Past the end, the last image is repeated; its results are cut off.
        return np.minimum(np.arange(size)[rows] + step * size, count - 1)

    pending: list[Any] = []
    found: list[np.ndarray] = []
    for pixels, _ in batches(images, indices, 0, -(-count // size)):
        batch = place.put_rows(place.images, pixels, size)
        pending.append(trainer.predict(*variables, batch))
        if len(pending) > AHEAD:
            found.append(np.asarray(pending.pop(0)))
    return np.concatenate([*found, *map(np.asarray, pending)])[:count]


def _batch_size(trainer: Trainer, images: Images) -> int:
    parts = trainer.place.data
    wanted = max(trainer.config.batch_size, CELLS // int(np.prod(images.image_shape)))
    return -(-min(wanted, len(images)) // parts) * parts
