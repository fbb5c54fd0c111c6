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
"""Networks that compile in a moment."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in SHALLOW else pytest.mark.slow) for name in RECORD],
)
def test_outputs_maps_and_gradients_are_those_of_another_library(name, monkeypatch):
    narrow(monkeypatch.setattr)
    known, published = RECORD[name], NETWORKS[name]
    rules = published.names.get(known["library"], ())
    shape = tuple(known["input_shape"])

    def loss(model, x):
        y, maps = model(x), model(x, features=True)
        return (y * jnp.asarray(drawn("loss", y.shape))).sum(), (y, maps)

    with jax.enable_x64(True):
        model = empty(lambda: published.build(shape, CLASSES, rngs=nnx.Rngs(0)))
        fill(model, rules)
        model.eval()
        x = jnp.asarray(drawn("input", (1, *shape)))
        gradients, (y, maps) = nnx.jit(nnx.grad(loss, has_aux=True))(model, x)
    np.testing.assert_allclose(y.ravel()[:CLASSES], known["output"], rtol=CLOSE)
    norms = [np.linalg.norm(each) for each in maps]
    np.testing.assert_allclose(norms, known["norms of maps"], rtol=CLOSE)
    norms = {
        torch_name(path, rules): np.linalg.norm(each[...])
        for path, each in variables(gradients).items()
    }
    assert set(norms) == set(known["norms of gradients"])
    for each, norm in known["norms of gradients"].items():
        np.testing.assert_allclose(norms[each], norm, rtol=CLOSE, err_msg=each)
