"""``jaxcnn train``: trains the digits network and shows its progress."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jaxcnn.cli.tables import print_plan
from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxcnn.train import Progress, Result

Out = Annotated[
    Path | None,
    typer.Option("--out", help="Run folder, new or empty.", show_default="runs/<date>-<time>"),
]
Resume = Annotated[
    Path | None,
    typer.Option("--resume", help="Continue this run, with its own settings.", show_default=False),
]
Epochs = Annotated[
    int | None, typer.Option("--epochs", help="Passes over the data.", show_default="8")
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", help="Seed of weights, order and augmentation.", show_default="0"),
]


def train(out: Out = None, resume: Resume = None, epochs: Epochs = None, seed: Seed = None) -> None:
    """Train a convolutional network on MNIST and write a run folder.

    The folder holds settings, metrics, a checkpoint and pictures. Ctrl-C stops the run and saves a
    checkpoint; --resume continues from there, with the same numbers as an uninterrupted run.
    """
    given: dict[str, Any] = {
        name: value for name, value in (("epochs", epochs), ("seed", seed)) if value is not None
    }
    if resume is not None and (out is not None or given):
        named = ", ".join(f"--{name}" for name in (["out"] if out else []) + list(given))
        raise InputError(f"--resume takes folder and settings from the run; leave out {named}")

    # Imported here, because JAX takes a second to import; other commands should not wait for it.
    from jaxcnn.environment import device_name
    from jaxcnn.train import Run, TrainConfig
    from jaxcnn.train import train as run_training

    config = TrainConfig(**given) if resume is None else Run.open(resume).config
    folder = resume or out or Path("runs") / datetime.now().strftime("%Y%m%d-%H%M%S")
    typer.echo(f"jaxcnn on {device_name()}, run folder {folder}")
    print_plan(config.plan())
    with _progress_bar() as report:
        result = run_training(config, folder, resume=resume is not None, report=report)
    _print_result(result)


@contextmanager
def _progress_bar() -> Iterator[Callable[[Progress], None]]:
    """A progress bar; yields the function that shows a :class:`jaxcnn.train.Progress`."""
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn("epoch {task.fields[epoch]}"),
        BarColumn(bar_width=None),  # fills the rest of the line; it fits in 80 columns
        TextColumn("loss {task.fields[loss]} acc {task.fields[acc]} val {task.fields[val]}"),
        TextColumn("{task.fields[speed]} img/s"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
    )
    blank: dict[str, Any] = {"epoch": "-/-", "loss": "-", "acc": "-", "val": "-", "speed": "-"}
    task = bar.add_task("train", total=None, **blank)

    def report(progress: Progress) -> None:
        validation = progress.validation_accuracy
        bar.update(
            task,
            total=progress.total_steps,
            completed=progress.step,
            epoch=f"{progress.epoch}/{progress.epochs}",
            loss=f"{progress.loss:.4f}",
            acc=f"{progress.accuracy:.2%}",
            val="-" if validation is None else f"{validation:.2%}",
            speed=f"{progress.images_per_second:,.0f}",
        )

    with bar:
        yield report


def _print_result(result: Result) -> None:
    """Prints how the run ended; an interrupted run exits with code 130, as in a shell."""
    if result.test_accuracy is None:
        typer.echo(
            f"stopped after step {result.step}; continue with: "
            f"jaxcnn train --resume {result.folder}"
        )
        raise typer.Exit(130)
    typer.echo(
        f"test accuracy {result.test_accuracy:.2%}, loss {result.test_loss:.4f}, after "
        f"{result.step} steps in {result.seconds:.0f} s; run folder {result.folder}"
    )
