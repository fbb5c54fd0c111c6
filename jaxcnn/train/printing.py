"""A callback that prints the events that matter, for scripts and notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxcnn.train.events import Result, Started, Validated, Warned

if TYPE_CHECKING:
    from jaxcnn.train.events import Event


def print_events(event: Event) -> None:
    """Prints a line for the start, each epoch, each warning and the end of a run.

    Use it as ``fit(..., callbacks=[print_events])``.

    >>> print_events(Validated(epoch=2, step=860, loss=0.04, accuracy=0.987, best=True))
    epoch 2: validation accuracy 98.70%, loss 0.0400, the best so far
    """
    match event:
        case Started():
            print(f"{event.parameters:,} parameters, {event.total_steps:,} steps", flush=True)
        case Validated():
            best = ", the best so far" if event.best else ""
            measures = f"validation accuracy {event.accuracy:.2%}, loss {event.loss:.4f}"
            print(f"epoch {event.epoch}: {measures}{best}", flush=True)
        case Warned():
            print(f"warning: {event.text}", flush=True)
        case Result(finished=False):
            print(f"stopped after step {event.step:,}; the run is in {event.folder}", flush=True)
        case Result():
            measures = f"test accuracy {event.test_accuracy:.2%}, loss {event.test_loss:.4f}"
            print(f"{measures}; the run is in {event.folder}", flush=True)
