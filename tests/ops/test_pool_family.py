"""Laws of all pools, independent of what they compute from their windows."""

from __future__ import annotations

import math
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import ops, reference
from jaxcnn.ops import adaptive, pool, resample, unpool
from jaxcnn.reference import adaptive as reference_adaptive
from jaxcnn.reference import pool as reference_pool
from jaxcnn.reference import resample as reference_resample
from jaxcnn.reference import unpool as reference_unpool
from jaxcnn.testing import assert_lowers, assert_sums_close
from tests.cases import DTYPES

# At most 24 terms of a sum, their third powers, a quotient, and a root with a rounded exponent.
ROUNDINGS = 40

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
    "blur_pool": (resample, reference_resample, lambda f, x: f(x, kernel_size=(3, 2))),
    "pixel_shuffle": (resample, reference_resample, lambda f, x: f(x, (2, 1))),
    "pixel_unshuffle": (resample, reference_resample, lambda f, x: f(x, (2, 2))),
    "upsample": (ops, reference, lambda f, x: f(x, (2, 0.75), method="linear")),
}
each = pytest.mark.parametrize("name", FAMILY)
INTEGERS = sorted(set(FAMILY) - {name for name in FAMILY if "avg" in name or "lp" in name})
INTEGERS = [name for name in INTEGERS if name not in ("blur_pool", "upsample")]


def call_of(name):
    fast, _, use = FAMILY[name]
    return partial(use, getattr(fast, name))


def argument_of(name, dtype="float32"):
    return jnp.asarray(VALUES if name == "max_unpool" else X, dtype)


@cache
def definition_of(name):
    """The reference, compiled: one program for the numbers of every dtype."""
    _, twin, use = FAMILY[name]
    return jax.jit(partial(use, getattr(twin, name)))


@each
@pytest.mark.parametrize("dtype", DTYPES)
def test_pools_keep_the_dtype_and_both_forms_agree(name, dtype):
    fast, _, use = FAMILY[name]
    with jax.enable_x64(dtype == "float64"):
        x = argument_of(name, dtype)
        got = use(getattr(fast, name), x)
        assert got.dtype == x.dtype
    with jax.enable_x64(True):
        want = definition_of(name)(jnp.asarray(np.asarray(x).astype(np.float64)))
    # All cells are positive: a sum is the sum of its magnitudes.
    assert_sums_close(got, want, want, roundings=ROUNDINGS)


@each
def test_pools_may_be_compiled_and_mapped(name):
    call, x = call_of(name), argument_of(name)
    y = call(x)
    close = partial(assert_sums_close, magnitude=y, roundings=ROUNDINGS)
    close(jax.jit(call)(x), y)
    one_by_one = jnp.stack([call(example) for example in x])
    close(one_by_one, y)
    close(jax.vmap(call)(x), y)


@each
def test_derivatives_of_pools_forwards_and_backwards_are_adjoint(name):
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
        assert_sums_close(forward, backward, size, roundings=x.size + 2 * ROUNDINGS)


@each
def test_pools_and_their_gradients_lower_for_every_platform(name):
    call, x = call_of(name), argument_of(name)
    assert_lowers(call, (x,))
    assert_lowers(jax.grad(lambda x: call(x).sum()), (x,), returns=x)


@each
def test_every_pool_of_an_empty_batch_gives_an_empty_result_of_the_right_shape(name):
    fast, twin, use = FAMILY[name]
    x = argument_of(name)
    full = jax.eval_shape(partial(use, getattr(fast, name)), x)
    empty = jax.eval_shape(partial(use, getattr(twin, name)), x[:0])
    for y in (use(getattr(fast, name), x[:0]), empty):
        assert y.shape == (0, *full.shape[1:])
        assert y.dtype == full.dtype


@pytest.mark.parametrize("name", INTEGERS)
def test_pools_that_only_move_and_compare_keep_integers_exactly(name):
    fast, twin, use = FAMILY[name]
    x = (100 * argument_of(name)).astype("int32")
    got, want = use(getattr(fast, name), x), use(getattr(twin, name), x)
    assert got.dtype == x.dtype
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", sorted(set(FAMILY) - set(INTEGERS)))
def test_means_and_norms_of_integers_are_refused(name):
    for module in FAMILY[name][:2]:
        with pytest.raises(TypeError, match=rf"{name}: x is int32.*astype"):
            FAMILY[name][2](getattr(module, name), jnp.ones((2, 6, 4, 4), "int32"))


ONES = jnp.ones((2, 6, 4, 4))
REFUSED = [
    ("min_pool", (ONES, (3, 3)), {}, ValueError, ["width 4", "1.333", "floor"]),
    ("min_pool", (ONES, 9), {}, ValueError, ["height 6", "kernel_size 9", "padding"]),
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
    ("blur_pool", (ONES,), {"kernel_size": 9}, ValueError, ["reflect", "at most 3", "replicate"]),
    ("blur_pool", (ONES,), {"padding_mode": "partial"}, ValueError, ["partial", "replicate"]),
    ("blur_pool", (ONES,), {"rounding": "ceil"}, ValueError, ["ceil", "floor"]),
    ("blur_pool", (ONES,), {"padding": 1}, ValueError, ["3.5", "floor"]),
    ("pixel_shuffle", (ONES, 3), {}, ValueError, ["4 channels", "3 * 3 = 9", "use 9"]),
    ("pixel_shuffle", (ONES, 2), {"order": "RCD"}, ValueError, ["order", "'CRD'", "RCD"]),
    ("pixel_shuffle", (ONES, 0), {}, ValueError, ["factor", ">= 1", "0"]),
    ("pixel_unshuffle", (ONES, 3), {}, ValueError, ["width 4", "factor 3", "3 or 6"]),
    ("pixel_unshuffle", ([1], 3), {}, TypeError, ["x", "list", "jnp.asarray"]),
    ("upsample", (ONES,), {}, ValueError, ["scale_factor or output_size", "neither"]),
    ("upsample", (ONES, 2), {"output_size": 9}, ValueError, ["scale_factor", "both"]),
    ("upsample", (ONES, 1.6), {}, ValueError, ["6 times scale_factor 1.6", '"floor" for 9']),
    ("upsample", (ONES, 0.1), {"rounding": "floor"}, ValueError, ["height 6", "no output"]),
    ("upsample", (ONES, 0), {}, ValueError, ["scale_factor", "> 0, got 0", "use 2"]),
    ("upsample", (ONES, (1, 2j)), {}, TypeError, ["scale_factor[1]", "2j", "complex"]),
    ("upsample", (ONES, 2), {"method": "bilinear"}, ValueError, ['method="linear"']),
    ("upsample", (ONES, 2), {"coordinates": "halfpixel"}, ValueError, ['coordinates="half_pixel"']),
    ("upsample", (ONES, 2), {"rounding": "ceil"}, ValueError, ["ceil", "floor"]),
]


@pytest.mark.parametrize(("name", "arguments", "kwargs", "kind", "words"), REFUSED)
def test_an_impossible_pool_is_refused_with_its_numbers_and_advice(
    name, arguments, kwargs, kind, words
):
    for module in FAMILY[name][:2]:
        with pytest.raises(kind) as caught:
            getattr(module, name)(*arguments, **kwargs)
        message = str(caught.value)
        assert message.startswith(f"{name}: ")
        for word in words:
            assert word in message
