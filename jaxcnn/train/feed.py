"""The way of the images to the training step: kept on the device, or streamed batch by batch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import jax
import numpy as np

from jaxcnn.data.stream import batches
from jaxcnn.train.step import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxcnn.data import Images
    from jaxcnn.data.order import Order
    from jaxcnn.train.state import TrainState
    from jaxcnn.train.step import StepMetrics, Trainer

PROGRAM_STEPS = 64
"""Steps in a program on devices other than a CPU, where starting a program costs time."""

GIB = 2**30


class Feed(Protocol):
    """Executes training steps.

    Attributes:
      compile_seconds: the time spent in compilation so far.
      waiting_seconds: the time spent waiting for images so far.
    """

    compile_seconds: float
    waiting_seconds: float

    def run(self, state: TrainState, step: int, most: int) -> tuple[TrainState, StepMetrics, int]:
        """Executes up to ``most`` steps from ``step``: the state, metrics and number of steps."""
        ...

    def close(self) -> None:
        """Ends whatever works ahead."""
        ...


def make_feed(trainer: Trainer, images: Images, order: Order) -> Feed:
    """The feed for a split: on the device if it fits there, for one process."""
    fits = images.in_memory and images.nbytes <= trainer.config.memory * GIB
    kind = ResidentFeed if fits and jax.process_count() == 1 else StreamFeed
    return kind(trainer, images, order)


class _Compiler:
    """Compiles programs ahead of their first call, to time compilation by itself."""

    def __init__(self) -> None:
        self.compile_seconds = self.waiting_seconds = 0.0
        self._programs: dict[int, Any] = {}

    def compiled(self, steps: int, function: Any, *args: Any) -> Callable[..., Any]:
        if steps not in self._programs:
            start = time.perf_counter()
            self._programs[steps] = function.lower(*args).compile()
            self.compile_seconds += time.perf_counter() - start
        return self._programs[steps]


class ResidentFeed(_Compiler):
    """All images are on every device; a step takes its batch from there."""

    def __init__(self, trainer: Trainer, images: Images, order: Order) -> None:
        super().__init__()
        self.trainer, self.order = trainer, order
        place = trainer.place
        # `make_feed` has checked that it is an array.
        self.images = place.put(place.replicated, images.images)  # type: ignore[arg-type]
        self.labels = place.put(place.replicated, images.labels)
        # On a CPU, XLA runs most operations inside a loop on one core (digits network, two cores:
        # 12,300 images a second by single steps, 9,400 in a scan), so a program is one step there.
        self.longest = 1 if jax.default_backend() == "cpu" else PROGRAM_STEPS

    def run(self, state: TrainState, step: int, most: int) -> tuple[TrainState, StepMetrics, int]:
        count = self.longest if most >= self.longest else 1
        steps = range(step, step + count)
        indices = np.stack([self.order.indices(s) for s in steps])
        weights = np.stack([self.order.weights(s) for s in steps])
        args = (state, self.images, self.labels, indices, weights)
        program = self.compiled(count, self.trainer.run_resident, *args)
        return (*program(*args), count)

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class _OwnRows:
    """The examples of a step that this process reads; a class, so that workers can unpickle it."""

    order: Order
    rows: slice

    def __call__(self, step: int) -> np.ndarray:
        return self.order.indices(step)[self.rows]


class StreamFeed(_Compiler):
    """Batches come from memory or disk; each process reads its own rows of every batch."""

    def __init__(self, trainer: Trainer, images: Images, order: Order) -> None:
        super().__init__()
        self.trainer, self.order, self.split = trainer, order, images
        self.rows = trainer.place.rows(order.batch_size)
        self._batches: Iterator[Batch] | None = None
        self._next = -1  # the step of the iterator's next batch

    def run(self, state: TrainState, step: int, most: int) -> tuple[TrainState, StepMetrics, int]:  # noqa: ARG002  (one step a program)
        if self._batches is None or self._next != step:
            self.close()
            self._batches, self._next = self._from(step), step
        start = time.perf_counter()
        batch = next(self._batches)
        self.waiting_seconds += time.perf_counter() - start
        self._next += 1
        program = self.compiled(1, self.trainer.run_batch, state, batch)
        return (*program(state, batch), 1)

    def _from(self, first: int) -> Iterator[Batch]:
        place, order = self.trainer.place, self.order
        indices = _OwnRows(order, self.rows)
        # Processes would each get a copy of images that are in memory.
        workers = 0 if self.split.in_memory else self.trainer.config.workers
        stream = batches(self.split, indices, first, order.steps, workers=workers)
        for step, (pixels, labels) in enumerate(stream, first):
            weights = order.weights(step)[self.rows]
            size = order.batch_size
            yield Batch(
                place.put_rows(place.images, pixels, size),
                place.put_rows(place.batch, labels, size),
                place.put_rows(place.batch, weights, size),
            )

    def close(self) -> None:
        if self._batches is not None:
            self._batches.close()  # type: ignore[attr-defined]  # a generator
            self._batches = None
