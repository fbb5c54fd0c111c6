"""The pool family: minimum and p-norm, and the laws that all of its members obey."""

from __future__ import annotations

import inspect
import math
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.ops import adaptive, pool, resample, unpool
from jaxcnn.reference import adaptive as reference_adaptive
from jaxcnn.reference import pool as reference_pool
from jaxcnn.reference import resample as reference_resample
from jaxcnn.reference import unpool as reference_unpool
from jaxcnn.testing import (
    assert_gradients_match,
    assert_lowers,
    assert_matches_reference,
    assert_obeys_geometry,
    assert_sums_close,
    pool_problems,
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


both_min = pytest.mark.parametrize("min_pool", [pool.min_pool, reference_pool.min_pool])
both_lp = pytest.mark.parametrize("lp_pool", [pool.lp_pool, reference_pool.lp_pool])
pools_of_max = partial(pool_problems, kinds=("max",))


@given(pools_of_max(dtypes=DTYPES))
def test_min_pool_is_its_reference(problem):
    assert_obeys_geometry(pool.min_pool, problem)
    assert_matches_reference(pool.min_pool, problem, reference=reference_pool.min_pool)


@given(pools_of_max())
def test_the_minimum_is_the_negative_maximum_of_the_negative(problem):
    def negative(x, window, **kwargs):
        return -reference_pool.max_pool(-x, window, **kwargs)

    assert_matches_reference(reference_pool.min_pool, problem, reference=negative)


@few
@given(pools_of_max(ranks=(1, 2), max_cells=16))
def test_the_gradients_of_the_minimum_are_those_of_its_reference_and_of_differences(problem):
    assert_gradients_match(pool.min_pool, problem, reference=reference_pool.min_pool)


@both_min
@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8"])
def test_the_padding_is_never_the_minimum_even_if_no_value_is_higher(min_pool, dtype):
    highest = jnp.inf if dtype == "float32" else jnp.iinfo(dtype).max
    y = min_pool(jnp.full((2, 2, 1), highest, dtype), (2, 2), stride=1, padding=1)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, jnp.full((3, 3, 1), highest, dtype))


@both_min
def test_a_nan_is_the_minimum_of_every_window_it_lies_under(min_pool):
    x = jnp.array([[1.0], [jnp.nan], [0.0], [2.0]])
    np.testing.assert_array_equal(min_pool(x, (2,))[:, 0], [np.nan, 0])


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
        (1, *problem.window, 1),
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
    terms = math.prod(problem.window)
    extra = p + terms + 2 if lp_pool is reference_pool.lp_pool else 0
    roundings = math.ceil(norm_roundings(p, terms, problem.dtype) + extra)
    assert_sums_close(got, want, want, roundings=roundings, what="norm")


@few
@given(norms(dtypes=("float32", "float64"), ranks=(1, 2), max_cells=16), st.integers(0, 9))
def test_the_gradient_of_the_p_norm_is_its_references(case, seed):
    problem, p = case
    gradients = []
    for lp_pool in (pool.lp_pool, reference_pool.lp_pool):
        wider = lp_pool is reference_pool.lp_pool
        with jax.enable_x64(wider or problem.dtype == "float64"):
            x = jnp.asarray(wide(problem.arrays()[0]) if wider else problem.arrays()[0])
            cotangent = jnp.asarray(problem.draw(problem.output_shape, seed), x.dtype)
            gradient = jax.jit(partial(_gradient, partial(problem.call, partial(lp_pool, p=p))))
            gradients.append(gradient(x, cotangent))
            magnitude = gradient(abs(x), abs(cotangent))
    # d norm/d cell = |cell|^(p-1) norm^(1-p): two powers, of a norm with an error of its own.
    terms = math.prod(problem.window)
    roundings = math.ceil(p * (norm_roundings(p, terms, problem.dtype) + POWER))
    assert_sums_close(*gradients, magnitude, roundings=roundings, what="gradient")


@few
@both_lp
@given(case=norms(dtypes=("float64",), ranks=(1, 2)))
def test_the_p_norm_is_homogeneous_so_its_gradient_recovers_it(lp_pool, case):
    problem, p = case  # Euler: y(tx) = t*y(x) for t > 0, hence <dy/dx, x> = y
    with problem.x64():
        (x,) = problem.arrays()
        call = partial(problem.call, partial(lp_pool, p=p))
        y, slope = jax.jit(lambda x: jax.jvp(call, (x,), (x,)))(x)
    terms = math.prod(problem.window)
    roundings = math.ceil(p * (norm_roundings(p, terms, problem.dtype) + POWER))
    assert_sums_close(slope, y, y, roundings=roundings)


@both_lp
@pytest.mark.parametrize("p", ORDERS)
def test_the_gradient_of_the_p_norm_is_finite_at_zeros(lp_pool, p):
    x = jnp.array([[0.0], [0.0], [0.0], [2.0]])
    gradient = jax.grad(lambda x: lp_pool(x, (2,), p).sum())(x)
    np.testing.assert_allclose(gradient[:, 0], [0, 0, 0, 1], rtol=1e-6)


@both_lp
def test_a_nan_or_an_infinity_is_the_p_norm_of_its_window_alone(lp_pool):
    x = jnp.array([[1.0], [jnp.nan], [3.0], [4.0], [-jnp.inf], [0.0]])
    np.testing.assert_array_equal(lp_pool(x, (2,))[:, 0], [np.nan, 5, np.inf])


def test_sixteen_bit_norms_do_not_overflow_where_the_norm_itself_does_not():
    x = jnp.full((4, 1), 300, jnp.float16)  # 300**2 is beyond float16
    np.testing.assert_array_equal(pool.lp_pool(x, (4,))[:, 0], [600])
    np.testing.assert_array_equal(adaptive.global_lp_pool(x, rank=1), [600])


X = np.random.default_rng(0).uniform(0.125, 1, (2, 6, 4, 4)).astype(np.float32)
VALUES = X[:, :3, :2]
INDICES = np.random.default_rng(1).permutation(np.arange(24, dtype="int32"))[:6].reshape(3, 2, 1)


def unpooled(max_unpool, values):
    return max_unpool(values, jnp.broadcast_to(INDICES, values.shape), output_size=(6, 4))


def values_of(max_pool_with_indices, x):
    return max_pool_with_indices(x, (3, 2), stride=1, padding="SAME", rounding="floor")[0]


# name: the fast form, its twin, and what to do with one of them and an x (N, 6, 4, 4).
FAMILY = {
    "max_pool": (pool, reference_pool, lambda f, x: f(x, (3, 2), stride=1, padding=1)),
    "min_pool": (pool, reference_pool, lambda f, x: f(x, (3, 2), stride=1, padding=1)),
    "avg_pool": (pool, reference_pool, lambda f, x: f(x, (3, 2), stride=1, padding=1)),
    "lp_pool": (pool, reference_pool, lambda f, x: f(x, (3, 2), 3, stride=1, padding=1)),
    "max_pool_with_indices": (unpool, reference_unpool, values_of),
    "max_unpool": (unpool, reference_unpool, unpooled),
    "adaptive_max_pool": (adaptive, reference_adaptive, lambda f, x: f(x, (4, 2))),
    "adaptive_avg_pool": (adaptive, reference_adaptive, lambda f, x: f(x, (4, 2))),
    "global_max_pool": (adaptive, reference_adaptive, lambda f, x: f(x, rank=2)),
    "global_avg_pool": (adaptive, reference_adaptive, lambda f, x: f(x, rank=2)),
    "global_lp_pool": (adaptive, reference_adaptive, lambda f, x: f(x, 3, rank=2)),
    "blur_pool": (resample, reference_resample, lambda f, x: f(x, filter=(3, 2))),
    "pixel_shuffle": (resample, reference_resample, lambda f, x: f(x, (2, 1))),
    "pixel_unshuffle": (resample, reference_resample, lambda f, x: f(x, (2, 2))),
}
each = pytest.mark.parametrize("name", FAMILY)
INTEGERS = sorted(set(FAMILY) - {name for name in FAMILY if "avg" in name or "lp" in name})
INTEGERS.remove("blur_pool")


def call_of(name):
    fast, _, use = FAMILY[name]
    return partial(use, getattr(fast, name))


def argument_of(name, dtype="float32"):
    return jnp.asarray(VALUES if name == "max_unpool" else X, dtype)


@cache
def definition_of(name):
    """The twin, compiled: one program for the numbers of every dtype."""
    _, twin, use = FAMILY[name]
    return jax.jit(partial(use, getattr(twin, name)))


@each
def test_both_forms_have_the_same_signature(name):
    fast, twin, _ = FAMILY[name]
    assert inspect.signature(getattr(fast, name)) == inspect.signature(getattr(twin, name))


@each
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_dtype_stays_and_both_forms_agree(name, dtype):
    fast, _, use = FAMILY[name]
    with jax.enable_x64(dtype == "float64"):
        x = argument_of(name, dtype)
        got = use(getattr(fast, name), x)
        assert got.dtype == x.dtype
    with jax.enable_x64(True):
        want = definition_of(name)(jnp.asarray(wide(x)))
    # At most 24 terms, their powers, a root and a quotient; all cells are positive.
    assert_sums_close(got, want, want, roundings=24 + 3 + 2 * POWER + 1)


@each
def test_it_may_be_compiled_and_mapped(name):
    call, x = call_of(name), argument_of(name)
    y = call(x)
    close = partial(assert_sums_close, magnitude=y, roundings=2 * POWER)
    close(jax.jit(call)(x), y)
    one_by_one = jnp.stack([call(example) for example in x])
    close(one_by_one, y)
    close(jax.vmap(call)(x), y)


@each
def test_its_derivatives_forwards_and_backwards_are_adjoint(name):
    call = call_of(name)
    with jax.enable_x64(True):
        x = argument_of(name, "float64")
        v = jnp.asarray(np.random.default_rng(2).normal(size=x.shape))
        y, slope = jax.jvp(call, (x,), (v,))
        u = jnp.asarray(np.random.default_rng(3).normal(size=y.shape))
        (gradient,) = jax.vjp(call, x)[1](u)
        forward, backward = jnp.vdot(slope, u), jnp.vdot(v, gradient)
        _, bound = jax.jvp(call, (x,), (abs(v),))
        size = jnp.vdot(abs(bound), abs(u))  # all derivatives are positive at positive x
        assert_sums_close(forward, backward, size, roundings=x.size + 24 + 4 * POWER)


@each
def test_it_lowers_for_every_platform_with_its_gradient(name):
    call, x = call_of(name), argument_of(name)
    assert_lowers(call, (x,))
    assert_lowers(jax.grad(lambda x: call(x).sum()), (x,), returns=x)


@each
def test_an_empty_batch_gives_an_empty_result_of_the_right_shape(name):
    fast, twin, use = FAMILY[name]
    x = argument_of(name)
    full = jax.eval_shape(partial(use, getattr(fast, name)), x)
    empty = jax.eval_shape(partial(use, getattr(twin, name)), x[:0])
    for y in (use(getattr(fast, name), x[:0]), empty):
        assert y.shape == (0, *full.shape[1:])
        assert y.dtype == full.dtype


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_are_moved_and_compared_as_they_are(name):
    fast, twin, use = FAMILY[name]
    x = (100 * argument_of(name)).astype("int32")
    got, want = use(getattr(fast, name), x), use(getattr(twin, name), x)
    assert got.dtype == x.dtype
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", sorted(set(FAMILY) - set(INTEGERS)))
def test_integers_have_no_mean_and_no_norm(name):
    for module in FAMILY[name][:2]:
        with pytest.raises(TypeError, match=rf"{name}: x is int32.*astype"):
            FAMILY[name][2](getattr(module, name), jnp.ones((2, 6, 4, 4), "int32"))


ONES = jnp.ones((2, 6, 4, 4))
REFUSED = [
    ("min_pool", (ONES, (3, 3)), {}, ValueError, ["width 4", "1.333", "floor"]),
    ("min_pool", (ONES, 9), {}, ValueError, ["height 6", "filter 9", "padding"]),
    ("lp_pool", (ONES, 2, 0.5), {}, ValueError, ["p", ">= 1", "0.5"]),
    ("lp_pool", (ONES, 2, math.inf), {}, ValueError, ["p", "inf", "max_pool"]),
    ("lp_pool", (ONES, 2, "2"), {}, TypeError, ["p", "'2'", "str"]),
    ("max_pool_with_indices", (ONES, 2), {"padding": 2}, ValueError, ["nothing but padding"]),
    ("max_unpool", (ONES, ONES), {"output_size": 9}, TypeError, ["indices", "float32"]),
    (
        "max_unpool",
        (ONES, jnp.ones((2, 6, 4, 3), "int32")),
        {"output_size": 9},
        ValueError,
        ["(2, 6, 4, 3)", "(2, 6, 4, 4)", "max_pool_with_indices"],
    ),
    (
        "max_unpool",
        (ONES, jnp.ones(ONES.shape, "int32")),
        {"output_size": (9,)},
        ValueError,
        ["output_size (9,)", "4 axes"],
    ),
    ("adaptive_max_pool", (ONES, 0), {}, ValueError, ["output_size", ">= 1", "0"]),
    ("adaptive_max_pool", (ONES, (2, 2, 2, 2)), {}, ValueError, ["output_size", "4 axes"]),
    ("adaptive_avg_pool", (ONES, ()), {}, ValueError, ["output_size", "one for each"]),
    ("adaptive_avg_pool", (ONES, 2.0), {}, TypeError, ["output_size", "2.0"]),
    ("global_max_pool", (jnp.ones((2, 0, 4)),), {}, ValueError, ["length", ">= 1", "0"]),
    ("global_avg_pool", (ONES,), {"rank": 4}, ValueError, ["rank 4", "4 axes"]),
    ("global_lp_pool", (ONES, 0), {}, ValueError, ["p", ">= 1", "0"]),
    ("blur_pool", (ONES,), {"filter": 9}, ValueError, ["reflect", "at most 3", "replicate"]),
    ("blur_pool", (ONES,), {"boundary": "partial"}, ValueError, ["partial", "replicate"]),
    ("blur_pool", (ONES,), {"rounding": "ceil"}, ValueError, ["ceil", "floor"]),
    ("blur_pool", (ONES,), {"padding": 1}, ValueError, ["3.5", "floor"]),
    ("pixel_shuffle", (ONES, 3), {}, ValueError, ["4 channels", "3 * 3 = 9", "use 9"]),
    ("pixel_shuffle", (ONES, 2), {"order": "RCD"}, ValueError, ["order", "'CRD'", "RCD"]),
    ("pixel_shuffle", (ONES, 0), {}, ValueError, ["factor", ">= 1", "0"]),
    ("pixel_unshuffle", (ONES, 3), {}, ValueError, ["width 4", "factor 3", "3 or 6"]),
    ("pixel_unshuffle", ([1], 3), {}, TypeError, ["x", "list", "jnp.asarray"]),
]


@pytest.mark.parametrize(("name", "arguments", "kwargs", "kind", "words"), REFUSED)
def test_what_cannot_be_is_refused_with_its_numbers_and_a_way_out(
    name, arguments, kwargs, kind, words
):
    for module in FAMILY[name][:2]:
        with pytest.raises(kind) as caught:
            getattr(module, name)(*arguments, **kwargs)
        message = str(caught.value)
        assert message.startswith(f"{name}: ")
        for word in words:
            assert word in message
