"""Training a stack of layers on images: settings, step, loop and run folders.

Needs the extra ``train``. Imports layers, data and geometry. Progress goes to a callback; the
command line draws the bars.
"""

from jaxcnn.extra import requires_extra

with requires_extra("jaxcnn.train"):
    from jaxcnn.train.config import TrainConfig
    from jaxcnn.train.loop import Progress, Result, train
    from jaxcnn.train.run import Run, evaluate_run

__all__ = ["Progress", "Result", "Run", "TrainConfig", "evaluate_run", "train"]
