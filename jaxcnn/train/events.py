"""What happens in a run; callbacks are functions of one of these.

def print_validations(event):
    if isinstance(event, Validated):
        print(event.epoch, event.accuracy)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from jaxcnn.train.config import TrainConfig


@dataclass(frozen=True)
class Reading:
    """The images are being read, before the run starts.

    Attributes:
      what: what is read, in a few words.
      done, total: files, or bytes of a download; ``total`` is 0 if it is not known.
    """

    what: str
    done: int
    total: int


@dataclass(frozen=True)
class Started:
    """The run is ready: data, network and devices have been checked.

    Attributes:
      folder, config: the run's.
      notes: lines on the data and the devices, for people.
      parameters: the number of the network's parameters.
      step, total_steps: the steps done before, and those of the whole run.
    """

    folder: Path
    config: TrainConfig
    notes: tuple[str, ...]
    parameters: int
    step: int
    total_steps: int


@dataclass(frozen=True)
class Compiled:
    """A program has been compiled in ``seconds``."""

    seconds: float


@dataclass(frozen=True)
class Progress:
    """The progress of a run, a few times a second.

    Attributes:
      step, total_steps: the steps done, and the steps of the whole run.
      epoch, epochs: the current epoch, from 1, and the number of epochs.
      loss: the mean over the steps since the last report, in nats.
      accuracy: the share of correctly classified images in these steps.
      learning_rate, gradient_norm: of the last step.
      images_per_second: the training speed since the last report, without compilation.
      waiting: the share of the time since the last report spent waiting for images.
      validation_accuracy: at the end of the last epoch; None in the first one.
    """

    step: int
    total_steps: int
    epoch: int
    epochs: int
    loss: float
    accuracy: float
    learning_rate: float
    gradient_norm: float
    images_per_second: float
    waiting: float
    validation_accuracy: float | None


@dataclass(frozen=True)
class Validated:
    """An epoch's end: loss in nats and accuracy of the validation split, and whether it is best."""

    epoch: int
    step: int
    loss: float
    accuracy: float
    best: bool


@dataclass(frozen=True)
class Saved:
    """A checkpoint of the state after ``step`` steps is whole."""

    step: int


@dataclass(frozen=True)
class Warned:
    """Something that a person should know, in one line."""

    text: str


@dataclass(frozen=True)
class Result:
    """The end of a run, for now or for good.

    Attributes:
      folder: the run folder.
      step: the steps done.
      finished: whether the run is complete; otherwise it was interrupted and can be resumed.
      stopped_early: whether it ended because validation got no better.
      seconds: the time spent in training, with validation and without compilation, over all
        processes that worked on the run one after another.
      compile_seconds: the time spent in compilation, likewise.
      waiting: the share of ``seconds`` spent waiting for images.
      validation_accuracy: at the end of the last complete epoch; None before the first.
      test_loss, test_accuracy: on the test split, by the best state if the run can stop early, and
        by the last one otherwise; None if the run was interrupted.
    """

    folder: Path
    step: int
    finished: bool
    stopped_early: bool
    seconds: float
    compile_seconds: float
    waiting: float
    validation_accuracy: float | None
    test_loss: float | None
    test_accuracy: float | None


Event = Reading | Started | Compiled | Progress | Validated | Saved | Warned | Result
Callback = Callable[[Event], None]
