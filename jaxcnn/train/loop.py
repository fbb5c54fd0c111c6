"""The training loop: input, step, evaluation and checkpoint, in the order of execution."""

from __future__ import annotations

import json
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.data import Digits, load_mnist
from jaxcnn.environment import environment
from jaxcnn.errors import InputError
from jaxcnn.files import atomic_write
from jaxcnn.train import pictures
from jaxcnn.train.run import Run, restore
from jaxcnn.train.step import Metrics, Trainer, TrainState, epoch_order, evaluate, make_trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from jaxcnn.train.config import TrainConfig

REPORT_SECONDS = 0.2
"""Seconds between reports of progress; each report waits for the device."""


class Data(NamedTuple):
    """Digits for training, for the choice of settings, and for the reported result."""

    train: Digits
    validation: Digits
    test: Digits


@dataclass(frozen=True)
class Progress:
    """The progress of a run.

    Attributes:
      step, total_steps: the steps done, and the steps of the whole run.
      epoch, epochs: the current epoch, from 1, and the number of epochs.
      loss: the mean over the steps since the last report, in nats.
      accuracy: the share of correctly classified images in these steps.
      images_per_second: the training speed since the last report.
      validation_accuracy: at the end of the last epoch; None in the first one.
    """

    step: int
    total_steps: int
    epoch: int
    epochs: int
    loss: float
    accuracy: float
    images_per_second: float
    validation_accuracy: float | None


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
      folder: the run folder.
      step: the steps done.
      seconds: the duration of training in this process, with compilation and validation.
      validation_accuracy: at the end of the last complete epoch; None before the first.
      test_loss, test_accuracy: on the test set; None if the run was interrupted.
    """

    folder: Path
    step: int
    seconds: float
    validation_accuracy: float | None
    test_loss: float | None
    test_accuracy: float | None


def train(
    config: TrainConfig,
    folder: Path | str,
    *,
    resume: bool = False,
    report: Callable[[Progress], None] = lambda _: None,
    data: Data | None = None,
) -> Result:
    """Trains a stack and writes a run folder (:mod:`jaxcnn.train.run`).

    The first Ctrl-C stops the run after the current program and saves a checkpoint. A resumed run
    ends with exactly the numbers of an uninterrupted one.

    Args:
      config: the settings.
      folder: a new or empty folder; with ``resume``, the folder of an earlier run with these
        settings.
      resume: whether to continue from the folder's newest checkpoint.
      report: called with the progress a few times a second.
      data: digits for training, validation and test; None for MNIST.

    Raises:
      InputError: (a ValueError) if settings, folder, data files or checkpoint cannot be used.
      TypeError: if ``data`` is not three :class:`jaxcnn.data.Digits`.
    """
    with _interruption() as interrupted:
        data = Data(*(load_mnist(split) for split in Data._fields)) if data is None else data
        data = _checked(data)
        count = len(data.train)
        steps = config.steps_per_epoch(count)
        total = steps * config.epochs
        trainer = make_trainer(config, data.train.images.shape[1:], total)
        if resume:
            run = Run.open(folder)
            state = restore(run, trainer)
        else:
            state = trainer.init()
            run = Run.create(folder, config)
            run.checkpoints.save(0, state)  # an interrupt before the first step can be resumed
        done = int(state.step)
        if done > total:
            raise InputError(
                f"{folder} has done {done} steps, but the {config.epochs} epochs in its "
                f"config.json have only {total}; restore the settings it was trained with"
            )
        run.rewind_metrics(done)
        log = _MetricsLog(run, report, config, total, steps)

        images, labels = jnp.asarray(data.train.images), jnp.asarray(data.train.labels)
        held_out = jnp.asarray(data.validation.images), jnp.asarray(data.validation.labels)
        # On a CPU, XLA runs most operations inside a loop on one core (digits network, two cores:
        # 12,300 images a second by single steps, 9,400 in a scan), so a program is one step there.
        # On other devices, one program is the rest of the epoch.
        longest = 1 if jax.default_backend() == "cpu" else steps

        while done < total and not interrupted():
            epoch, first = divmod(done, steps)
            order = epoch_order(config.seed, epoch, count, config.batch_size)
            while first < steps and not interrupted():
                length = min(longest, steps - first)
                state, metrics = trainer.run(state, images, labels, order, first, length)
                first, done = first + length, done + length
                log.add(done, metrics, trainer.schedule)
            log.flush()
            if first == steps:
                log.validate(done, evaluate(trainer.predict, state.params, *held_out)[0])
            run.checkpoints.save(done, state)
        seconds = time.perf_counter() - log.start
        metrics = _test(run, trainer, state, data.test) if done == total else None
        _draw(run, state)
    return _result(run, log, done, seconds, metrics)


def _checked(data: Any) -> Data:
    """``data`` as :class:`Data`; :class:`Digits` checks its arrays itself."""
    if not (isinstance(data, tuple) and len(data) == 3):
        raise TypeError(
            f"data must be three Digits, (train, validation, test), got {type(data).__name__}; "
            f"make each with jaxcnn.data.Digits(images, labels)"
        )
    for split, digits in zip(Data._fields, data, strict=True):
        if not isinstance(digits, Digits):
            raise TypeError(
                f"data must be three Digits, but {split} is {type(digits).__name__}; use "
                f"jaxcnn.data.Digits(images, labels)"
            )
    return Data(*data)


class _MetricsLog:
    """Writes and reports the metrics of steps, without waiting for the device at every step."""

    def __init__(
        self,
        run: Run,
        report: Callable[[Progress], None],
        config: TrainConfig,
        total: int,
        steps: int,
    ) -> None:
        self.run, self.report, self.config = run, report, config
        self.total, self.steps = total, steps
        self.start = self.last = time.perf_counter()
        self.pending: list[tuple[int, Metrics, Callable[[Any], Any]]] = []
        accuracies = [m["accuracy"] for m in run.metrics() if m["split"] == "validation"]
        self.validation_accuracy = accuracies[-1] if accuracies else None

    def add(self, step: int, metrics: Metrics, schedule: Callable[[Any], Any]) -> None:
        self.pending.append((step, metrics, schedule))
        if time.perf_counter() - self.last > REPORT_SECONDS:
            self.flush()

    def flush(self) -> None:
        if not self.pending:
            return
        lines = []
        for end, metrics, schedule in self.pending:
            losses, accuracies = np.asarray(metrics.loss), np.asarray(metrics.accuracy)
            numbers = np.arange(end - len(losses), end)
            rates = np.asarray(schedule(numbers))
            for step, loss, accuracy, rate in zip(
                numbers + 1, losses, accuracies, rates, strict=True
            ):
                line = {"split": "train", "step": int(step), "loss": float(loss)}
                lines.append(line | {"accuracy": float(accuracy), "learning_rate": float(rate)})
        self.pending.clear()
        self.run.append_metrics(lines)
        now = time.perf_counter()
        images, self.last, elapsed = len(lines) * self.config.batch_size, now, now - self.last
        self.report(
            Progress(
                step=lines[-1]["step"],
                total_steps=self.total,
                epoch=-(-lines[-1]["step"] // self.steps),
                epochs=self.config.epochs,
                loss=sum(line["loss"] for line in lines) / len(lines),
                accuracy=sum(line["accuracy"] for line in lines) / len(lines),
                images_per_second=images / elapsed,
                validation_accuracy=self.validation_accuracy,
            )
        )

    def validate(self, step: int, metrics: Metrics) -> None:
        self.validation_accuracy = float(metrics.accuracy)
        line = {"split": "validation", "step": step, "loss": float(metrics.loss)}
        self.run.append_metrics([line | {"accuracy": self.validation_accuracy}])
        self.last = time.perf_counter()


def _test(run: Run, trainer: Trainer, state: TrainState, digits: Digits) -> Metrics:
    images, labels = jnp.asarray(digits.images), jnp.asarray(digits.labels)
    metrics, logits = evaluate(trainer.predict, state.params, images, labels)
    line = {"split": "test", "step": int(state.step), "loss": float(metrics.loss)}
    run.append_metrics([line | {"accuracy": float(metrics.accuracy)}])
    with atomic_write(run.folder / "mistakes.png") as path:
        pictures.mistakes(path, digits, np.asarray(logits))
    return metrics


def _draw(run: Run, state: TrainState) -> None:
    metrics = run.metrics()
    if metrics:
        with atomic_write(run.folder / "curves.png") as path:
            pictures.curves(path, metrics)
    kernel = next((leaf for leaf in jax.tree.leaves(state.params) if leaf.ndim == 4), None)
    if kernel is not None:
        with atomic_write(run.folder / "filters.png") as path:
            pictures.filters(path, np.asarray(kernel))


def _result(
    run: Run, log: _MetricsLog, step: int, seconds: float, metrics: Metrics | None
) -> Result:
    result = Result(
        folder=run.folder,
        step=step,
        seconds=seconds,
        validation_accuracy=log.validation_accuracy,
        test_loss=None if metrics is None else float(metrics.loss),
        test_accuracy=None if metrics is None else float(metrics.accuracy),
    )
    summary = asdict(result) | {"folder": run.folder.name} | environment()
    run.write("summary.json", json.dumps(summary, indent=2) + "\n")
    return result


@contextmanager
def _interruption() -> Iterator[Callable[[], bool]]:
    """Turns the first Ctrl-C inside the block into a flag; a second one raises as usual."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag.is_set
        return

    def on_first(_number: int, _frame: object) -> None:
        flag.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, on_first)
    try:
        yield flag.is_set
    finally:
        signal.signal(signal.SIGINT, before)
