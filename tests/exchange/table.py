"""The table of what exports to what, ``experiments/results/exports.md``.

python -m tests.exchange.table     writes it anew; the tests of this folder keep it true
"""

from collections import Counter
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxcnn.models.registry import NETWORKS
from tests.exchange.operations import BY_RANK, NAMES, SIZES, of_images
from tests.exchange.programs import graph_of

PATH = Path(__file__).parents[2] / "experiments" / "results" / "exports.md"

HEAD = """# What exports to what

Made by `python -m tests.exchange.table`. Each row is a model that `jaxcnn.export` writes as ONNX
(opset 19) for any number of images, and how often each operator occurs; batch normalisation is
folded. The tests run the ONNX program of every row of
operations by ONNX Runtime, and compare all entries with JAX's. As StableHLO, the operations of two
axes run in a process without jaxcnn, and every entry is compared too. The slow tests (`pytest -m
slow`) export every network as ONNX with random parameters, and three of them as StableHLO.

## Operations

| operation | axes | ONNX operators |
|---|---|---|
"""
MODELS = """
## Networks

| network | input | ONNX operators |
|---|---|---|
"""


def operation_rows():
    """A row for each operation and each number of spatial axes."""
    rows = []
    for name in NAMES:
        rows += [(name, 1 if name in ONE_AXIS else 2, graph_of(*of_images(name), fold=True)[0])]
    rows += [
        (name, rank, graph_of(call, (*sizes, 2), fold=True)[0])
        for rank, sizes in SIZES.items()
        for name, call in BY_RANK.items()
        if rank != 2
    ]
    rows.sort(key=lambda row: row[:2])
    return [f"| `{name}` | {rank} | {_operators(graph)} |" for name, rank, graph in rows]


ONE_AXIS = ("causal_conv", "causal_conv_stream")


def model_row(name):
    """The row of a network; its arrays do not matter."""
    network = NETWORKS[name]
    shape = network.input_shape
    model = nnx.eval_shape(lambda: network.build(shape, network.classes, rngs=nnx.Rngs(0)))
    graph, state = nnx.split(model)
    model = nnx.merge(graph, jax.tree.map(_filled, state))
    found, _ = graph_of(model, shape, fold=True)
    return f"| `{name}` | {'x'.join(map(str, shape))} | {_operators(found)} |"


def _filled(leaf):
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.key(0)
    return np.ones(leaf.shape, leaf.dtype)


def _operators(graph):
    counted = Counter(node.operator for node in graph.nodes)
    return ", ".join(f"{count} {name}" for name, count in sorted(counted.items()))


def main():
    """Writes the table."""
    rows = [*operation_rows(), *MODELS.splitlines(), *map(model_row, NETWORKS)]
    PATH.write_text(HEAD + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
