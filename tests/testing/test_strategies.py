"""Strategies: possible problems are possible, impossible ones are not; every kind is drawn."""

import numpy as np
import pytest
from hypothesis import find, given
from hypothesis import strategies as st

from jaxcnn import testing
from jaxcnn.testing import (
    ConvProblem,
    PoolProblem,
    conv_problems,
    impossible_conv_problems,
    impossible_pool_problems,
    pool_problems,
)
from tests.cases import DTYPES, SEARCH, many

STRATEGIES = (conv_problems, pool_problems, impossible_conv_problems, impossible_pool_problems)


@many
@given(conv_problems() | pool_problems())
def test_the_geometry_allows_every_possible_problem(problem):
    shapes = problem.shapes()
    assert all(size >= 1 for size in shapes.spatial)
    assert len(shapes.windows) == len(problem.size)


@many
@given(impossible_conv_problems() | impossible_pool_problems())
def test_the_geometry_refuses_every_impossible_problem(problem):
    with pytest.raises((ValueError, TypeError)):
        problem.shapes()


@many
@given(st.one_of(*(strategy() for strategy in STRATEGIES)))
def test_a_problem_prints_as_the_call_that_makes_it(problem):
    assert eval(repr(problem), vars(testing)) == problem


@many
@given(st.data())
def test_no_problem_exceeds_the_bounds_of_its_strategy(data):
    bounds = {
        "ranks": (2,),
        "batches": (3,),
        "max_size": data.draw(st.integers(1, 9)),
        "max_cells": 81,
        "max_stride": data.draw(st.integers(1, 4)),
        "max_dilation": data.draw(st.integers(1, 3)),
        "max_channels": data.draw(st.integers(1, 3)),
        "dtypes": ("float16",),
    }
    largest = data.draw(st.integers(1, 4))
    conv = data.draw(conv_problems(max_kernel_size=largest, max_groups=2, **bounds))
    pool = data.draw(pool_problems(max_kernel_size=largest, **bounds))
    for problem, taps in ((conv, conv.kernel_size), (pool, pool.kernel_size)):
        assert len(problem.size) == 2
        assert problem.batch == 3
        assert problem.dtype == "float16"
        assert max(problem.size) <= bounds["max_size"]
        assert max(taps) <= largest
        assert max(problem.stride) <= bounds["max_stride"]
        assert max(problem.dilation) <= bounds["max_dilation"]
    assert conv.groups <= 2
    assert conv.in_channels <= conv.groups * bounds["max_channels"]
    assert pool.channels <= bounds["max_channels"]


def _unread(problem):
    return any(window.unread for window in problem.shapes().windows)


def _overhang(problem):
    return any(window.overhang for window in problem.shapes().windows)


CONVOLUTIONS = {
    "cells left unread": lambda p: p.rounding == "floor" and _unread(p),
    "2 channels to 1 in 3 groups": lambda p: (p.groups, p.in_channels, p.out_channels) == (3, 6, 3),
    "SAME at stride 3": lambda p: p.padding == "SAME" and max(p.stride) == 3 and max(p.size) > 3,
    "FULL at dilation 2": lambda p: (
        p.padding == "FULL" and max(p.dilation) == 2 and max(p.kernel_size) == 3
    ),
    "one volume with a bias": lambda p: p.batch is None and len(p.size) == 3 and p.use_bias,
    "uneven padding": lambda p: any(lo != hi for lo, hi in p.shapes().paddings),
    "a window of padding alone": lambda p: any(
        window.padding[0] >= window.extent for window in p.shapes().windows
    ),
    "5 outputs on an axis": lambda p: max(p.shapes().spatial) >= 5,
}
POOLS = {
    "windows that overhang": lambda p: p.rounding == "ceil" and _overhang(p),
    "cells left unread": lambda p: p.rounding == "floor" and _unread(p),
    "maxima shared by cells": lambda p: p.ties and p.kind == "max" and p.channels == 3,
    "the most padding": lambda p: any(
        window.padding[0] == window.extent - 1 > 0 for window in p.shapes().windows
    ),
}


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_every_kind_of_convolution_is_drawn(kind):
    find(conv_problems(), CONVOLUTIONS[kind], settings=SEARCH)


@pytest.mark.parametrize("kind", POOLS)
def test_every_kind_of_pool_is_drawn(kind):
    find(pool_problems(), POOLS[kind], settings=SEARCH)


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        (impossible_conv_problems, "is not an integer"),
        (impossible_conv_problems, "is larger than the padded"),
        (impossible_conv_problems, "does not divide the"),
        (impossible_conv_problems, "stride"),
        (impossible_conv_problems, "dilation"),
        (impossible_conv_problems, "padding"),
        (impossible_conv_problems, "got 0; use 1 or more"),
        (impossible_pool_problems, "nothing but padding"),
        (impossible_pool_problems, "is not an integer"),
        (impossible_pool_problems, "is larger than the padded"),
    ],
)
def test_every_reason_to_refuse_is_drawn(strategy, words):
    def says(problem):
        try:
            problem.shapes()
        except (ValueError, TypeError) as error:
            return words in str(error)

    find(strategy(), says, settings=SEARCH)


def test_hypothesis_shrinks_a_problem_to_a_small_one():
    found = find(conv_problems(), lambda p: p.stride[0] == 2 and p.use_bias, settings=SEARCH)
    assert found == ConvProblem(
        size=(1,), kernel_size=(1,), stride=(2,), padding=found.padding, use_bias=True
    )
    found = find(pool_problems(), lambda p: p.kernel_size[0] == 3, settings=SEARCH)
    assert found == PoolProblem(size=(found.size[0],), kernel_size=(3,), padding=found.padding)
    assert found.size[0] <= 3


@given(conv_problems(dtypes=DTYPES))
def test_arrays_come_from_the_seed_and_are_bounded_away_from_zero(problem):
    first, second = (
        [None if a is None else np.asarray(a) for a in problem.arrays()] for _ in range(2)
    )
    assert (first[2] is not None) == problem.use_bias
    for array, again in zip(first, second, strict=True):
        if array is not None:
            np.testing.assert_array_equal(array, again)
            assert array.dtype == problem.dtype
            assert abs(array).min() >= 0.125
            assert abs(array).max() <= 1
