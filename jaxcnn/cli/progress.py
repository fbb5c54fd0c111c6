"""What a person sees of a run: lines, the table of the network, and bars."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from jaxcnn.cli.tables import print_plan
from jaxcnn.train.events import (
    Compiled,
    Progress,
    Reading,
    Result,
    Started,
    Validated,
    Warned,
)

if TYPE_CHECKING:
    from types import TracebackType

    from jaxcnn.train.events import Event


class ReadingBar:
    """A bar for the images that are read; it is called with what, how much of it, and the total.

    It appears at the first call, on a terminal alone, and disappears at the end of its block.
    """

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
        )
        silent = not console.is_terminal
        self.bar = Bar(*columns, console=console, transient=True, disable=silent)
        self.tasks: dict[str, Any] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        if what not in self.tasks:
            self.bar.start()
            self.tasks[what] = self.bar.add_task(what, total=total or None)
        self.bar.update(self.tasks[what], completed=done, total=total or None)

    def __enter__(self) -> ReadingBar:
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()


class Display:
    """A callback that prints the events of a run.

    If the reader of standard output goes away, as in ``jaxcnn train | head -1``, the rest is not
    printed, and the run goes on.
    """

    def __init__(self, *, silent: bool = False) -> None:
        self.console = _Console(quiet=silent)
        self.silent = silent
        self.reading = ReadingBar(self.console)
        self.training = _TrainingBar(self.console)

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.reading.bar.stop()
        self.training.bar.stop()

    def say(self, text: str) -> None:
        """Prints a line, above the bar."""
        self.console.out(text, highlight=False)

    def __call__(self, event: Event) -> None:
        if self.silent:
            return
        match event:
            case Reading():
                self.reading(event.what, event.done, event.total)
            case Started():
                self.reading.bar.stop()
                self._started(event)
                self.training.start(event)
            case Compiled():
                self.say(f"compiled in {event.seconds:.1f} s")
            case Progress():
                self.training.progress(event)
            case Validated():
                self.say(self.training.validated(event))
            case Warned():
                self.say(f"warning: {event.text}")
            case Result():
                self.training.bar.stop()
                if event.finished and self.training.task is None:
                    self.say(f"{event.folder} is finished already; a new run needs another folder")
                self.say(_ending(event))

    def _started(self, event: Started) -> None:
        for note in event.notes:
            self.say(note)
        try:
            print_plan(_plan_of(event))
            sys.stdout.flush()
        except BrokenPipeError:
            self.console.on_broken_pipe()
        except Exception as error:  # a person's network may be one that cannot be read
            self.say(f"{event.parameters:,} parameters; no table of the layers: {error}")
        if event.step:
            self.say(f"continues after step {event.step:,} of {event.total_steps:,}")


class _TrainingBar:
    """The bar of a run; its columns fit in 80 characters."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None),  # fills the rest of the line
            TextColumn("loss {task.fields[loss]} acc {task.fields[acc]} val {task.fields[val]}"),
            TextColumn("{task.fields[speed]} img/s"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
        )
        self.bar = Bar(*columns, console=console, disable=not console.is_terminal)
        self.shown: dict[str, Any] = {
            "epoch": "-/-",
            "loss": "-",
            "acc": "-",
            "val": "-",
            "speed": "-",
        }
        self.task: Any = None

    def start(self, event: Started) -> None:
        self.bar.start()
        self.task = self.bar.add_task(
            "train", total=event.total_steps, completed=event.step, **self.shown
        )

    def progress(self, event: Progress) -> None:
        self.shown |= {
            "epoch": f"{event.epoch}/{event.epochs}",
            "loss": f"{event.loss:.4f}",
            "acc": f"{event.accuracy:.2%}",
            "speed": f"{event.images_per_second:,.0f}",
        }
        if event.validation_accuracy is not None:
            self.shown["val"] = f"{event.validation_accuracy:.2%}"
        self.bar.update(self.task, completed=event.step, **self.shown)

    def validated(self, event: Validated) -> str:
        """Shows the accuracy of validation; returns a line on the epoch."""
        self.shown["val"] = f"{event.accuracy:.2%}"
        self.bar.update(self.task, **self.shown)
        return "epoch {epoch}  loss {loss}  acc {acc}  val {val}  {speed} img/s".format(
            **self.shown
        )


class _Console(Console):
    """A console whose reader may go away."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _plan_of(event: Started) -> Any:
    from flax import nnx

    from jaxcnn.inspect import plan_of
    from jaxcnn.train import Run

    run = Run.open(event.folder)
    module = nnx.eval_shape(run.build())
    module.eval()
    return plan_of(module, run.data.image_shape)


def _ending(result: Result) -> str:
    """How a run ended, and where it is."""
    if result.test_accuracy is None:
        return (
            f"stopped after step {result.step}; continue with: jaxcnn train --resume "
            f"{result.folder}"
        )
    early = "; stopped early, as validation got no better" if result.stopped_early else ""
    return (
        f"test accuracy {result.test_accuracy:.2%}, loss {result.test_loss:.4f}, after "
        f"{result.step} steps in {result.seconds:.0f} s and {result.compile_seconds:.0f} s of "
        f"compilation{early}; run folder {result.folder}\n"
        f"next: jaxcnn evaluate {result.folder}, or jaxcnn predict {result.folder} FILE..."
    )
