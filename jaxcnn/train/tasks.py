"""Classification: the loss of a batch, and the measures of a whole split."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax


class Sums(NamedTuple):
    """Weighted sums over the examples of a batch."""

    loss: jax.Array  # (): cross-entropy in nats
    correct: jax.Array  # (): correctly classified examples


def targets_of(labels: jax.Array, classes: int, smoothing: float) -> jax.Array:
    """The probability of each class: (N,) -> (N, classes), float32.

    ``smoothing`` is spread evenly over all classes (Szegedy et al., arXiv:1512.00567).

    >>> targets_of(jnp.array([1]), 2, 0.5).tolist()
    [[0.25, 0.75]]
    """
    exact = jax.nn.one_hot(labels, classes, dtype=jnp.float32)
    return exact * (1 - smoothing) + smoothing / classes if smoothing else exact


def sums(logits: jax.Array, targets: jax.Array, weights: jax.Array) -> Sums:
    """Loss and correct classifications, summed in float32.

    logits: (N, classes)      targets: (N, classes), probabilities      weights: (N,)
    """
    nats = optax.softmax_cross_entropy(logits.astype(jnp.float32), targets)
    correct = logits.argmax(-1) == targets.argmax(-1)
    return Sums((nats * weights).sum(), (correct.astype(jnp.float32) * weights).sum())


@dataclass(frozen=True)
class Evaluation:
    """The measures of a split.

    Attributes:
      loss: mean cross-entropy in nats.
      accuracy: share of correctly classified images.
      confusion: (classes, classes), integers: rows are labels, columns predictions.
      probabilities: (N, classes).
    """

    loss: float
    accuracy: float
    confusion: np.ndarray = field(repr=False)
    probabilities: np.ndarray = field(repr=False)

    @property
    def count(self) -> int:
        """The number of images."""
        return len(self.probabilities)

    @property
    def precision(self) -> np.ndarray:
        """The share of each class's predictions that are right; NaN for a class never predicted."""
        return _share(self.confusion.diagonal(), self.confusion.sum(0))

    @property
    def recall(self) -> np.ndarray:
        """The share of each class's images that are recognized; NaN for a class without images."""
        return _share(self.confusion.diagonal(), self.confusion.sum(1))


def measure(log_probabilities: np.ndarray, labels: np.ndarray) -> Evaluation:
    """The measures of predictions, computed in float64.

    log_probabilities: (N, classes)      labels: (N,)

    >>> found = measure(np.log([[0.75, 0.25], [0.5, 0.5]]), np.array([0, 1]))
    >>> found.accuracy, found.confusion.tolist()
    (0.5, [[1, 0], [1, 0]])
    """
    wide = np.asarray(log_probabilities, np.float64)
    classes = wide.shape[1]
    guesses = wide.argmax(-1)
    confusion = np.bincount(labels.astype(np.int64) * classes + guesses, minlength=classes**2)
    return Evaluation(
        loss=float(-wide[np.arange(len(labels)), labels].mean()),
        accuracy=float((guesses == labels).mean()),
        confusion=confusion.reshape(classes, classes),
        probabilities=np.exp(wide),
    )


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
