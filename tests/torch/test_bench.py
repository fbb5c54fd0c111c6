"""In the benchmark, PyTorch gives the same results as lax, in both of its memory layouts."""

import pytest

from jaxcnn.bench.measure import measure
from tests.bench.test_measure import ONCE, SMALL, SPEEDS
from tests.bench.test_suite import SMALL as MORE

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("row", dict.fromkeys(SMALL + MORE), ids=lambda row: row.name)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_torch_agrees_in_every_direction(row, dtype):
    for direction in row.directions:
        result = measure(row, direction, dtype, SPEEDS, torch=True, memory=False, effort=ONCE)
        there = {name for name in result.times if name.startswith("torch")}
        assert len(there) == (1 if row.axes == 1 else 2)
        assert result.seconds("torch") == min(result.times[name].median for name in there)
        assert result.torch_alone > 0
        assert {"torch", "lax"} <= set(result.record()["ms"])
