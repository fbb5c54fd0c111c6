"""The order in which training sees the examples: a pure function of the seed and the step."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.geometry.check import integer

INT32 = 2**31 - 1
"""The largest int32; steps and seeds are int32 on the device."""


@dataclass(frozen=True)
class Order:
    """Shuffled batches over several epochs, each step computable by itself.

    The epochs follow one another without a gap: a batch that an epoch does not fill goes on with
    the next one. The last batch of all is filled with examples of weight 0. The order of an epoch
    depends on the seed and its number alone, so training can continue at any step.

    Args:
      count: the number of examples.
      batch_size: examples in a step.
      epochs: the number of epochs.
      seed: the seed of the order, 0 to 2**31 - 1.

    Raises:
      InputError: (a ValueError) if a number is too small, or if there are more steps than an int32
        counts. TypeError if one is not an integer.

    >>> order = Order(count=5, batch_size=2, epochs=1, seed=0)
    >>> order.steps, sorted(np.concatenate([order.indices(step) for step in range(3)])[:5].tolist())
    (3, [0, 1, 2, 3, 4])
    >>> order.weights(2).tolist()
    [1.0, 0.0]
    """

    count: int
    batch_size: int
    epochs: int
    seed: int = 0
    _orders: dict[int, np.ndarray] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for name, least in (("count", 1), ("batch_size", 1), ("epochs", 1), ("seed", 0)):
            integer(name, getattr(self, name), least=least)
        if self.steps > INT32:
            per_epoch = self.count / self.batch_size
            raise InputError(
                f"epochs {self.epochs} of {per_epoch:,.1f} steps are more than an int32 counts; "
                f"use {int(INT32 / per_epoch)} or fewer"
            )

    @property
    def steps(self) -> int:
        """The number of steps of all epochs."""
        return self.end_of_epoch(self.epochs)

    def end_of_epoch(self, epoch: int) -> int:
        """The number of steps after which every example was seen ``epoch`` times."""
        return -(-epoch * self.count // self.batch_size)

    def epochs_done(self, step: int) -> int:
        """The number of whole epochs after ``step`` steps."""
        return min(step * self.batch_size // self.count, self.epochs)

    def indices(self, step: int) -> np.ndarray:
        """The examples of step ``step``, from 0: (batch_size,), int32."""
        first = step * self.batch_size
        places = np.arange(first, first + self.batch_size)
        found = np.empty(self.batch_size, np.int32)
        for epoch in range(places[0] // self.count, places[-1] // self.count + 1):
            chosen = places // self.count == epoch
            found[chosen] = self._epoch(epoch)[places[chosen] % self.count]
        return found

    def weights(self, step: int) -> np.ndarray:
        """The weights of the examples of a step: (batch_size,), float32; 0 after the last epoch."""
        left = self.epochs * self.count - step * self.batch_size
        return (np.arange(self.batch_size) < left).astype(np.float32)

    def _epoch(self, epoch: int) -> np.ndarray:
        found = self._orders.get(epoch)
        if found is None:
            # RandomState is the one generator whose draws NumPy promises never to change.
            bits = np.random.MT19937(np.random.SeedSequence([self.seed, epoch]))
            found = np.random.RandomState(bits).permutation(self.count)
            # Batches are read in several threads, so another may have removed either.
            while len(self._orders) > 1:
                self._orders.pop(min(self._orders, default=epoch), None)
            self._orders[epoch] = found
        return found
