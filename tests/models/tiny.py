"""A small network with every kind of variable, and its names in a library, written by hand."""

import jax
import numpy as np
from flax import nnx

from jaxcnn.models import registry
from jaxcnn.models.network import Chain, Classifier, Network, check_input
from jaxcnn.models.published import Published
from jaxcnn.nn import Conv, ConvNorm, SqueezeExcite

RULES = (
    (r"^stem\.conv$", "conv1"),
    (r"^stem\.norm$", "bn1"),
    (r"^stages\.0\.0\.squeeze$", "se.fc1@4"),
    (r"^stages\.0\.0\.expand$", "se.fc2@4"),
    (r"^stages\.1\.0$", "mix"),
    (r"^stages\.2\.0$", "gamma=@3"),
    (r"^stages\.3\.0$", "classifier.0@2"),
    (r"^head\.dense$", "fc"),
)


class Scale(nnx.Module):
    def __init__(self, channels):
        self.scale = nnx.Param(jax.numpy.ones(channels))

    def __call__(self, x):
        return x * self.scale[...].astype(x.dtype).reshape(1, 1, 1, -1)


class Tiny(Network):
    def __init__(self, shape, classes, rngs):
        self.stem = ConvNorm(shape[-1], 4, (3, 2), padding="SAME", rngs=rngs)
        mix = Conv(4, 6, (1, 3), groups=2, padding="SAME", use_bias=False, rngs=rngs)
        whole = Conv(6, 5, shape[:2], rngs=rngs)
        layers = (SqueezeExcite(4, 2, rngs=rngs), mix, Scale(6), whole)
        self.stages = nnx.List([Chain([layer]) for layer in layers])
        self.head = Classifier(5, classes, dropout=0.1, rngs=rngs)


def tiny(input_shape, classes, *, rngs):
    return Tiny(check_input(input_shape, classes), classes, rngs)


PUBLISHED = Published(
    build=tiny,
    source="tests",
    input_shape=(4, 3, 2),
    classes=3,
    names={"library": RULES, "other": ((r"^head", "top"),)},
)


def shapes(classes=3):
    """The keys and shapes of a file of the library, by hand."""
    return {
        "conv1.weight": (4, 2, 3, 2),
        "bn1.weight": (4,),
        "bn1.bias": (4,),
        "bn1.running_mean": (4,),
        "bn1.running_var": (4,),
        "se.fc1.weight": (2, 4, 1, 1),
        "se.fc1.bias": (2,),
        "se.fc2.weight": (4, 2, 1, 1),
        "se.fc2.bias": (4,),
        "mix.weight": (6, 2, 1, 3),
        "gamma": (6, 1, 1),
        "classifier.0.weight": (5, 6 * 4 * 3),
        "classifier.0.bias": (5,),
        "fc.weight": (classes, 5),
        "fc.bias": (classes,),
    }


COUNT = "bn1.num_batches_tracked"


def tensors(dtype="float32", seed=0, classes=3):
    """A file's tensors: random bits, so that any change of a value shows."""
    rng = np.random.default_rng(seed)
    found = {}
    for key, shape in shapes(classes).items():
        bits = rng.integers(0, 256, (*shape, np.dtype(dtype).itemsize), np.uint8)
        if "running" in key:
            bits[..., -1] &= 0xBF  # finite: of a NaN, other dtypes do not keep every bit
        found[key] = bits.view(dtype)[..., 0]
    return found | {COUNT: np.array(rng.integers(2**40), np.int64)}


def register(monkeypatch):
    monkeypatch.setitem(registry.NETWORKS, "tiny", PUBLISHED)
