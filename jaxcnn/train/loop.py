"""The training loop: input, step, validation and checkpoint, in the order of execution."""

from __future__ import annotations

import json
import math
import time
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from jaxcnn.convolve import install
from jaxcnn.environment import environment
from jaxcnn.errors import InputError
from jaxcnn.train import report
from jaxcnn.train.evaluate import evaluate
from jaxcnn.train.events import Compiled, Event, Result, Saved, Started, Validated, Warned
from jaxcnn.train.feed import make_feed
from jaxcnn.train.metrics import MetricsLog
from jaxcnn.train.processes import SharedError, any_process, on_first_process
from jaxcnn.train.state import count_parameters, largest_by_layer
from jaxcnn.train.step import Batch, trained_module

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxcnn.data import Dataset
    from jaxcnn.data.order import Order
    from jaxcnn.train.events import Callback
    from jaxcnn.train.metrics import Bad
    from jaxcnn.train.run import Run
    from jaxcnn.train.start import Start
    from jaxcnn.train.state import TrainState
    from jaxcnn.train.step import Trainer


class DivergedError(SharedError):
    """The loss or its gradient became NaN or infinite; the state before it is kept."""


class Loop:
    """A run in progress."""

    def __init__(
        self,
        run: Run,
        data: Dataset,
        trainer: Trainer,
        order: Order,
        callbacks: Sequence[Callback],
        interrupted: Callable[[], bool],
        start: Start | None,
    ) -> None:
        self.run, self.data, self.trainer, self.order = run, data, trainer, order
        self.callbacks, self.interrupted, self.weights = callbacks, interrupted, start
        self.config = run.config
        self.checkpoints = run.checkpoints

    def emit(self, event: Event) -> None:
        for callback in self.callbacks:
            callback(event)

    def execute(self) -> Result:
        """Trains until the end or an interruption."""
        warnings: list[str] = []
        begun = () if self.weights is None else (self.weights.line,)
        state, info = self._restored(warnings.append)
        self.weights = None  # its arrays are in the state
        step = int(state.step)
        self.best, self.stale = info["best"], info["stale"]
        self.before = {name: info[name] for name in ("seconds", "compile_seconds", "waiting")}
        self.start = self.saved_at = time.perf_counter()
        self.log = MetricsLog(self.run, self.order, self.emit, step)
        self.feed = make_feed(self.trainer, self.data.train, self.order)
        self.emit(
            Started(
                self.run.folder,
                self.config,
                (*self.data.notes, *begun, self.trainer.place.note),
                count_parameters(state.params),
                step,
                self.order.steps,
            )
        )
        for text in (*warnings, *_few_steps(self.order)):
            self.emit(Warned(text))
        if not step:
            self.save(state, 0)  # an interrupt before the first step can be resumed
        # XLA partitions lax's convolutions wrongly along the rows of images.
        spatial = self.trainer.place.mesh.shape["spatial"] > 1
        try:
            with install() if spatial else nullcontext():
                if not any_process(self.interrupted())[0]:
                    state, step = self._epochs(state, step)
                return self._end(state, step)
        finally:
            self.feed.close()

    def _restored(self, warn: Callable[[str], None]) -> tuple[TrainState, dict[str, Any]]:
        fresh = {"best": None, "stale": 0, "seconds": 0.0, "compile_seconds": 0.0, "waiting": 0.0}
        if not on_first_process(self.checkpoints.steps):
            on_first_process(lambda: self.run.rewind_metrics(0))
            return self.trainer.init(None if self.weights is None else self.weights.values), fresh

        state, info = self.checkpoints.restore(self.trainer.abstract(), warn=warn)
        step = int(state.step)
        if step > self.order.steps:
            raise InputError(
                f"the checkpoint in {self.checkpoints.folder} has done {step} steps, but the "
                f"settings in {self.run.folder / 'config.json'} have only {self.order.steps}; "
                f"restore the settings"
            )
        on_first_process(lambda: self.run.rewind_metrics(step))
        return state, info

    def _epochs(self, state: TrainState, step: int) -> tuple[TrainState, int]:
        order = self.order
        while step < order.steps and not self._is_stale():
            epoch = order.epochs_done(step) + 1
            end = order.end_of_epoch(epoch)
            while step < end:
                compiled = self.feed.compile_seconds
                state, metrics, count = self.feed.run(state, step, self._most(step, end))
                step += count
                if self.feed.compile_seconds > compiled:
                    self.emit(Compiled(self.feed.compile_seconds - compiled))
                self.log.add(metrics, self.feed)
                if not self.log.is_due(step) and step < end and not self._is_saving(step):
                    continue
                self._flush(state)
                stop, late = any_process(self.interrupted(), self._is_late())
                if step == end:
                    self._validate(state, step, epoch)
                if stop or late or step == end or self._is_saving(step):
                    self.save(state, step)
                self.log.resume_clock()
                if stop:
                    return state, step
        return state, step

    def _most(self, step: int, end: int) -> int:
        """The steps until something is due."""
        every = self.config.save_steps
        return min(end - step, end if every is None else every - step % every)

    def _is_saving(self, step: int) -> bool:
        return self.config.save_steps is not None and step % self.config.save_steps == 0

    def _is_late(self) -> bool:
        return time.perf_counter() - self.saved_at > 60 * self.config.save_minutes

    def _is_stale(self) -> bool:
        return self.config.patience is not None and self.stale >= self.config.patience

    def _flush(self, state: TrainState) -> None:
        """Writes the metrics since the last time; stops the run if one is not finite."""
        bad = self.log.flush(self.feed)
        if bad is None:
            return
        raise self._diverged(state, bad)

    def _diverged(self, state: TrainState, bad: Bad) -> DivergedError:
        """Keeps the last good state, and says what happened after it."""
        state = state._replace(step=~state.step)  # it has stayed as it was before the bad step
        step = int(state.step)
        split, order, place = self.data.train, self.order, self.trainer.place
        rows = place.rows(order.batch_size)
        chosen = order.indices(step)[rows]
        parts = (
            (place.images, split.read(chosen)),
            (place.batch, split.labels[chosen]),
            (place.batch, order.weights(step)[rows]),
        )
        batch = Batch(*(place.put_rows(how, part, order.batch_size) for how, part in parts))
        layers = list(largest_by_layer(self.trainer.gradients(state, batch)).items())[:3]
        self.save(state, step)
        return DivergedError(
            f"the loss is {bad.loss:g} and its gradient's norm {bad.gradient_norm:g} in step "
            f"{step + 1}, at learning rate {bad.learning_rate:.3g}; largest gradients: "
            f"{', '.join(f'{name} {value:.3g}' for name, value in layers)}; the state before it is "
            f"kept in {self.run.folder}. Start a new run with a smaller learning_rate"
            + (", or with clip=1" if self.config.clip is None else "")
        )

    def _validate(self, state: TrainState, step: int, epoch: int) -> None:
        found = evaluate(self.trainer, self.trainer.evaluated(state), self.data.validation)
        better = self.best is None or found.accuracy > self.best["accuracy"]
        self.stale = 0 if better else self.stale + 1
        if better:
            self.best = {"accuracy": found.accuracy, "step": step}
        self.log.validated(step, found)
        self.emit(Validated(epoch, step, found.loss, found.accuracy, better))

    def save(self, state: TrainState, step: int) -> None:
        """Saves a checkpoint."""
        info = {"best": self.best, "stale": self.stale} | self._times()
        best = self.best is not None and self.best["step"] == step
        self.checkpoints.save(step, state, info, best=best)
        self.saved_at = time.perf_counter()
        self.emit(Saved(step))

    def _best(self, state: TrainState) -> TrainState:
        """The best state, or ``state`` if that is damaged."""
        best = on_first_process(self.checkpoints.best)
        try:
            return self.checkpoints.restore(self.trainer.abstract(), step=best)[0]
        except InputError as error:
            self.emit(Warned(f"{error}; the last state is tested instead of the best"))
            return state

    def _times(self) -> dict[str, float]:
        """The seconds of training, compilation and waiting, with those of earlier processes."""
        compiling = self.feed.compile_seconds
        now = {
            "seconds": time.perf_counter() - self.start - compiling,
            "compile_seconds": compiling,
            "waiting": self.feed.waiting_seconds,
        }
        return {name: self.before[name] + value for name, value in now.items()}

    def _end(self, state: TrainState, step: int) -> Result:
        times = self._times()
        finished = step == self.order.steps or self._is_stale()
        chosen, found = state, None
        if finished and self.config.patience is not None:
            chosen = self._best(state)
        variables = self.trainer.evaluated(chosen)
        if finished:
            found = evaluate(self.trainer, variables, self.data.test)
            self.log.tested(int(chosen.step), found)
        if self.run.model is not None:
            trained_module(self.run.model, variables)
        result = Result(
            folder=self.run.folder,
            step=step,
            finished=finished,
            stopped_early=finished and step < self.order.steps,
            seconds=times["seconds"],
            compile_seconds=times["compile_seconds"],
            waiting=times["waiting"] / times["seconds"] if times["seconds"] else 0.0,
            validation_accuracy=self.log.validation_accuracy,
            test_loss=None if found is None else found.loss,
            test_accuracy=None if found is None else found.accuracy,
        )

        def write() -> None:
            report.draw(self.run, state, self.data.test, found)
            summary = asdict(result) | {"folder": self.run.folder.name} | environment()
            self.run.write("summary.json", json.dumps(summary, indent=2) + "\n")

        on_first_process(write)
        self.emit(result)
        return result


FEW_STEPS = 100
"""A run of fewer steps hardly learns; it is said."""

LEAST_BATCH = 8
"""The smallest batch that is advised: the statistics of BatchNorm need some images."""


def _few_steps(order: Order) -> tuple[str, ...]:
    """A line on a run of few steps, and on a batch size that gives more."""
    if order.steps >= FEW_STEPS:
        return ()
    wanted = max(LEAST_BATCH, order.epochs * order.count // (2 * FEW_STEPS))
    smaller = 2 ** int(math.log2(wanted))
    line = (
        f"the run has only {order.steps} steps, for {order.epochs} epochs of {order.count} images "
        f"in batches of {order.batch_size}; use more epochs"
    )
    return (line + (f", or batch_size {smaller}" if smaller < order.batch_size else ""),)
