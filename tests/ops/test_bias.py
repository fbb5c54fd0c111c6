"""The bias: its addition is rounded once, and its gradient is the sum of all cotangents."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.experimental import checkify, jet

from jaxcnn.ops.bias import add_bias

pytestmark = pytest.mark.usefixtures("optimised")

Y = np.random.default_rng(0).normal(size=(3, 5, 4))
MANY = (3, 1000, 4)


@given(
    st.sampled_from(["bfloat16", "float16", "float32", "int32", "complex64"]), st.integers(0, 99)
)
def test_adding_a_bias_is_the_sum_to_the_bit(dtype, seed):
    draws = np.random.default_rng(seed)
    scale = 2.0 ** draws.integers(-12, 12, (3, 5, 4))
    y = jnp.asarray(draws.normal(size=scale.shape) * scale).astype(dtype)
    bias = jnp.asarray(draws.normal(size=4)).astype(dtype)
    got = add_bias(y, bias)
    assert got.dtype == y.dtype
    np.testing.assert_array_equal(got, y + bias.reshape(1, 1, 4))


def _vjp(y, bias):
    return jax.vjp(partial(add_bias, y), bias)[1](jnp.ones_like(y))[0]


def _jvp_of_vjp(y, bias):  # the gradient of sum(b*b + 2*y*b)/2 along ones is that of sum(b)
    def gradient(bias):
        return jax.vjp(lambda b: add_bias(y, b), bias)[1](add_bias(jnp.zeros_like(y), bias))[0]

    return jax.jvp(gradient, (bias,), (jnp.ones_like(bias),))[1]


def _transposed(y, bias):
    linear = partial(add_bias, jnp.zeros_like(y))
    return jax.linear_transpose(linear, bias)(jnp.ones_like(y))[0]


def _mapped(y, bias):
    return jax.vmap(_vjp, in_axes=(None, 0))(y, jnp.stack([bias] * 2))[1]


def _checked(y, bias):
    error, gradient = checkify.checkify(_vjp, errors=checkify.float_checks)(y, bias)
    error.throw()
    return gradient


def _without_jit(y, bias):
    with jax.disable_jit():
        return _vjp(y, bias)


MODES = [_vjp, _jvp_of_vjp, _transposed, _mapped, _checked, _without_jit]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_the_gradient_of_a_bias_is_the_number_of_places_in_every_mode(mode, dtype):
    y, bias = jnp.ones(MANY, dtype), jnp.zeros(4, dtype)
    gradient = mode(y, bias)
    assert gradient.dtype == dtype
    np.testing.assert_array_equal(gradient, jnp.full(4, 3000, dtype))


def test_the_taylor_series_of_adding_a_bias_is_that_of_a_sum():
    y, bias = jnp.asarray(Y, "float32"), jnp.ones(4)
    terms = [[jnp.ones_like(y), 2 * y], [3 * bias, bias]]
    value, series = jet.jet(add_bias, (y, bias), terms)
    np.testing.assert_array_equal(value, add_bias(y, bias))
    for term, of_y, of_bias in zip(series, *terms, strict=True):
        # jet divides by k! and multiplies by it.
        np.testing.assert_allclose(term, of_y + of_bias.reshape(1, 1, 4), rtol=1e-6, atol=1e-6)


def test_without_a_bias_nothing_is_added():
    y = jnp.asarray(Y)
    assert add_bias(y, None) is y
