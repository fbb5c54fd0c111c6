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
both_max = pytest.mark.parametrize(
    "max_pool", [jaxcnn.max_pool, reference.max_pool], ids=["fast", "reference"]
)


def _cells(problem):
    """For every entry of the output: its place, and the cells of x under it in row-major order.

    None stands for a cell of the padding; what overhangs the padding is no cell at all.
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
    """The pool's output, one number after another, in Python."""
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
def test_pools_have_the_shape_of_the_formula_traced_and_computed(pools, problem):
    assert_obeys_geometry(pools[problem.kind], problem)


@given(pool_problems(dtypes=DTYPES))
def test_pools_are_their_references_within_rounding(problem):
    assert_matches_reference(FAST[problem.kind], problem)


@both
@few
@given(problem=pool_problems(dtypes=("float32", "float64")))
def test_each_output_of_a_pool_is_the_maximum_or_the_mean_of_the_real_cells_it_reads(
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
def test_gradients_of_pools_are_those_of_the_definition_and_of_differences(problem):
    assert_gradients_match(FAST[problem.kind], problem)


@few
@given(pool_problems(ranks=(1,)))
def test_gradients_of_the_reference_pools_are_those_of_differences(problem):
    assert_gradients_match(DEFINED[problem.kind], problem)


@both_max
@few
@given(problem=pool_problems(kinds=("max",), ties=(True,), dtypes=("float64",)))
def test_the_gradient_of_max_pool_goes_to_the_first_maximum_in_row_major_order(max_pool, problem):
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
def test_pools_can_be_compiled_mapped_differentiated_and_rematerialised(problem):
    assert_transforms(FAST[problem.kind], problem)


@both
@given(problem=pool_problems(dtypes=DTYPES))
def test_pools_lower_for_every_platform_with_the_predicted_type(pools, problem):
    with problem.x64():
        returns = jax.ShapeDtypeStruct(problem.output_shape, problem.dtype)
        call = partial(problem.call, pools[problem.kind])
        assert_lowers(call, problem.arrays(), returns=returns)


@given(pool_problems())
def test_gradients_of_pools_lower_for_every_platform_with_the_type_of_the_argument(problem):
    gradient = jax.grad(lambda x: problem.call(FAST[problem.kind], x).sum())
    returns = jax.ShapeDtypeStruct(problem.x_shape, problem.dtype)
    assert_lowers(gradient, problem.arrays(), returns=returns)


@both
@given(problem=impossible_pool_problems())
def test_pools_refuse_what_the_geometry_refuses(pools, problem):
    assert_refuses(pools[problem.kind], problem)


@both
@few
@given(problem=pool_problems(batches=(0,), max_cells=16))
def test_pools_of_an_empty_batch_are_empty_with_the_right_shape(pools, problem):
    assert_obeys_geometry(pools[problem.kind], problem)
    assert problem.output_shape[0] == 0


@both_max
@few
@given(problem=pool_problems(kinds=("max",), ties=(True,)))
def test_a_nan_is_the_maximum_of_exactly_the_windows_that_read_it(max_pool, problem):
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


@both_max
def test_padding_is_never_the_maximum_whatever_the_cells_are(max_pool):
    lowest = jnp.full((2, 2, 1), -jnp.inf)
    chex.assert_trees_all_equal(
        max_pool(lowest, (2, 2), stride=1, padding=1), jnp.full((3, 3, 1), -jnp.inf)
    )
    whole = jnp.full((2, 2, 1), jnp.iinfo(jnp.int32).min)
    y = max_pool(whole, (2, 2), stride=1, padding=1)
    assert y.dtype == jnp.int32
    assert (y == jnp.iinfo(jnp.int32).min).all()


@both
def test_windows_of_pools_do_not_overlap_unless_a_stride_is_given(pools):
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
def test_derivatives_of_max_pool_follow_the_maximal_cell_in_every_mode_and_order(problem):
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


def test_max_pool_stores_one_byte_an_output_for_the_gradient():
    x = jnp.ones((2, 8, 8, 4))
    pull_back = jax.vjp(lambda x: jaxcnn.max_pool(x, 3, stride=2, padding=1, rounding="floor"), x)[
        1
    ]
    kept = [leaf for leaf in jax.tree.leaves(pull_back) if leaf.size >= 2 * 4 * 4 * 4]
    assert [leaf.dtype for leaf in kept] == [jnp.uint8]
