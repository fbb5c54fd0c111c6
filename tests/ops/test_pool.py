"""Pooling: its shape is the formula's, its numbers the definition's, padding changes nothing."""

import math
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

import jaxcnn
from jaxcnn import reference
from jaxcnn.testing import (
    PoolProblem,
    assert_gradients_match,
    assert_lowers,
    assert_matches_reference,
    assert_obeys_geometry,
    assert_refuses,
    assert_sums_close,
    assert_transforms,
    impossible_pool_problems,
    pool_problems,
)
from tests.cases import DTYPES, few
from tests.geometry.brute import placements

FAST = {"max": jaxcnn.max_pool, "avg": jaxcnn.avg_pool}
DEFINED = {"max": reference.max_pool, "avg": reference.avg_pool}
both = pytest.mark.parametrize("pools", [FAST, DEFINED], ids=["fast", "reference"])
both_min = pytest.mark.parametrize(
    "min_pool", [jaxcnn.min_pool, reference.min_pool], ids=["fast", "reference"]
)
pools_of_max = partial(pool_problems, kinds=("max",))
both_max = pytest.mark.parametrize(
    "max_pool", [jaxcnn.max_pool, reference.max_pool], ids=["fast", "reference"]
)


def _cells(problem):
    """For every entry of the output: its place, and the cells of x under it in row-major order.

    None stands for a cell of the padding; an overhang beyond the padding is not a cell.
    """
    shapes = problem.shapes()
    laid = [
        placements(
            w.size,
            w.kernel_size,
            stride=w.stride,
            padding=w.padding,
            dilation=w.dilation,
            overhang=problem.rounding == "ceil",
        )
        for w in shapes.windows
    ]
    batch = (1,) if problem.batch is None else (problem.batch,)
    for n, *place, c in np.ndindex(*batch, *map(len, laid), problem.channels):
        cells = []
        for tap in np.ndindex(*problem.kernel_size):
            cell = [axis[k][f] for axis, k, f in zip(laid, place, tap, strict=True)]
            if any(i >= w.size + w.padding[1] for i, w in zip(cell, shapes.windows, strict=True)):
                continue
            real = all(0 <= i < w.size for i, w in zip(cell, shapes.windows, strict=True))
            cells.append((n, *cell, c) if real else None)
        yield (n, *place, c), cells


def _one_by_one(problem, x, *, count_include_pad=False):
    """The pool's output in Python, one number at a time."""
    x = np.asarray(x, np.float64).reshape(-1, *problem.x_shape[-len(problem.size) - 1 :])
    y = {}
    for place, cells in _cells(problem):
        real = [x[cell] for cell in cells if cell is not None]
        if problem.kind == "max":
            y[place] = max(real)
        else:
            y[place] = sum(real) / (len(cells) if count_include_pad else len(real))
    return np.array([y[place] for place in sorted(y)]).reshape(problem.output_shape)


@both
@few
@given(problem=pool_problems(dtypes=DTYPES))
def test_the_formula_is_the_traced_shape_of_a_pool_and_the_shape_of_its_value(pools, problem):
    assert_obeys_geometry(pools[problem.kind], problem)


@given(pool_problems(dtypes=DTYPES))
def test_the_fast_pool_is_the_reference_within_rounding(problem):
    assert_matches_reference(FAST[problem.kind], problem)


@both
@few
@given(problem=pool_problems(dtypes=("float32", "float64")))
def test_each_output_of_a_pool_is_the_maximum_or_the_mean_of_the_real_cells_in_its_window(
    pools, problem
):
    def by_hand(x, *_window, **_arguments):
        shape = jax.ShapeDtypeStruct(problem.output_shape, x.dtype)
        return jax.pure_callback(lambda x: _one_by_one(problem, x).astype(x.dtype), shape, x)

    assert_matches_reference(pools[problem.kind], problem, reference=by_hand)


@both
@few
@given(problem=pool_problems(kinds=("avg",)))
def test_counting_the_padding_divides_by_every_cell_of_the_padded_axis(pools, problem):
    def by_hand(x, *_window, **_arguments):
        shape = jax.ShapeDtypeStruct(problem.output_shape, x.dtype)
        pooled = partial(_one_by_one, problem, count_include_pad=True)
        return jax.pure_callback(lambda x: pooled(x).astype(x.dtype), shape, x)

    counting = partial(pools["avg"], count_include_pad=True)
    assert_matches_reference(counting, problem, reference=by_hand)


@few
@given(pool_problems(dtypes=DTYPES, max_cells=16))
def test_gradients_of_a_pool_are_those_of_the_definition_and_of_differences(problem):
    assert_gradients_match(FAST[problem.kind], problem)


@few
@given(pool_problems(ranks=(1,)))
def test_gradients_of_the_reference_pool_are_those_of_differences(problem):
    assert_gradients_match(DEFINED[problem.kind], problem)


@both_max
@few
@given(problem=pool_problems(kinds=("max",), ties=(True,), dtypes=("float64",)))
def test_the_gradient_of_a_maximum_goes_to_the_first_in_row_major_order(max_pool, problem):
    with problem.x64():
        (x,) = problem.arrays()
        cotangent = jnp.arange(1.0, 1 + math.prod(problem.output_shape))
        cotangent = cotangent.reshape(problem.output_shape)
        got = jax.jit(lambda x: jax.vjp(partial(problem.call, max_pool), x)[1](cotangent)[0])(x)
    by_batch = (-1, *problem.x_shape[-len(problem.size) - 1 :])
    values = np.asarray(x).reshape(by_batch)
    want, flow = np.zeros_like(values), iter(np.ravel(cotangent))
    for (_, cells), share in zip(_cells(problem), flow, strict=True):
        real = [cell for cell in cells if cell is not None]
        want[max(real, key=lambda cell: values[cell])] += share  # max keeps the first of equals
    np.testing.assert_array_equal(got, want.reshape(problem.x_shape))  # sums of whole numbers


@few
@given(pool_problems(dtypes=DTYPES, max_cells=16))
def test_a_pool_may_be_compiled_mapped_differentiated_and_rematerialised(problem):
    assert_transforms(FAST[problem.kind], problem)


@both
@given(problem=pool_problems(dtypes=DTYPES))
def test_a_pool_lowers_for_every_platform_with_the_predicted_type(pools, problem):
    with problem.x64():
        returns = jax.ShapeDtypeStruct(problem.output_shape, problem.dtype)
        call = partial(problem.call, pools[problem.kind])
        assert_lowers(call, problem.arrays(), returns=returns)


@given(pool_problems())
def test_the_gradient_of_a_pool_lowers_for_every_platform_with_the_type_of_the_argument(problem):
    gradient = jax.grad(lambda x: problem.call(FAST[problem.kind], x).sum())
    returns = jax.ShapeDtypeStruct(problem.x_shape, problem.dtype)
    assert_lowers(gradient, problem.arrays(), returns=returns)


@both
@given(problem=impossible_pool_problems())
def test_a_pool_that_the_geometry_refuses_is_refused(pools, problem):
    assert_refuses(pools[problem.kind], problem)


@both
@few
@given(problem=pool_problems(batches=(0,), max_cells=16))
def test_pooling_an_empty_batch_gives_an_empty_result_of_the_right_shape(pools, problem):
    assert_obeys_geometry(pools[problem.kind], problem)
    assert problem.output_shape[0] == 0


@both_max
@few
@given(problem=pool_problems(kinds=("max",), ties=(True,)))
def test_a_nan_is_the_maximum_of_every_window_that_covers_it_and_of_no_other(max_pool, problem):
    (x,) = problem.arrays()
    where = problem.seed % x.size
    pool = jax.jit(partial(problem.call, max_pool))
    clean = np.asarray(pool(x))
    holed = np.array(x)
    holed.flat[where] = np.nan
    spoilt = pool(holed)
    cell = np.unravel_index(where, x.shape)
    cell = tuple(map(int, cell if problem.batch is not None else (0, *cell)))
    reached = [cell in cells for _, cells in _cells(problem)]
    want = np.where(np.reshape(reached, problem.output_shape), np.nan, clean)
    np.testing.assert_array_equal(spoilt, want)


@pytest.mark.parametrize("form", [jaxcnn, reference], ids=["fast", "reference"])
@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8"])
def test_padding_is_neither_maximum_nor_minimum_whatever_the_cells_are(form, dtype):
    whole = dtype != "float32"
    lowest, highest = (jnp.iinfo(dtype).min, jnp.iinfo(dtype).max) if whole else (-jnp.inf, jnp.inf)
    for pool, worst in ((form.max_pool, lowest), (form.min_pool, highest)):
        y = pool(jnp.full((2, 2, 1), worst, dtype), (2, 2), stride=1, padding=1)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, jnp.full((3, 3, 1), worst, dtype))


@both
def test_without_a_stride_windows_neither_overlap_nor_leave_gaps(pools):
    x = PoolProblem(size=(6, 4)).arrays()[0]
    for pool in pools.values():
        chex.assert_trees_all_equal(pool(x, (3, 2)), pool(x, (3, 2), stride=(3, 2)))


@both
def test_one_kernel_size_of_a_pool_applies_to_all_spatial_axes_of_a_batch(pools):
    x = PoolProblem(size=(4, 4)).arrays()[0]
    for pool in pools.values():
        chex.assert_trees_all_equal(pool(x, 2), pool(x, (2, 2)))


@few
@given(pool_problems(kinds=("max",), ties=(True,), ranks=(1, 2), dtypes=("float64",)))
def test_derivatives_of_a_maximum_follow_its_cell_in_every_mode_and_order(problem):
    with problem.x64():
        (x,) = problem.arrays()
        v = jnp.asarray(problem.random_array(x.shape, 7))
        pool = jax.jit(partial(problem.call, jaxcnn.max_pool))
        y, slope = jax.jvp(pool, (x,), (v,))
        u = jnp.arange(1.0, 1 + y.size).reshape(y.shape)
        (back,) = jax.vjp(pool, x)[1](u)
        assert_sums_close(
            jnp.vdot(u, slope), jnp.vdot(back, v), jnp.vdot(back, abs(v)), roundings=2 * x.size + 2
        )
        # The gradient of sum(y**2)/2 is y brought back, and its derivative along v is v's own.
        gradient = jax.grad(lambda x: (pool(x) ** 2).sum() / 2)
        got = jax.jvp(gradient, (x,), (v,))[1]
        want, size = (jax.vjp(pool, x)[1](a)[0] for a in (slope, abs(slope)))
        assert_sums_close(got, want, size, roundings=math.prod(problem.kernel_size) + 1)
        many = jnp.stack([x, -x, v])
        each = jnp.stack([gradient(one) for one in many])
        np.testing.assert_array_equal(jax.vmap(gradient)(many), each)


def test_max_pool_keeps_one_byte_an_output_for_the_gradient():
    x = jnp.ones((2, 8, 8, 4))
    pull_back = jax.vjp(lambda x: jaxcnn.max_pool(x, 3, stride=2, padding=1, rounding="floor"), x)[
        1
    ]
    kept = [leaf for leaf in jax.tree.leaves(pull_back) if leaf.size >= 2 * 4 * 4 * 4]
    assert [leaf.dtype for leaf in kept] == [jnp.uint8]


@given(pools_of_max(dtypes=DTYPES))
def test_min_pool_is_its_reference(problem):
    assert_obeys_geometry(jaxcnn.min_pool, problem)
    assert_matches_reference(jaxcnn.min_pool, problem, reference=reference.min_pool)


@given(pools_of_max())
def test_the_minimum_is_the_negative_maximum_of_the_negative(problem):
    def negative(x, kernel_size, **arguments):
        return -reference.max_pool(-x, kernel_size, **arguments)

    assert_matches_reference(reference.min_pool, problem, reference=negative)


@few
@given(pools_of_max(ranks=(1, 2), max_cells=16))
def test_the_gradients_of_the_minimum_are_those_of_its_reference_and_of_differences(problem):
    assert_gradients_match(jaxcnn.min_pool, problem, reference=reference.min_pool)


@both_min
def test_a_nan_is_the_minimum_of_every_window_that_covers_it(min_pool):
    x = jnp.array([[1.0], [jnp.nan], [0.0], [2.0]])
    np.testing.assert_array_equal(min_pool(x, (2,))[:, 0], [np.nan, 0])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("count_include_pad", [False, True])
def test_sixteen_bit_means_neither_overflow_nor_stall_over_large_windows(dtype, count_include_pad):
    x = jnp.full((30, 31, 1), 77, dtype)  # 930 of them are beyond float16 and bfloat16's digits
    mean = jaxcnn.avg_pool(x, (30, 31), count_include_pad=count_include_pad)
    assert mean.dtype == x.dtype
    np.testing.assert_array_equal(mean, [[[77]]])
