"""Small networks, data and settings for tests of training."""

import json

import jax
import numpy as np
from flax import nnx

from jaxcnn.data import Dataset
from jaxcnn.train import TrainConfig
from jaxcnn.train.mesh import place
from jaxcnn.train.step import Batch, ImageFormat, Trainer

CLASSES = 4
SHAPE = (8, 6, 3)
CONFIG = TrainConfig(epochs=2, batch_size=32, learning_rate=0.02, augment=("shift:1",))


class Net(nnx.Module):
    """A network with state beside its parameters: statistics of BatchNorm, keys of Dropout."""

    def __init__(self, rngs, features=5):
        self.conv = nnx.Conv(SHAPE[-1], features, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(features, rngs=rngs)
        self.drop = nnx.Dropout(0.2, rngs=rngs)
        self.out = nnx.Linear(features, CLASSES, rngs=rngs)

    def __call__(self, x):
        y = nnx.relu(self.norm(self.conv(x)))
        return self.out(self.drop(y.mean((1, 2))))


def small_data(count=150, seed=0):
    """Images whose brightness says their class, with noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    images = rng.integers(0, 60, (count, *SHAPE)) + 50 * labels[:, None, None, None]
    return Dataset.from_arrays(images.astype(np.uint8), labels, validation=0.2, test=0.2)


def net(seed=0):
    return Net(nnx.Rngs(seed))


def small_trainer(config=CONFIG, build=net, steps=10, mesh=None, shape=SHAPE):
    image_format = ImageFormat(shape, (0.5,) * 3, (0.25,) * 3)
    where = place(mesh, config.batch_size, shape[0])
    return Trainer(config, build, image_format, CLASSES, steps, where)


def batch_of(trainer, data, indices=None, weights=None):
    """A batch of the training split, on the devices."""
    size = trainer.config.batch_size
    indices = np.arange(size) if indices is None else indices
    weights = np.ones(size, np.float32) if weights is None else weights
    images, labels = data.train.read(indices), data.train.labels[indices]
    at = trainer.place
    return Batch(at.put(at.images, images), at.put(at.batch, labels), at.put(at.batch, weights))


def lines_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def arrays_of(state):
    """The arrays of a state, keys as their data."""

    def plain(leaf):
        is_key = jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(leaf) if is_key else leaf)

    return [plain(leaf) for leaf in jax.tree.leaves(state)]
