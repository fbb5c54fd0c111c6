"""Every operation of jaxcnn, in one to three dimensions, as ONNX and as StableHLO."""

import numpy as np
import pytest

from jaxcnn.exchange import stablehlo
from jaxcnn.exchange.source import source_of
from tests.exchange.operations import BY_RANK, NAMES, SIZES, of_images
from tests.exchange.programs import assert_reproduced, whole_numbers
from tests.exchange.test_stablehlo import in_another_process


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_is_reproduced(tmp_path, name):
    function, shape, dtype = of_images(name)
    few = 16 * 2**-24  # sums of whole numbers are exact; quotients, roots and norms are rounded
    assert_reproduced(function, shape, tmp_path, dtype, rtol=few, atol=few)


@pytest.mark.parametrize("rank", SIZES)
def test_operations_are_reproduced_in_one_to_three_dimensions(tmp_path, rank):
    def function(x):
        return {name: call(x) for name, call in BY_RANK.items()}

    graph = assert_reproduced(function, (*SIZES[rank], 2), tmp_path, rtol=2**-20, atol=2**-20)
    operators = {node.operator for node in graph.nodes}
    assert {"Conv", "ConvTranspose", "AveragePool", "MaxPool"} <= operators


def test_a_program_of_all_operations_runs_without_jaxcnn(tmp_path):
    """As StableHLO, in a process that does not import jaxcnn."""
    calls = [of_images(name) for name in NAMES]
    calls = [(call, dtype) for call, shape, dtype in calls if shape == (8, 8, 4)]

    def function(x):
        found = [tree(call(x.astype(dtype))) for call, dtype in calls]
        return {f"{i}.{j}": y for i, ys in enumerate(found) for j, y in enumerate(ys)}

    path = tmp_path / "all.stablehlo"
    stablehlo.write(source_of(function, (8, 8, 4), "float32", "nhwc"), path)
    images = whole_numbers((2, 8, 8, 4))
    got = in_another_process(path, images)
    for name, want in function(images).items():
        np.testing.assert_allclose(got[name], want, rtol=2**-18, atol=2**-18, strict=True)


def tree(outputs):
    return outputs if isinstance(outputs, tuple) else (outputs,)
