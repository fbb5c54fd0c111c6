"""lax's pools and their gradients, lowered by taps, equal those of lax's own lowerings."""

from __future__ import annotations

import math
from contextlib import contextmanager
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax
from jax.interpreters import mlir

from jaxcnn.convolve import pool_lowerings
from jaxcnn.testing import assert_sums_close
from tests.cases import for_cpus, scaled

several = scaled(4)
"""Four times as many cases, because programs of a few cells compile fast."""

KINDS = {"max": (lax.max, -np.inf), "min": (lax.min, np.inf), "sum": (lax.add, 0.0)}


@contextmanager
def lowered_by(rules):
    """A context in which programs are compiled with these rules, without JAX's caches."""
    for primitive, rule in rules.items():
        mlir.register_lowering(primitive, rule, platform="cpu")
    jax.clear_caches()
    try:
        yield
    finally:
        for primitive, rule in pool_lowerings.LAX_RULES.items():
            mlir.register_lowering(primitive, rule, platform="cpu")
        jax.clear_caches()


@st.composite
def pools(draw, kinds=tuple(KINDS), dilated=False):
    """(kind, x, window arguments of lax.reduce_window)"""
    axes = draw(st.integers(1, 2))
    window, strides, dilation, pads, size = [1], [1], [1], [(0, 0)], [draw(st.integers(1, 2))]
    for _ in range(axes):
        f, d = draw(st.sampled_from([2, 3, 1, 4])), draw(st.integers(1, 2)) if dilated else 1
        extent = d * (f - 1) + 1
        low, high = draw(st.integers(0, f - 1)), draw(st.integers(0, f - 1))
        window.append(f)
        strides.append(draw(st.sampled_from([2, 1, 3, 5])))
        dilation.append(d)
        pads.append((low, high))
        size.append(max(1, extent - low - high) + draw(st.integers(0, 4)))
    ends = draw(st.sampled_from(["last", "last", "last", "second"]))
    size.insert(len(size) if ends == "last" else 1, draw(st.integers(1, 3)))
    for values, one in ((window, 1), (strides, 1), (dilation, 1), (pads, (0, 0))):
        values.insert(len(values) if ends == "last" else 1, one)
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    x = np.round(3 * rng.normal(size=size))  # whole numbers: ties, and sums without rounding
    special = draw(st.sampled_from([None, np.nan, -np.inf, np.inf]))
    kind = draw(st.sampled_from(kinds))
    if special is not None and kind != "sum":
        x = np.where(rng.random(size) < 0.4, special, x)
    dtype = draw(st.sampled_from(["float32", "bfloat16", "float16"]))
    arguments = {
        "window_dimensions": tuple(window),
        "window_strides": tuple(strides),
        "padding": tuple(pads),
        "window_dilation": tuple(dilation),
    }
    return kind, jnp.asarray(x, dtype), arguments


def value_and_gradient(kind, _, arguments):
    function, start = KINDS[kind]

    def both(x):
        pool = partial(lax.reduce_window, init_value=start, computation=function, **arguments)
        y, pull_back = jax.vjp(pool, x)
        whole = jnp.arange(1, 1 + y.size) % 7 + 1
        return y, pull_back(whole.reshape(y.shape).astype(y.dtype))[0]

    return both


@pytest.mark.parametrize("kind", ["max", "min"])
def test_after_a_nan_the_first_of_equal_cells_gets_the_gradient_as_in_lax(kind):
    """After a NaN, lax takes the next cell, and from then on keeps the first of equal cells."""
    x = jnp.array([np.nan, 2.0, 2.0, 2.0, 1.0, 1.0]).reshape(1, 6, 1)
    windows = {name: (1, n, 1) for name, n in (("window_dimensions", 3), ("window_strides", 3))}
    both = value_and_gradient(kind, x, windows | {"padding": ((0, 0),) * 3})
    want = jax.jit(both)(x)
    with lowered_by(pool_lowerings.RULES):
        got = jax.jit(both)(x)
    np.testing.assert_array_equal(got[1], want[1])
    first = {"max": [0, 2, 0, 3, 0, 0], "min": [0, 2, 0, 0, 3, 0]}[kind]
    np.testing.assert_array_equal(got[1].ravel(), first)


@pytest.mark.parametrize("kind", KINDS)
@several
@given(data=st.data())
def test_pools_and_their_gradients_equal_laxs_with_ties_and_nans(kind, data):
    problem = data.draw(pools(kinds=(kind,)))
    both, x = value_and_gradient(*problem), problem[1]
    want = jax.jit(both)(x)
    with lowered_by(pool_lowerings.RULES):
        got = jax.jit(both)(x)
    for ours, theirs in zip(got, want, strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_array_equal(np.asarray(ours, "float64"), np.asarray(theirs, "float64"))


@given(pools(dilated=True))
def test_dilated_pools_equal_laxs(problem):
    kind, x, arguments = problem
    function, start = KINDS[kind]

    def pool(x):
        return lax.reduce_window(x, jnp.asarray(start, x.dtype), function, **arguments)

    want = jax.jit(pool)(x)
    with lowered_by(pool_lowerings.RULES):
        got = jax.jit(pool)(x)
    np.testing.assert_array_equal(np.asarray(got, "float64"), np.asarray(want, "float64"))


@given(pools(kinds=("sum",)), st.integers(0, 99))
def test_sum_pools_differ_from_laxs_by_roundings_at_most(problem, seed):
    both, (_, x, arguments) = value_and_gradient(*problem), problem
    x = jnp.asarray(np.random.default_rng(seed).uniform(0.125, 1, x.shape), "float32")
    want = jax.jit(both)(x)
    with lowered_by(pool_lowerings.RULES):
        got = jax.jit(both)(x)
    roundings = math.prod(arguments["window_dimensions"])
    for ours, theirs in zip(got, want, strict=True):  # all terms are positive
        assert_sums_close(ours, theirs, theirs, roundings=roundings)


SHAPE, WINDOW = (2, 8, 8, 16), (1, 3, 3, 1)
USUAL = {
    "window_dimensions": WINDOW,
    "window_strides": (1, 2, 2, 1),
    "padding": ((0, 0), (1, 1), (1, 1), (0, 0)),
    "window_dilation": (1, 1, 1, 1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_usual_pools_are_lowered_without_reduce_window(kind):
    x = jnp.ones(SHAPE)
    both = value_and_gradient(kind, x, USUAL)
    words = ("reduce_window", "select_and_scatter")
    assert any(word in for_cpus(both, x) for word in words)
    with lowered_by(pool_lowerings.RULES):
        text = for_cpus(both, x)
    assert not any(word in text for word in words)


@pytest.mark.parametrize("kind", KINDS)
def test_integer_and_symbolic_pools_keep_laxs_lowering(kind):
    def pool(x):
        function, start = KINDS[kind]
        start = 0 if jnp.issubdtype(x.dtype, jnp.integer) else start
        return lax.reduce_window(x, jnp.asarray(start, x.dtype), function, **USUAL)

    with lowered_by(pool_lowerings.RULES):
        assert "reduce_window" in jax.jit(pool).lower(jnp.ones(SHAPE, "int32")).as_text()
        (batch,) = jax.export.symbolic_shape("n")
        x = jax.ShapeDtypeStruct((batch, *SHAPE[1:]), "float32")
        assert "reduce_window" in jax.export.export(jax.jit(pool))(x).mlir_module()
