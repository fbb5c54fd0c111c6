"""A small network and a small part of the digits, for tests."""

from jaxcnn.data import Digits, load_mnist
from jaxcnn.train import TrainConfig
from jaxcnn.train.loop import Data

CONFIG = TrainConfig(
    layers=("conv:4:k4:s4:relu", "conv:10:k7"), epochs=2, batch_size=50, learning_rate=0.01
)


def small_data(images: int = 500) -> Data:
    """The first images of each split."""
    splits = (load_mnist(split) for split in Data._fields)
    return Data(*(Digits(split.images[:images], split.labels[:images]) for split in splits))
