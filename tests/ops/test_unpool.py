"""Max pooling with indices, and unpooling: each value returns to the cell it came from."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxcnn
from jaxcnn.ops import unpool
from jaxcnn.reference import unpool as reference_unpool
from jaxcnn.testing import pool_problems
from tests.cases import DTYPES, few

both = pytest.mark.parametrize("form", [unpool, reference_unpool], ids=["fast", "reference"])
maxima = pool_problems(kinds=("max",), dtypes=DTYPES)


def pooled(pool, problem, x):
    # Compiling the whole function takes less time than compiling its steps.
    return jax.jit(partial(problem.call, pool))(x)


def by_cells(problem, x):
    """x (N, *spatial, C) as a NumPy array, with its spatial axes merged."""
    batch = 1 if problem.batch is None else problem.batch
    return np.asarray(x).reshape(batch, -1, problem.channels)


@both
@given(problem=maxima)
def test_values_of_max_pool_with_indices_are_the_maxima_in_the_indexed_cells(form, problem):
    with problem.x64():
        (x,) = problem.arrays()
        values, indices = pooled(form.max_pool_with_indices, problem, x)
        want = jax.jit(partial(problem.call, jaxcnn.max_pool))(x)
    assert indices.shape == values.shape == problem.output_shape
    assert indices.dtype == jnp.int32
    np.testing.assert_array_equal(values, want)
    taken = np.take_along_axis(by_cells(problem, x), by_cells(problem, indices), axis=1)
    np.testing.assert_array_equal(taken, by_cells(problem, values))


@given(maxima)
def test_max_pool_with_indices_and_its_reference_index_the_same_of_equal_cells(problem):
    with problem.x64():
        (x,) = problem.arrays()
        _, got = pooled(unpool.max_pool_with_indices, problem, x)
        _, want = pooled(reference_unpool.max_pool_with_indices, problem, x)
    np.testing.assert_array_equal(got, want)


@both
@given(problem=maxima)
def test_column_major_indices_name_the_same_cells_with_the_first_axis_counted_first(form, problem):
    with problem.x64():
        (x,) = problem.arrays()
        by_row, by_column = (
            pooled(partial(form.max_pool_with_indices, index_order=order), problem, x)
            for order in ("row_major", "column_major")
        )
    np.testing.assert_array_equal(by_column[0], by_row[0])
    cells = np.unravel_index(np.asarray(by_row[1]), problem.size)
    want = np.ravel_multi_index(cells, problem.size, order="F")
    np.testing.assert_array_equal(by_column[1], want)


@both
def test_the_index_is_that_of_the_first_of_equal_maxima_and_of_the_last_nan(form):
    x = jnp.zeros((2, 4, 1)).at[1, 2:].set(jnp.nan)
    _, indices = form.max_pool_with_indices(x, (2, 2))
    np.testing.assert_array_equal(indices[..., 0], [[0, 7]])


@both
@pytest.mark.parametrize("lowest", [-np.inf, np.iinfo(np.int32).min])
def test_an_index_is_never_one_of_padding_even_if_no_value_is_lower(form, lowest):
    x = jnp.full((2, 2, 1), lowest)
    _, indices = form.max_pool_with_indices(x, (2, 2), stride=1, padding=1)
    np.testing.assert_array_equal(indices[..., 0], [[0, 0, 1], [0, 0, 1], [2, 2, 3]])


@st.composite
def unpoolings(draw):
    """Values and indices, some of them shared and some outside, and the output's size."""
    axes = draw(st.integers(1, 3))
    sizes = tuple(draw(st.integers(1, 3)) for _ in range(axes))
    batch = draw(st.sampled_from([(), (1,), (2,)]))
    shape = (*batch, *(draw(st.integers(1, 2)) for _ in sizes), draw(st.integers(1, 2)))
    draws = np.random.default_rng(draw(st.integers(0, 99)))
    cells = int(np.prod(sizes))
    indices = draws.integers(-1, cells + 1, shape).astype(draw(st.sampled_from(["int32", "int8"])))
    return draws.normal(size=shape).astype("float32"), indices, sizes


def one_by_one(values, indices, sizes):
    """The unpooled array, and the number of the value in each of its cells, or -1."""
    by_batch = values.reshape(-1, *values.shape[-len(sizes) - 1 :])
    where = indices.reshape(by_batch.shape)
    cells = int(np.prod(sizes))
    y = np.zeros((len(by_batch), cells, values.shape[-1]), values.dtype)
    source = np.full(y.shape, -1)
    for number, place in enumerate(np.ndindex(*by_batch.shape)):
        if 0 <= where[place] < cells:
            y[place[0], where[place], place[-1]] = by_batch[place]
            source[place[0], where[place], place[-1]] = number
    return y.reshape(*values.shape[: -len(sizes) - 1], *sizes, -1), source


@both
@given(case=unpoolings())
def test_unpooling_writes_each_value_to_its_index_and_keeps_the_last_one(form, case):
    values, indices, sizes = case
    want, _ = one_by_one(values, indices, sizes)
    got = jax.jit(partial(form.max_unpool, output_size=sizes))(values, indices)
    np.testing.assert_array_equal(got, want)
    axes = (*range(got.ndim - 1 - len(sizes)), *range(got.ndim - 2, got.ndim - 2 - len(sizes), -1))
    want, _ = one_by_one(values, indices, sizes[::-1])  # counts the first axis of sizes first
    by_column = partial(form.max_unpool, output_size=sizes, index_order="column_major")
    got = jax.jit(by_column)(values, indices)
    np.testing.assert_array_equal(got, want.transpose(*axes, got.ndim - 1))


@both
@given(case=unpoolings())
def test_the_gradient_of_unpooling_goes_to_the_value_that_was_kept(form, case):
    values, indices, sizes = case
    y, source = one_by_one(values, indices, sizes)
    cotangent = np.arange(1.0, 1 + y.size, dtype="float32").reshape(y.shape)
    want = np.zeros(values.size, "float32")
    kept = source.ravel() >= 0
    want[source.ravel()[kept]] = cotangent.ravel()[kept]

    @jax.jit
    def gradient(values, indices, cotangent):
        _, pull_back = jax.vjp(lambda v: form.max_unpool(v, indices, output_size=sizes), values)
        return pull_back(cotangent)[0]

    np.testing.assert_array_equal(gradient(values, indices, cotangent), want.reshape(values.shape))


@few
@both
@given(problem=pool_problems(kinds=("max",), ties=(False,)))
def test_unpooling_restores_the_maxima_and_nothing_else(form, problem):
    (x,) = problem.arrays()
    values, indices = pooled(form.max_pool_with_indices, problem, x)
    restored = jax.jit(partial(form.max_unpool, output_size=problem.size))(values, indices)
    named = np.zeros(by_cells(problem, x).shape, bool)
    np.put_along_axis(named, by_cells(problem, indices), True, axis=1)
    np.testing.assert_array_equal(restored, np.where(named.reshape(x.shape), x, 0))


@both
def test_one_output_size_of_unpooling_applies_to_all_spatial_axes_of_a_batch(form):
    values, indices = jnp.ones((2, 2, 2, 3)), jnp.zeros((2, 2, 2, 3), "int32")
    assert form.max_unpool(values, indices, output_size=4).shape == (2, 4, 4, 3)
