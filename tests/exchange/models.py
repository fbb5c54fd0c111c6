"""A small model with what an export must keep, and the check of a file by what it holds."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxcnn.nn import BatchNorm, Conv, MaxPool

SHAPE = (8, 6, 3)


class Small(nnx.Module):
    """A convolution, batch normalisation with statistics that matter, a pool, a linear layer."""

    def __init__(self, rngs):
        self.conv = Conv(3, 4, (3, 3), padding=1, use_bias=False, rngs=rngs)
        self.norm = BatchNorm(4, rngs=rngs)
        self.norm.mean[...] = jnp.arange(4.0)
        self.norm.var[...] = jnp.arange(4.0) + 0.5
        self.pool = MaxPool(2)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.head = nnx.Linear(4, 5, rngs=rngs)

    def __call__(self, x):
        maps = self.pool(jax.nn.relu(self.norm(self.conv(x))))
        return {"logits": self.drop(self.head(maps.mean((1, 2)))), "maps": maps}


def wanted(model, images):
    copy = nnx.clone(model)
    copy.eval()
    return copy(images)


def assert_test_vectors_hold(recorded, run):
    """Checks a file by what it holds alone."""
    images = eval(recorded["images"], {"numpy": np})
    outputs = run(images)
    for name, kept in recorded["outputs"].items():
        values = np.asarray(outputs[name]).reshape(-1)[:: kept["step"]]
        np.testing.assert_allclose(values, kept["values"], rtol=0, atol=kept["tolerance"])
        assert kept["tolerance"] < 1e-3
