"""Every operation of jaxcnn, in one to three dimensions, as ONNX and as StableHLO."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import ops
from tests.exchange.programs import assert_reproduced, whole_numbers
from tests.exchange.test_stablehlo import in_another_process
from tests.ops.calls import BATCHED, CALLS, NEVER_BATCHED, call_of


def of_images(name):
    """The call of ``CALLS`` as a function of its first array, and that array's shape."""
    shapes = CALLS[name][0]
    rest = [jnp.asarray(whole_numbers(shape, seed=i)) for i, shape in enumerate(shapes[1:])]
    call = call_of(ops, name)
    if name == "max_unpool":
        window = CALLS["max_pool_with_indices"][1]
        return lambda x: call(*ops.max_pool_with_indices(x, **window)), (8, 8, 4)
    if name in BATCHED:  # a second array of the batch
        size = shapes[1][1]
        return lambda x: call(x, x[:, :size] * 2, *rest[1:]), shapes[0][1:]
    return lambda x: call(x, *rest), shapes[0][1:]


@pytest.mark.parametrize("name", sorted(set(CALLS) - NEVER_BATCHED))
def test_every_operation_is_reproduced(tmp_path, name):
    function, shape = of_images(name)
    few = 16 * 2**-24  # sums of whole numbers are exact; quotients, roots and norms are rounded
    assert_reproduced(function, shape, tmp_path, rtol=few, atol=few)


SIZES = {1: (12,), 2: (6, 8), 3: (4, 6, 4)}
BY_RANK = {
    "adaptive_avg_pool": partial(ops.adaptive_avg_pool, output_size=2),
    "adaptive_max_pool": partial(ops.adaptive_max_pool, output_size=2),
    "avg_pool": partial(ops.avg_pool, kernel_size=2),
    "blur_pool": partial(ops.blur_pool, rounding="floor"),
    "conv": lambda x: ops.conv(x, kernel(x, 2, 4), stride=2, padding="SAME"),
    "conv_transpose": lambda x: ops.conv_transpose(x, kernel(x, 6, 2), stride=2, padding="SAME"),
    "depthwise_conv": lambda x: ops.depthwise_conv(x, kernel(x, 2, 2), padding=1),
    "max_pool": partial(ops.max_pool, kernel_size=2),
    "min_pool": partial(ops.min_pool, kernel_size=3, stride=1, padding=1),
    "pad": partial(ops.pad, padding=1, padding_mode="reflect"),
    "pixel_shuffle": lambda x: ops.pixel_shuffle(jnp.concatenate([x] * 4, -1), 2),
}


def kernel(x, in_channels, out_channels):
    return jnp.asarray(whole_numbers((*(3,) * (x.ndim - 2), in_channels, out_channels)))


@pytest.mark.parametrize("rank", SIZES)
def test_operations_are_reproduced_in_one_to_three_dimensions(tmp_path, rank):
    def function(x):
        return {name: call(x) for name, call in BY_RANK.items()}

    graph = assert_reproduced(function, (*SIZES[rank], 2), tmp_path, rtol=2**-20, atol=2**-20)
    operators = {node.operator for node in graph.nodes}
    assert {"Conv", "ConvTranspose", "AveragePool", "MaxPool"} <= operators


def test_a_program_of_all_operations_runs_without_jaxcnn(tmp_path):
    """As StableHLO, in a process that does not import jaxcnn."""
    calls = [of_images(name) for name in sorted(set(CALLS) - NEVER_BATCHED)]
    calls = [(function, shape) for function, shape in calls if shape == (8, 8, 4)]

    def function(x):
        return {
            str(i): jnp.asarray(sum(map(jnp.sum, tree(f(x))))) for i, (f, _) in enumerate(calls)
        }

    path = tmp_path / "all.stablehlo"
    jaxcnn.export(function, (8, 8, 4), path)
    images = whole_numbers((2, 8, 8, 4))
    got = in_another_process(path, images)
    for name, want in function(images).items():
        np.testing.assert_allclose(got[name], want, rtol=2**-18)


def tree(outputs):
    return outputs if isinstance(outputs, tuple) else (outputs,)
