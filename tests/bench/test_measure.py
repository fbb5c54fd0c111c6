"""Rows are checked, timed and recorded; no test depends on a duration."""

import json
import math
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.bench import measure as measuring
from jaxcnn.bench.ceiling import Ceilings, measure_ceilings
from jaxcnn.bench.check import WrongResultError, require_same, tolerance
from jaxcnn.bench.contenders import operands
from jaxcnn.bench.measure import CONTENDERS, Result, geometric_means, measure, record
from jaxcnn.bench.picture import draw
from jaxcnn.bench.roster import XLA_BACKENDS, make_contender
from jaxcnn.bench.row import depthwise, pool, row
from jaxcnn.bench.timing import Effort, Times, rounds

CONVOLUTION = row("dense", 3, 2, 4, 6, batch=2)
POOL = pool("max", 2, 3, 6, stride=2)
SMALL = [
    CONVOLUTION,
    POOL,
    pool("avg", 3, 2, 7, stride=2, padding=1),
    row("dense", 3, 4, 4, 7, batch=2, groups=2, dilation=2, layout="first"),
    row("transposed", 4, 3, 2, 5, batch=2, stride=2, operation="transposed"),
    depthwise(4, 3, 8, axes=1, padding=(1, 2)),
]
ONCE = Effort(seconds=0.0, min_calls=1)
SPEEDS = Ceilings(100.0, 10.0)

KEYS = {
    "name", "group", "batch", "size", "in_channels", "out_channels", "kernel_size", "stride",
    "padding", "dilation", "groups", "operation", "layout", "direction", "dtype", "multiply_adds",
    "floor_ms", "share", "ms", "quartiles_ms", "calls", "compile_s", "peak_mib", "left_out",
    "torch_layout", "torch_alone_ms",
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("row", SMALL, ids=lambda row: row.name)
def test_contenders_agree_in_every_direction(row, dtype):
    for direction in row.directions:
        result = measure(row, direction, dtype, SPEEDS, torch=False, memory=False, effort=ONCE)
        names = {"lax", "jaxcnn"} | (set() if row.is_pool else {"jaxcnn-plain"})
        assert set(result.times) == set(result.compile_seconds) == names
        assert all(len(times.seconds) == 1 for times in result.times.values())


@pytest.mark.parametrize("broken", ["jaxcnn", "jaxcnn-plain"])
@pytest.mark.parametrize("direction", ["forward", "input", "kernel"])
def test_one_wrong_number_is_an_error_that_names_row_direction_and_contender(
    monkeypatch, broken, direction
):
    def wrong_one(name, *arguments):
        right = make_contender(name, *arguments)

        def wrong(value):
            numbers = right.result(value).copy()
            numbers.flat[-1] += 0.01
            return numbers

        return replace(right, result=wrong) if name == broken else right

    monkeypatch.setattr(measuring, "make_contender", wrong_one)
    name = f"3x3 2-4 @6 b2, {direction}, float32: {broken}: "
    with pytest.raises(WrongResultError, match=name):
        measure(CONVOLUTION, direction, "float32", SPEEDS, torch=False, memory=False, effort=ONCE)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_nan_or_an_infinity_is_a_wrong_result(bad):
    want = np.zeros((2, 3), np.float32)
    got = want.copy()
    got[1, 2] = bad
    with pytest.raises(WrongResultError, match=r"at \[1, 2\]"):
        require_same(got, want, 9, "float32", "this")
    with pytest.raises(WrongResultError, match="shape"):
        require_same(got[:1], want, 9, "float32", "this")


@given(st.integers(1, 2000), st.integers(0, 2**32 - 1))
def test_sums_in_another_order_are_within_the_bound(terms, seed):
    random = np.random.default_rng(seed)
    x, w = (2 * random.random((2, terms, 20), np.float32) - 1).astype(np.float32)
    products = x * w
    forth, back = np.zeros((2, 20), np.float32)
    for term in range(terms):
        forth += products[term]
        back += products[-1 - term]
    require_same(forth, back, terms, "float32", "sums")
    # The bound still distinguishes a sum from one without some of its terms.
    assert float(tolerance(back, terms, "float32").max()) < 0.002 * terms**0.5


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 40), min_size=1, max_size=5))
def test_rounds_name_each_contender_as_often_as_it_has_turns(calls):
    called = [name for names in rounds(calls) for name in names]
    assert {name: called.count(name) for name in calls} == calls


def _result(direction, **seconds):
    times = {name.replace("_", "-"): Times((each,)) for name, each in seconds.items()}
    alone = 1.0 if any(name.startswith("torch") for name in times) else None
    return Result(CONVOLUTION, direction, "float32", times, {"lax": 0.1}, {}, {}, 0.5, alone)


def test_geometric_means_leave_out_contenders_that_were_not_timed():
    results = [
        _result("forward", lax=8.0, jaxcnn=1.0, torch_contiguous=3.0, torch_channels_last=2.0),
        _result("forward", lax=2.0, jaxcnn=1.0),
        _result("kernel", lax=5.0, jaxcnn=10.0),
    ]
    means = geometric_means(results)
    assert set(means) == {"forward", "kernel"}
    assert math.isclose(means["forward"]["lax/jaxcnn"], 4.0)
    assert math.isclose(means["forward"]["jaxcnn/torch"], 0.5)
    assert "jaxcnn/torch" not in means["kernel"]
    assert results[0].torch_layout == "torch-channels-last"


def test_the_floor_of_a_row_is_the_slower_of_arithmetic_and_memory_traffic():
    work, traffic = Ceilings(1.0, 1e9), Ceilings(1e9, 1.0)
    assert math.isclose(work.floor(CONVOLUTION, 4), 2 * CONVOLUTION.multiply_adds / 1e9)
    numbers = 2 * 6 * 6 * 2 + 3 * 3 * 2 * 4 + 2 * 6 * 6 * 4
    assert math.isclose(traffic.floor(CONVOLUTION, 4), 4 * numbers / 1e9)


def test_a_run_is_recorded_as_json_and_drawn(tmp_path):
    results = [
        measure(row, direction, "float32", SPEEDS, torch=False, memory=False, effort=ONCE)
        for row in (CONVOLUTION, POOL)
        for direction in row.directions
    ]
    data = json.loads(json.dumps(record("overview", "float32", SPEEDS, results, torch=False)))
    assert set(data) == {
        "suite", "dtype", "device", "versions", "ceilings", "geometric_means", "xla_flags", "rows",
    }  # fmt: skip
    assert data["ceilings"] == {"gflops": 100.0, "copy_gbs": 10.0}
    assert len(data["rows"]) == 5
    for line in data["rows"]:
        assert set(line) == KEYS
        names = set(CONTENDERS) - {*XLA_BACKENDS, "torch"}
        assert set(line["ms"]) == names - ({"jaxcnn-plain"} if line["group"] == "pool" else set())
    draw(tmp_path / "run.png", results, "a run")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


def test_measured_ceilings_are_positive():
    ceilings = measure_ceilings("float32", torch=False, seconds=0.0)
    assert ceilings.gflops > 0
    assert ceilings.copy_gbs > 0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_operands_are_exact_in_their_dtype(dtype):
    for array in operands(CONVOLUTION, dtype):
        assert (np.asarray(jnp.asarray(array, dtype), np.float32) == array).all()
        assert np.abs(array).max() <= 1
