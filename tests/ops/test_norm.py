"""Pooling by the p-norm: its values, gradients and range."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.ops import adaptive, pool
from jaxcnn.reference import pool as reference_pool
from jaxcnn.testing import (
    assert_sums_close,
    pool_problems,
    unit_roundoff,
)
from tests.cases import DTYPES, few

SIXTEEN = ("bfloat16", "float16")
ORDERS = (1, 2, 3, 1.5, 7)
# Roundings of one call of the power function, and of its exponent 1/p: that one moves y by
# |ln y| * u, and |ln y| < 4 for the cells drawn here.
POWER = 8


def norm_roundings(p, terms, dtype):
    """Through how many roundings a p-norm's terms go, at most.

    p - 1 or one power, the additions, one root; for 16 bits all this is done in 32, which weighs
    less than one rounding to 16, plus that rounding.
    """
    return 2 if dtype in SIXTEEN else p + POWER + terms + POWER


both_lp = pytest.mark.parametrize("lp_pool", [pool.lp_pool, reference_pool.lp_pool])


@st.composite
def norms(draw, **bounds):
    """A problem of pooling, and the order of a norm."""
    problem = draw(pool_problems(kinds=("avg",), **bounds))
    return problem, draw(st.sampled_from(ORDERS))


def sums(problem, x):
    """The sum of x's cells under each window, by JAX's own reduction, in float64."""
    laid = problem.shapes().windows
    x = jnp.asarray(x if problem.batch is not None else x[None])
    y = jax.lax.reduce_window(
        x,
        0.0,
        jax.lax.add,
        (1, *problem.kernel_size, 1),
        (1, *problem.stride, 1),
        [(0, 0), *((w.padding[0], w.padding[1] + w.overhang) for w in laid), (0, 0)],
        window_dilation=(1, *problem.dilation, 1),
    )
    return np.asarray(y).reshape(problem.output_shape)


def _gradient(call, x, cotangent):
    return jax.vjp(call, x)[1](cotangent)[0]


def wide(x):
    return np.asarray(x).astype(np.float64)


@both_lp
@given(case=norms(dtypes=DTYPES))
def test_the_p_norm_is_the_root_of_the_sum_of_the_powers(lp_pool, case):
    problem, p = case
    with problem.x64():
        (x,) = problem.arrays()
        got = jax.jit(partial(problem.call, partial(lp_pool, p=p)))(x)
    assert got.dtype == x.dtype
    with jax.enable_x64(True):
        want = sums(problem, abs(wide(x)) ** p) ** (1 / p)
    # The definition sums in the dtype it is given: n more roundings of 16 bits.
    terms = math.prod(problem.kernel_size)
    extra = p + terms + 2 if lp_pool is reference_pool.lp_pool else 0
    roundings = math.ceil(norm_roundings(p, terms, problem.dtype) + extra)
    assert_sums_close(got, want, want, roundings=roundings, what="norm")


@few
@given(norms(dtypes=("float32", "float64"), ranks=(1, 2), max_cells=16), st.integers(0, 9))
def test_the_gradient_of_the_p_norm_is_that_of_its_reference(case, seed):
    problem, p = case
    gradients = []
    for lp_pool in (pool.lp_pool, reference_pool.lp_pool):
        wider = lp_pool is reference_pool.lp_pool
        with jax.enable_x64(wider or problem.dtype == "float64"):
            x = jnp.asarray(wide(problem.arrays()[0]) if wider else problem.arrays()[0])
            cotangent = jnp.asarray(problem.random_array(problem.output_shape, seed), x.dtype)
            gradient = jax.jit(partial(_gradient, partial(problem.call, partial(lp_pool, p=p))))
            gradients.append(gradient(x, cotangent))
            magnitude = gradient(abs(x), abs(cotangent))
    # d norm/d cell = |cell|^(p-1) norm^(1-p): two powers, of a norm with an error of its own.
    terms = math.prod(problem.kernel_size)
    roundings = math.ceil(p * (norm_roundings(p, terms, problem.dtype) + POWER))
    assert_sums_close(*gradients, magnitude, roundings=roundings, what="gradient")


@few
@both_lp
@given(case=norms(dtypes=("float64",), ranks=(1, 2)))
def test_the_gradient_of_the_p_norm_times_x_is_the_p_norm(lp_pool, case):
    problem, p = case  # Euler: y(tx) = t*y(x) for t > 0, hence <dy/dx, x> = y
    with problem.x64():
        (x,) = problem.arrays()
        call = partial(problem.call, partial(lp_pool, p=p))
        y, slope = jax.jit(lambda x: jax.jvp(call, (x,), (x,)))(x)
    terms = math.prod(problem.kernel_size)
    roundings = math.ceil(p * (norm_roundings(p, terms, problem.dtype) + POWER))
    assert_sums_close(slope, y, y, roundings=roundings)


@both_lp
@pytest.mark.parametrize("p", ORDERS)
def test_the_gradient_of_the_p_norm_is_finite_at_zeros(lp_pool, p):
    x = jnp.array([[0.0], [0.0], [0.0], [2.0]])
    gradient = jax.grad(lambda x: lp_pool(x, (2,), p).sum())(x)
    np.testing.assert_allclose(gradient[:, 0], [0, 0, 0, 1], rtol=1e-6)


@both_lp
def test_a_nan_or_an_infinity_is_the_p_norm_of_exactly_the_windows_that_contain_it(lp_pool):
    x = jnp.array([[1.0], [jnp.nan], [3.0], [4.0], [-jnp.inf], [0.0]])
    np.testing.assert_array_equal(lp_pool(x, (2,))[:, 0], [np.nan, 5, np.inf])


def test_16_bit_norms_do_not_overflow_if_the_norm_is_in_range():
    x = jnp.full((4, 1), 300, jnp.float16)  # 300**2 is beyond float16
    np.testing.assert_array_equal(pool.lp_pool(x, (4,))[:, 0], [600])
    np.testing.assert_array_equal(adaptive.global_lp_pool(x, rank=1), [600])


@st.composite
def ranges(draw):
    """Windows of cells from all over the range of a dtype, and the order of a norm."""
    dtype = draw(st.sampled_from(("float32", "bfloat16", "float16", "float64")))
    smallest, largest = jnp.finfo(dtype).smallest_normal, jnp.finfo(dtype).max
    low, high = math.log2(float(smallest)) + 1, math.log2(float(largest)) - 5
    draws = np.random.default_rng(draw(st.integers(0, 9999)))
    top = draws.uniform(low + 1, high, (1, 8, 1, 1))  # of each window; the others lie below
    below = draws.choice([0, 0.5, 3, 40, 4000], (1, 8, 5, 1))
    x = draws.choice([-1, 1], below.shape) * 2.0 ** np.maximum(top - below, low)
    x = np.where(draws.uniform(size=x.shape) < 0.2, 0, x)
    return x.astype(jnp.dtype(dtype)), draw(st.sampled_from((1, 1.5, 2, 3, 4, 7.5, 100, 1001)))


def norm_of(x, p):
    """The norms of windows (1, k, taps, 1) and their gradients, by the formula, in long doubles."""
    wide = np.asarray(x).astype(np.longdouble)
    largest = abs(wide).max(2, keepdims=True)
    u = wide / np.where(largest == 0, 1, largest)
    total = (abs(u) ** np.longdouble(p)).sum(2, keepdims=True)
    total = np.where(total == 0, 1, total)
    y = largest * total ** (1 / np.longdouble(p))
    slope = np.sign(u) * abs(u) ** np.longdouble(p - 1) * total ** (1 / np.longdouble(p) - 1)
    return y, slope


@both_lp
@given(case=ranges())
def test_a_norm_in_range_and_its_gradient_are_those_of_the_formula(lp_pool, case):
    x, p = case
    want, slope = norm_of(x, p)
    with jax.enable_x64(x.dtype == np.float64):
        call = partial(lp_pool, kernel_size=(1, 5), p=p)
        x = jnp.asarray(x)
        y, pull_back = jax.vjp(call, x)
        (gradient,) = pull_back(jnp.ones_like(y))
        whole = adaptive.global_lp_pool(x[0], p, keepdims=True)
    assert y.dtype == x.dtype
    # A cell's quotient is off by u, its power by p*u; the root takes p from that again, and the
    # slope does not. One rounding more in 16 bits.
    eps = 2 * unit_roundoff("float64" if x.dtype == jnp.float64 else "float32")
    last = 2 * unit_roundoff(x.dtype)
    for norm in (y, whole[None]):
        np.testing.assert_allclose(wide(norm), want.astype(float), rtol=16 * eps + last)
    least = float(jnp.finfo(x.dtype).smallest_normal)
    close = partial(np.testing.assert_allclose, rtol=4 * (p + 8) * eps + last, atol=4 * eps + least)
    if lp_pool is reference_pool.lp_pool:  # whose derivative passes by largest * slope / p
        passes = abs(np.asarray(x).astype(np.longdouble)).max(2, keepdims=True) * abs(slope)
        slope = np.where(passes < 4 * p * least, wide(gradient), slope)
    close(wide(gradient), slope.astype(float))


@given(ranges())
def test_second_derivatives_of_a_norm_are_finite_and_those_of_the_formula(case):
    _, p = case
    x = np.random.default_rng(0).choice([0, 0.5, -1, 2, 3], 5)
    with jax.enable_x64(True):
        hessian = jax.jit(jax.hessian(lambda x: pool.lp_pool(x[:, None], (5,), p).sum()))(x)
    y = (abs(x) ** float(p)).sum() ** (1 / p) if p < 100 else abs(x).max()
    slope = np.sign(x) * (abs(x) / y) ** (p - 1)
    inner = np.where(x == 0, p == 2, (abs(np.where(x == 0, 1, x)) / y) ** (p - 2))
    want = (p - 1) / y * (np.diag(inner) - np.outer(slope, slope))
    np.testing.assert_allclose(hessian, want, rtol=1e-9 * p, atol=1e-9 * p)
