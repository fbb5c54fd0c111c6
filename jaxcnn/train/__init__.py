"""Training a network on labelled images: settings, step, loop and run folders.

Needs the extra ``train``. Imports layers, models, data and geometry. What happens goes to
callbacks; the command line draws the bars.
"""

from jaxcnn.extra import requires_extra

with requires_extra("jaxcnn.train"):
    from jaxcnn.train.config import TrainConfig, recipe
    from jaxcnn.train.events import (
        Callback,
        Compiled,
        Event,
        Progress,
        Reading,
        Result,
        Saved,
        Started,
        Validated,
        Warned,
    )
    from jaxcnn.train.fit import fit, resume
    from jaxcnn.train.loop import DivergedError
    from jaxcnn.train.run import Run
    from jaxcnn.train.tasks import Evaluation

__all__ = [
    "Callback",
    "Compiled",
    "DivergedError",
    "Evaluation",
    "Event",
    "Progress",
    "Reading",
    "Result",
    "Run",
    "Saved",
    "Started",
    "TrainConfig",
    "Validated",
    "Warned",
    "fit",
    "recipe",
    "resume",
]
