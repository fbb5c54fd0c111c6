"""Adaptive and global pools: the bins cover the input, and each output pools its bin."""

from __future__ import annotations

import math
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxcnn
from jaxcnn.ops import adaptive
from jaxcnn.reference import adaptive as reference_adaptive
from jaxcnn.shapes import Bins
from jaxcnn.testing import assert_sums_close
from tests.cases import DTYPES, few, many

both = pytest.mark.parametrize("form", [adaptive, reference_adaptive], ids=["fast", "reference"])


@many
@given(st.integers(1, 300), st.integers(1, 300))
def test_adaptive_bins_cover_every_cell_in_order_and_share_at_most_one(size, output):
    bins = list(Bins(size, output))
    assert len(bins) == output
    assert bins[0][0] == 0
    assert bins[-1][1] == size
    for i, (start, end) in enumerate(bins):
        assert (start, end) == (math.floor(i * size / output), math.ceil((i + 1) * size / output))
        assert start < end
    for (_, end), (start, _) in pairwise(bins):
        assert end - 1 <= start <= end


@st.composite
def problems(draw, dtypes=DTYPES, ties=False):
    """(x, output_size, dtype)"""
    axes = draw(st.integers(1, 3))
    sizes = [draw(st.integers(1, 4)) for _ in range(axes)]
    outputs = tuple(draw(st.integers(1, 5)) for _ in range(axes))
    batch = draw(st.sampled_from([(), (1,), (2,)]))
    shape = (*batch, *sizes, draw(st.integers(1, 2)))
    draws = np.random.default_rng(draw(st.integers(0, 99)))
    x = draws.integers(0, 3, shape) if ties else draws.normal(size=shape)
    return x.astype("float32"), outputs, draw(st.sampled_from(dtypes))


def bins_of(x, outputs):
    """For each entry of the output, its place and the cells of x in its bin, in row-major order."""
    x = x.reshape(-1, *x.shape[-len(outputs) - 1 :])
    bins = [list(Bins(n, k)) for n, k in zip(x.shape[1:-1], outputs, strict=True)]
    for n, *place, c in np.ndindex(len(x), *outputs, x.shape[-1]):
        sides = [range(*axis[i]) for axis, i in zip(bins, place, strict=True)]
        block = x[(n, *(slice(s.start, s.stop) for s in sides), c)]
        yield (
            block,
            [
                (n, *(s[i] for s, i in zip(sides, cell, strict=True)), c)
                for cell in np.ndindex(*block.shape)
            ],
        )


def shape_of(x, outputs):
    return (*x.shape[: -len(outputs) - 1], *outputs, x.shape[-1])


@both
@given(case=problems())
def test_each_adaptive_output_is_the_mean_or_the_maximum_of_its_bin(form, case):
    x, outputs, dtype = case
    pools = form.adaptive_avg_pool, form.adaptive_max_pool
    with jax.enable_x64(dtype == "float64"):
        x = jnp.asarray(x, dtype)
        mean, largest = jax.jit(lambda x: tuple(pool(x, outputs) for pool in pools))(x)
    blocks = [block for block, _ in bins_of(np.asarray(x, np.float64), outputs)]
    assert mean.dtype == largest.dtype == x.dtype
    np.testing.assert_array_equal(
        largest, np.reshape([b.max() for b in blocks], shape_of(x, outputs)).astype(dtype)
    )
    # A sum and a quotient on each axis.
    assert_sums_close(
        mean,
        np.reshape([b.mean() for b in blocks], shape_of(x, outputs)),
        np.reshape([abs(b).mean() for b in blocks], shape_of(x, outputs)),
        roundings=math.prod(x.shape) + 2 * len(outputs),
    )


@few
@both
@given(case=problems(dtypes=("float32",), ties=True))
def test_the_gradient_of_a_bin_goes_to_the_first_maximum_and_to_all_cells_of_a_mean(form, case):
    x, outputs, _ = case
    cotangent = np.arange(1.0, 1 + math.prod(shape_of(x, outputs)), dtype="float32")
    first, share = np.zeros((2, *x.reshape(-1, *x.shape[-len(outputs) - 1 :]).shape), np.float64)
    for (block, cells), flow in zip(bins_of(x, outputs), cotangent, strict=True):
        first[cells[int(np.argmax(block))]] += flow
        for cell in cells:
            share[cell] += flow / len(cells)
    cotangent = jnp.asarray(cotangent).reshape(shape_of(x, outputs))

    def gradient(pool):
        pull_back = jax.jit(lambda x: jax.vjp(lambda x: pool(x, outputs), x)[1](cotangent)[0])
        return pull_back(jnp.asarray(x))

    np.testing.assert_array_equal(gradient(form.adaptive_max_pool), first.reshape(x.shape))
    share = share.reshape(x.shape)
    assert_sums_close(gradient(form.adaptive_avg_pool), share, share, roundings=cotangent.size + 6)


@both
def test_an_adaptive_pool_whose_bins_are_windows_is_the_pool_of_these_windows(form):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 4, 3)), "float32")
    np.testing.assert_array_equal(form.adaptive_max_pool(x, (3, 2)), jaxcnn.max_pool(x, 2))
    assert_sums_close(
        form.adaptive_avg_pool(x, (3, 2)),
        jaxcnn.avg_pool(x, 2),
        jaxcnn.avg_pool(abs(x), 2),
        roundings=6,
    )


@both
@pytest.mark.parametrize("shape", [(2, 5, 3), (2, 4, 3, 2), (1, 2, 3, 2, 2)])
def test_a_global_pool_is_numpys_reduction_over_all_spatial_axes(form, shape):
    x = np.random.default_rng(0).uniform(0.125, 1, shape)
    axes = tuple(range(1, len(shape) - 1))
    with jax.enable_x64(True):
        for keepdims in (False, True):
            for name, want in {
                "global_max_pool": x.max(axes, keepdims=keepdims),
                "global_avg_pool": x.mean(axes, keepdims=keepdims),
                "global_lp_pool": np.sqrt((x**2).sum(axes, keepdims=keepdims)),
            }.items():
                pool = getattr(form, name)
                got = pool(jnp.asarray(x), keepdims=keepdims)
                assert_sums_close(got, want, want, roundings=x.size + 4, what=name)
                one = pool(jnp.asarray(x[0]), rank=len(axes), keepdims=keepdims)
                assert_sums_close(one, want[0], want[0], roundings=x.size + 4, what=name)


@both
def test_a_nan_is_the_maximum_of_exactly_the_bins_that_contain_it(form):
    x = jnp.arange(5.0).reshape(5, 1).at[1].set(jnp.nan)
    np.testing.assert_array_equal(form.adaptive_max_pool(x, (3,))[:, 0], [np.nan, np.nan, 4])
    assert np.isnan(form.global_max_pool(x, rank=1)).all()


def test_an_infinite_cell_reaches_only_the_means_of_its_own_bins():
    x = jnp.arange(5.0).reshape(5, 1).at[0].set(jnp.inf)
    np.testing.assert_array_equal(adaptive.adaptive_avg_pool(x, (3,))[:, 0], [np.inf, 2, 3.5])


def test_the_mean_of_many_sixteen_bit_cells_does_not_overflow():
    x = jnp.full((100, 100, 1), 60, jnp.float16)  # their sum is ten times the largest float16
    np.testing.assert_array_equal(adaptive.global_avg_pool(x, rank=2), [60])


@both
def test_the_gradient_of_a_global_norm_of_zeros_is_zero(form):
    gradient = jax.grad(lambda x: form.global_lp_pool(x, 3, rank=1).sum())(jnp.zeros((4, 1)))
    np.testing.assert_array_equal(gradient, np.zeros((4, 1)))


@both
def test_one_adaptive_output_size_applies_to_all_spatial_axes_of_a_batch(form):
    x = jnp.ones((2, 5, 7, 3))
    assert form.adaptive_max_pool(x, 3).shape == form.adaptive_avg_pool(x, 3).shape == (2, 3, 3, 3)
