"""Training a stack of layers on images: settings, the step, the loop, run folders.

Imports layers, data and geometry. Reports through a callback; only the command line draws bars.
"""

from jaxcnn.train.config import TrainConfig
from jaxcnn.train.loop import Progress, Result, train
from jaxcnn.train.run import Run, evaluate_run

__all__ = ["Progress", "Result", "Run", "TrainConfig", "evaluate_run", "train"]
