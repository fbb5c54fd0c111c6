"""Networks compute what other libraries were recorded to compute, where those are not installed.

``python -m tests.zoo.record`` made the record, with the versions that it names. ``tests/zoo``
compares every network with them in more.
"""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn.models.registry import NETWORKS
from jaxcnn.models.weights.names import torch_name, variables
from tests.models.formula import CLASSES, drawn, empty, fill, narrow

RECORD = json.loads((Path(__file__).parent / "recorded" / "values.json").read_text())["networks"]

CLOSE = 1e-9
"""Of float64: some thousand roundings after each other."""

SHALLOW = ("lenet5", "vgg11_bn", "resnet18", "dcgan")
"""Networks whose gradients compile in a moment."""


@pytest.fixture
def network(name, monkeypatch):
    """The network with the recorded weights in evaluation mode, split, and its input."""
    narrow(monkeypatch.setattr)
    known, published = RECORD[name], NETWORKS[name]
    shape = tuple(known["input_shape"])
    with jax.enable_x64(True):
        model = empty(lambda: published.build(shape, CLASSES, rngs=nnx.Rngs(0)))
        rules = published.names.get(known["library"], ())
        fill(model, rules)
        model.eval()
        yield model, rules, jnp.asarray(drawn("input", (1, *shape)))


@pytest.mark.parametrize("name", RECORD)
def test_outputs_and_maps_are_those_of_another_library(network, name):
    model, _, x = network
    y, maps = nnx.jit(lambda model: (model(x), model(x, features=True)))(model)
    known = RECORD[name]
    np.testing.assert_allclose(y.ravel()[:CLASSES], known["output"], rtol=CLOSE)
    norms = [np.linalg.norm(each) for each in maps]
    np.testing.assert_allclose(norms, known["norms of maps"], rtol=CLOSE)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in SHALLOW else pytest.mark.slow) for name in RECORD],
)
def test_gradients_are_those_of_another_library(network, name):
    model, rules, x = network

    def loss(model):
        y = model(x)
        return (y * jnp.asarray(drawn("loss", y.shape))).sum()

    found = variables(nnx.jit(nnx.grad(loss))(model))
    norms = {torch_name(path, rules): np.linalg.norm(each[...]) for path, each in found.items()}
    known = RECORD[name]["norms of gradients"]
    assert set(norms) == set(known)
    scale = max(known.values())
    for each, norm in known.items():
        assert abs(norms[each] - norm) < CLOSE * max(norm, CLOSE * scale), each
