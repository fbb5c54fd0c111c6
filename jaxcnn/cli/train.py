"""``jaxcnn train``: the digits network, with live progress."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jaxcnn.cli.tables import print_plan
from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from jaxcnn.train import Progress, Result

Out = Annotated[
    Path | None,
    typer.Option(help="The run's folder; new or empty.", show_default="runs/<date>-<time>"),
]
Resume = Annotated[
    Path | None,
    typer.Option(help="Go on with this run, with its own settings.", show_default=False),
]
Epochs = Annotated[int | None, typer.Option(help="Passes over the data.", show_default="8")]
Seed = Annotated[
    int | None, typer.Option(help="Of weights, order and augmentation.", show_default="0")
]


def train(out: Out = None, resume: Resume = None, epochs: Epochs = None, seed: Seed = None) -> None:
    """Train a convolutional network on MNIST and leave a run folder.

    The folder holds settings, metrics, checkpoint and pictures. Ctrl-C ends the run early, with a
    checkpoint; --resume goes on from there and ends with the numbers of an uninterrupted run.
    """
    given: dict[str, Any] = {
        name: value for name, value in (("epochs", epochs), ("seed", seed)) if value is not None
    }
    if resume is not None and (out is not None or given):
        named = ", ".join(f"--{name}" for name in (["out"] if out else []) + list(given))
        raise InputError(f"--resume takes folder and settings from the run; leave out {named}")

    # Here, not above: JAX takes a second to import, which the other commands need not wait for.
    from jaxcnn.environment import device_name
    from jaxcnn.train import Run, TrainConfig
    from jaxcnn.train import train as run_training

    config = TrainConfig(**given) if resume is None else Run.open(resume).config
    folder = resume or out or Path("runs") / datetime.now().strftime("%Y%m%d-%H%M%S")
    typer.echo(f"jaxcnn on {device_name()}, run folder {folder}")
    print_plan(config.plan())
    with _bar() as report:
        result = run_training(config, folder, resume=resume is not None, report=report)
    _tell(result)


class _bar:
    """A progress bar whose ``report`` takes the loop's :class:`jaxcnn.train.Progress`."""

    def __enter__(self):
        from rich.progress import (
            BarColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self.progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None),  # what the rest leaves of the line; it fits in 80 columns
            TextColumn("loss {task.fields[loss]} acc {task.fields[acc]} val {task.fields[val]}"),
            TextColumn("{task.fields[speed]} img/s"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
        )
        blank: dict[str, Any] = {"epoch": "-/-", "loss": "-", "acc": "-", "val": "-", "speed": "-"}
        self.task = self.progress.add_task("train", total=None, **blank)
        self.progress.start()
        return self.report

    def report(self, now: Progress) -> None:
        val = now.validation_accuracy
        self.progress.update(
            self.task,
            total=now.total_steps,
            completed=now.step,
            epoch=f"{now.epoch}/{now.epochs}",
            loss=f"{now.loss:.4f}",
            acc=f"{now.accuracy:.2%}",
            val="-" if val is None else f"{val:.2%}",
            speed=f"{now.images_per_second:,.0f}",
        )

    def __exit__(self, *_: object) -> None:
        self.progress.stop()


def _tell(result: Result) -> None:
    """Says how the run ended; exits with 130, as shells do, where it was interrupted."""
    if result.test_accuracy is None:
        typer.echo(
            f"stopped after step {result.step}; go on with: jaxcnn train --resume {result.folder}"
        )
        raise typer.Exit(130)
    typer.echo(
        f"test accuracy {result.test_accuracy:.2%}, loss {result.test_loss:.4f}, after "
        f"{result.step} steps in {result.seconds:.0f} s; all of it in {result.folder}"
    )
