"""A function of JAX as an ONNX graph, run by ONNX Runtime."""

import jax
import numpy as np

from jaxcnn.exchange.onnx_out import file as onnx_file
from jaxcnn.exchange.source import source_of

BATCHES = (1, 3)


def graph_of(function, shape, dtype="float32", *, layout="nhwc", fold=False):
    """The graph of a function of images (N, *shape), and what it was made of."""
    source = source_of(function, shape, dtype, layout)
    return onnx_file.graph_of(source, "images", folded=fold), source


def whole_numbers(shape, dtype="float32", seed=0):
    """Small whole numbers: sums of their products are not rounded."""
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


def assert_reproduced(function, shape, path, dtype="float32", *, rtol=0.0, atol=0.0, fold=False):
    """Checks that ONNX Runtime gives the function's outputs, for two numbers of images.

    Returns the graph.
    """
    graph, source = graph_of(function, shape, dtype, fold=fold)
    path = path / "program.onnx"
    onnx_file.write(graph, source, {}, path)
    run = onnx_file.runner(path)
    for count in BATCHES:
        images = whole_numbers((count, *shape), dtype, seed=count)
        outputs = jax.jit(source.call)(source.arrays, images)
        found = run(images)
        for name, want in zip(source.names, outputs, strict=True):
            np.testing.assert_allclose(
                found[name], np.asarray(want), rtol=rtol, atol=atol, strict=True, err_msg=name
            )
    return graph
