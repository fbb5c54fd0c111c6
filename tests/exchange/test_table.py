"""The table of what exports to what is true, and every network is exported."""

import jax
import numpy as np
import pytest
from flax import nnx

import jaxcnn
from jaxcnn.models.registry import NETWORKS
from tests.exchange.table import PATH, model_row, operation_rows
from tests.exchange.test_stablehlo import in_another_process

ADVICE = "run python -m tests.exchange.table"


def rows():
    return [line for line in PATH.read_text().splitlines() if line.startswith("| `")]


def test_the_table_of_operations_is_true():
    found = rows()
    assert [row for row in operation_rows() if row not in found] == [], ADVICE


def test_the_table_lists_every_network():
    assert {row.split("`")[1] for row in rows()} >= set(NETWORKS), ADVICE


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_the_row_of_a_network_is_true(name):
    assert model_row(name) in rows(), ADVICE


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_exported_and_gives_its_outputs(name, tmp_path):
    network = NETWORKS[name]
    shape = network.input_shape
    model = nnx.jit(lambda: network.build(shape, network.classes, rngs=nnx.Rngs(0)))()
    found = jaxcnn.export(model, shape, tmp_path / f"{name}.onnx")
    assert 0 <= found.difference <= 1
    jax.clear_caches()


SMALL = {"resnet18": (64, 64, 3), "unet": (64, 64, 1), "dcgan": (100,)}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_network_is_exported_as_stablehlo_and_gives_its_outputs(name, tmp_path):
    """A classifier, one whose outputs are maps, and one whose input is a vector; all entries."""
    network, shape, path = NETWORKS[name], SMALL[name], tmp_path / f"{name}.stablehlo"
    model = nnx.jit(lambda: network.build(shape, network.classes, rngs=nnx.Rngs(0)))()
    found = jaxcnn.export(model, shape, path)
    assert 0 <= found.difference <= 1
    images = np.random.default_rng(0).standard_normal((3, *shape)).astype("float32")
    model.eval()
    want = np.asarray(model(images))
    got = in_another_process(path, images)["logits"]
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-4 * abs(want).max(), strict=True)
