"""Event files for TensorBoard, as a callback of a run; needs the extra ``tensorboard``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxcnn.extra import requires_extra
from jaxcnn.train.events import Event, Progress, Result, Started, Validated

if TYPE_CHECKING:
    from pathlib import Path

    from jaxcnn.train.events import Callback

FLUSH_SECONDS = 5
"""Seconds after which events are in the file."""


def tensorboard(folder: Path | str) -> Callback:
    """A callback that writes the metrics of a run as event files.

    Curves over the steps: ``train/loss``, ``train/accuracy``, ``train/learning_rate``,
    ``train/gradient_norm``, ``train/images_per_second``, ``validation/loss``,
    ``validation/accuracy``, ``test/loss`` and ``test/accuracy``. A resumed run writes to the same
    folder; TensorBoard hides what an interrupted one wrote after its last checkpoint.

    Args:
      folder: where the files are written, perhaps ``RUN/tensorboard``.

    Raises:
      MissingExtraError: (an ImportError) if tensorboardX is not installed.

    >>> callback = tensorboard("runs/digits/tensorboard")
    """
    with requires_extra("tensorboard"):
        from tensorboardX import SummaryWriter
    writer: Any = None

    def callback(event: Event) -> None:
        nonlocal writer
        match event:
            case Started():  # not before: the run folder must be new when the run begins
                writer = SummaryWriter(
                    str(folder),
                    purge_step=event.step + 1,
                    flush_secs=FLUSH_SECONDS,
                    # Files are named after the second; a run resumed in it must have another.
                    filename_suffix=f".{event.step}",
                )
            case Progress():
                names = ("loss", "accuracy", "learning_rate", "gradient_norm", "images_per_second")
                for name in names:
                    writer.add_scalar(f"train/{name}", getattr(event, name), event.step)
            case Validated():
                writer.add_scalar("validation/loss", event.loss, event.step)
                writer.add_scalar("validation/accuracy", event.accuracy, event.step)
            case Result() if writer is not None:  # None if the run was complete before
                if event.test_loss is not None:
                    writer.add_scalar("test/loss", event.test_loss, event.step)
                    writer.add_scalar("test/accuracy", event.test_accuracy, event.step)
                writer.close()

    return callback
