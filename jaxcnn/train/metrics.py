"""The metrics of a run: fetched from the device now and then, written and reported."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np

from jaxcnn.train.events import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxcnn.data.order import Order
    from jaxcnn.train.events import Event
    from jaxcnn.train.feed import Feed
    from jaxcnn.train.run import Run
    from jaxcnn.train.step import StepMetrics
    from jaxcnn.train.tasks import Evaluation

REPORT_SECONDS = 0.2
"""Seconds between reports of progress; each report waits for the device."""

REPORT_STEPS = 16
"""Steps between reports where several processes must report at the same step."""


class Bad(NamedTuple):
    """The metrics of a step that was not finite."""

    loss: float
    learning_rate: float
    gradient_norm: float


class MetricsLog:
    """Writes and reports the metrics of steps, without waiting for the device at every step."""

    def __init__(self, run: Run, order: Order, emit: Callable[[Event], None], step: int) -> None:
        self.run, self.order, self.emit = run, order, emit
        self.step = step
        self.pending: list[StepMetrics] = []
        self.writes = jax.process_index() == 0
        found = [line["accuracy"] for line in run.metrics() if line["split"] == "validation"]
        self.validation_accuracy: float | None = found[-1] if found else None
        self._restart(0.0, 0.0)

    def _restart(self, compiled: float, waited: float) -> None:
        self.last, self.compiled, self.waited = time.perf_counter(), compiled, waited

    def add(self, metrics: StepMetrics, feed: Feed) -> None:
        """Takes the metrics of one program, (steps,) each."""
        if not self.pending and self.compiled < feed.compile_seconds:
            self._restart(feed.compile_seconds, feed.waiting_seconds)
        self.pending.append(metrics)

    def resume_clock(self) -> None:
        """Leaves the time since the last report out of the speed: validation, a checkpoint."""
        self.last = time.perf_counter()

    def is_due(self, step: int) -> bool:
        """Whether it is time for a report after ``step`` steps."""
        if jax.process_count() > 1:
            return step % REPORT_STEPS == 0
        return time.perf_counter() - self.last > REPORT_SECONDS

    def flush(self, feed: Feed) -> Bad | None:
        """Writes and reports what is pending; returns the first step that is not finite."""
        if not self.pending:
            return None
        losses, accuracies, rates, norms, finite = (
            np.concatenate(parts)
            for parts in zip(*(map(np.asarray, each) for each in self.pending), strict=True)
        )
        self.pending.clear()
        good = len(finite) if finite.all() else int(finite.argmin())
        lines = [
            {
                "split": "train",
                "step": self.step + 1 + i,
                "loss": float(losses[i]),
                "accuracy": float(accuracies[i]),
                "learning_rate": float(rates[i]),
                "gradient_norm": float(norms[i]),
            }
            for i in range(good)
        ]
        if self.writes:
            self.run.append_metrics(lines)
        self.step += good
        now = time.perf_counter()
        compiled = feed.compile_seconds - self.compiled
        elapsed = max(now - self.last - compiled, 1e-9)
        waiting = (feed.waiting_seconds - self.waited) / elapsed
        self._restart(feed.compile_seconds, feed.waiting_seconds)
        if good < len(finite):
            return Bad(float(losses[good]), float(rates[good]), float(norms[good]))
        self.emit(
            Progress(
                step=self.step,
                total_steps=self.order.steps,
                epoch=self.order.epochs_done(self.step - 1) + 1,
                epochs=self.order.epochs,
                loss=float(losses.mean()),
                accuracy=float(accuracies.mean()),
                learning_rate=lines[-1]["learning_rate"],
                gradient_norm=lines[-1]["gradient_norm"],
                images_per_second=good * self.order.batch_size / elapsed,
                waiting=min(waiting, 1.0),
                validation_accuracy=self.validation_accuracy,
            )
        )
        return None

    def validated(self, step: int, found: Evaluation) -> None:
        """Writes the measures of the validation split."""
        self.validation_accuracy = found.accuracy
        self._write("validation", step, found)

    def tested(self, step: int, found: Evaluation) -> None:
        """Writes the measures of the test split."""
        self._write("test", step, found)

    def _write(self, split: str, step: int, found: Evaluation) -> None:
        line = {"split": split, "step": step, "loss": found.loss, "accuracy": found.accuracy}
        if self.writes:
            self.run.append_metrics([line])
