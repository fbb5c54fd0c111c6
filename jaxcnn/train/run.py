"""Run folders: the files of a training run.

config.json      the settings
metrics.jsonl    a line for each step (training) and epoch (validation), and one for the test set
summary.json     the result, with versions and device
checkpoint/      the newest state, written by Orbax
curves.png       loss and error rate over the steps
filters.png      the first layer's kernel
mistakes.png     misclassified test digits
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxcnn.data import Digits, load_mnist
from jaxcnn.errors import InputError
from jaxcnn.files import atomic_write
from jaxcnn.train.checkpoint import Checkpoints, abstract
from jaxcnn.train.config import TrainConfig
from jaxcnn.train.step import Metrics, Trainer, TrainState, evaluate, make_trainer

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes:
      folder: the path.
      config: the settings.
    """

    folder: Path
    config: TrainConfig

    @classmethod
    def create(cls, folder: Path | str, config: TrainConfig) -> Run:
        """Creates a run folder.

        Raises:
          InputError: (a ValueError) if the path exists and is not an empty folder, or if it cannot
            be created.
        """
        folder = Path(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            try:
                cls.open(folder).checkpoints.newest()
                advice = f"resume it with --resume {folder}, or name another folder"
            except InputError:
                advice = "it holds no run to resume, so name another folder"
            raise InputError(f"{folder} exists already; {advice}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{folder} cannot be created ({error.strerror}); name another folder"
            ) from None
        run = cls(folder, config)
        run.write("config.json", config.to_json())
        return run

    @classmethod
    def open(cls, folder: Path | str) -> Run:
        """Opens the folder of an earlier run.

        Raises:
          InputError: (a ValueError) if it holds no readable settings.
        """
        folder = Path(folder)
        try:
            text = (folder / "config.json").read_text()
        except (OSError, UnicodeDecodeError):
            raise InputError(
                f"{folder} is not a run folder: it has no readable config.json; name a folder that "
                f"`jaxcnn train` wrote"
            ) from None
        try:
            return cls(folder, TrainConfig.from_json(text))
        except (InputError, TypeError) as error:
            raise InputError(f"{folder / 'config.json'}: {error}") from None

    @property
    def checkpoints(self) -> Checkpoints:
        """The run's checkpoints."""
        return Checkpoints(self.folder / "checkpoint")

    def write(self, name: str, text: str) -> None:
        """Writes a file of the folder atomically."""
        with atomic_write(self.folder / name) as path:
            path.write_text(text)

    def append_metrics(self, lines: Iterable[dict[str, Any]]) -> None:
        """Appends lines to ``metrics.jsonl``."""
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``, without a last line that a crash left incomplete.

        Raises:
          InputError: (a ValueError) if the file cannot be read, or a line is not JSON.
        """
        path = self.folder / "metrics.jsonl"
        if not path.exists():
            return []
        try:
            lines = path.read_text().splitlines(keepends=True)
            return [json.loads(line) for line in lines if line.endswith("\n")]
        except (OSError, ValueError) as error:  # not text, or not JSON
            raise InputError(f"{path} is damaged: {error}") from None

    def rewind_metrics(self, step: int) -> None:
        """Drops the lines of the test set and of steps after ``step``, from where a run continues.

        Raises:
          InputError: (a ValueError) if the line of a step up to ``step`` is missing.
        """
        try:
            kept = [
                line for line in self.metrics() if line["step"] <= step and line["split"] != "test"
            ]
            trained = [line["step"] for line in kept if line["split"] == "train"]
        except (TypeError, KeyError):  # JSON, but not metrics
            trained = None
        if trained != list(range(1, step + 1)):
            raise InputError(
                f"{self.folder / 'metrics.jsonl'} is damaged: it lacks a line among those of the "
                f"first {step} steps; restore the file, or start a new run"
            )
        self.write("metrics.jsonl", "".join(json.dumps(line) + "\n" for line in kept))


def restore(run: Run, trainer: Trainer) -> TrainState:
    """Restores the run's newest state."""
    return run.checkpoints.restore(abstract(jax.eval_shape(trainer.init)))


def evaluate_run(folder: Path | str, digits: Digits | None = None) -> tuple[int, Metrics]:
    """Restores a run's newest checkpoint and scores it.

    Args:
      folder: the run folder.
      digits: the images to score; None for the MNIST test set.

    Returns:
      The number of steps done, and the loss and accuracy.

    Raises:
      InputError: (a ValueError) if the folder is not a run, or if its checkpoint is missing,
        damaged, or of another network.
    """
    run = Run.open(folder)
    digits = load_mnist("test") if digits is None else digits
    trainer = make_trainer(run.config, digits.images.shape[1:], total_steps=1)
    state = restore(run, trainer)
    metrics, _ = evaluate(
        trainer.predict, state.params, jnp.asarray(digits.images), jnp.asarray(digits.labels)
    )
    return int(state.step), metrics
