"""Run folders: what a training run leaves, and how it is opened again.

config.json      the settings
metrics.jsonl    a line a step (training), a line an epoch (validation), one for the test set
summary.json     the result, with versions and device
checkpoint/      the newest state, by Orbax
curves.png       loss and error rate over the steps
filters.png      the first layer's filters
mistakes.png     test digits that the network gets wrong
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jaxcnn.data import Digits, load_mnist
from jaxcnn.errors import InputError
from jaxcnn.train.checkpoint import Checkpoints, abstract
from jaxcnn.train.config import TrainConfig
from jaxcnn.train.step import Metrics, Trainer, TrainState, evaluate, make_trainer


@dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes:
      folder: where it is.
      config: its settings.
    """

    folder: Path
    config: TrainConfig

    @classmethod
    def create(cls, folder: Path | str, config: TrainConfig) -> Run:
        """A new folder; one that holds something already is left alone, with an error."""
        folder = Path(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            try:
                cls.open(folder).checkpoints.newest()
                way_out = f"resume it with --resume {folder}, or name another folder"
            except InputError:
                way_out = "it holds no run that could be resumed: name another"
            raise InputError(f"{folder} is there already; {way_out}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder} cannot be made ({error.strerror}); name another") from None
        run = cls(folder, config)
        run.write("config.json", config.to_json())
        return run

    @classmethod
    def open(cls, folder: Path | str) -> Run:
        """A folder that an earlier run left.

        Raises:
          InputError: (a ValueError) where it holds no readable settings.
        """
        folder = Path(folder)
        try:
            text = (folder / "config.json").read_text()
        except (OSError, UnicodeDecodeError):
            raise InputError(
                f"{folder} is no run folder: it has no readable config.json; name one that "
                f"`jaxcnn train` has made"
            ) from None
        try:
            return cls(folder, TrainConfig.from_json(text))
        except (InputError, TypeError) as error:
            raise InputError(f"{folder / 'config.json'}: {error}") from None

    @property
    def checkpoints(self) -> Checkpoints:
        """The run's states."""
        return Checkpoints(self.folder / "checkpoint")

    def write(self, name: str, text: str) -> None:
        """Puts a file in place in one step, so that a reader never finds half of it."""
        with atomic_write(self.folder / name) as path:
            path.write_text(text)

    def append_metrics(self, lines: Iterable[dict[str, Any]]) -> None:
        """Adds lines to ``metrics.jsonl``."""
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``; a last line cut short by a crash is left out."""
        path = self.folder / "metrics.jsonl"
        if not path.exists():
            return []
        try:
            lines = path.read_text().splitlines(keepends=True)
            return [json.loads(line) for line in lines if line.endswith("\n")]
        except (OSError, ValueError) as error:  # not text, or not JSON
            raise InputError(f"{path} is damaged: {error}") from None

    def rewind_metrics(self, step: int) -> None:
        """Drops the lines of steps after ``step``, which are about to be done again.

        Raises:
          InputError: (a ValueError) where a line of the steps before is not there.
        """
        try:
            kept = [
                line for line in self.metrics() if line["step"] <= step and line["split"] != "test"
            ]
            trained = [line["step"] for line in kept if line["split"] == "train"]
        except (TypeError, KeyError):  # JSON, but not our lines
            trained = None
        if trained != list(range(1, step + 1)):
            raise InputError(
                f"{self.folder / 'metrics.jsonl'} is damaged: it has not a line for each of the "
                f"{step} steps done; put it back, or train anew"
            )
        self.write("metrics.jsonl", "".join(json.dumps(line) + "\n" for line in kept))


class atomic_write:
    """A path to write to, which takes ``path``'s place if and only if the block ends well."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.new = path.with_name(f".{os.getpid()}.{path.name}")

    def __enter__(self) -> Path:
        return self.new

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.new.replace(self.path)
        else:
            self.new.unlink(missing_ok=True)


def restore(run: Run, trainer: Trainer) -> TrainState:
    """The run's newest state."""
    return run.checkpoints.restore(abstract(jax.eval_shape(trainer.init)))


def evaluate_run(folder: Path | str, digits: Digits | None = None) -> tuple[int, Metrics]:
    """Restores a run and scores it: the steps it has done, and its loss and accuracy.

    Args:
      folder: the run.
      digits: what to score it on; None for the test set.

    Raises:
      InputError: (a ValueError) where the folder is no run, or its checkpoint none of it.
    """
    run = Run.open(folder)
    digits = load_mnist("test") if digits is None else digits
    trainer = make_trainer(run.config, digits.images.shape[1:], total_steps=1)
    state = restore(run, trainer)
    metrics, _ = evaluate(
        trainer.predict, state.params, jnp.asarray(digits.images), jnp.asarray(digits.labels)
    )
    return int(state.step), metrics
