"""A convolution with its bias in one operation is the two one after the other, in every way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn.convolve import biased, fence, onednn_closed
from jaxcnn.testing import assert_sums_close
from tests.convolve.drawn import numbers

SHAPES = {
    "dense": ((2, 12, 12, 16), (3, 3, 16, 32), {"padding": 1}),
    "strided groups": ((2, 13, 13, 16), (3, 3, 4, 16), {"padding": 1, "stride": 2, "groups": 4}),
    "no batch": ((9, 9, 3), (3, 3, 3, 8), {}),
    "small": ((1, 4, 2), (2, 2, 1), {}),
}


def _case(name):
    x_shape, kernel_shape, arguments = SHAPES[name]
    shapes = (x_shape, kernel_shape, kernel_shape[-1:])
    arrays = tuple(jnp.asarray(numbers(shape, i), "float32") for i, shape in enumerate(shapes))

    def together(x, kernel, bias):
        return jaxcnn.conv(x, kernel, bias, **arguments)

    def apart(x, kernel, bias):
        return jax.lax.optimization_barrier(jaxcnn.conv(x, kernel, **arguments)) + bias

    return arrays, together, apart


def _hold(got, want, terms):
    for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        bound = jnp.full(ours.shape, jnp.abs(theirs).max() + terms)
        assert_sums_close(ours, theirs, bound, roundings=terms, dtype="float32")


@pytest.mark.parametrize("name", SHAPES)
def test_values_and_derivatives_are_those_of_the_two_apart(name):
    arrays, together, apart = _case(name)
    terms = 2 * int(np.prod(arrays[1].shape[:-1])) * 32

    def loss(function):
        return lambda *a: jnp.sum(jnp.sin(function(*a)))

    _hold(jax.jit(together)(*arrays), apart(*arrays), terms)
    every = (0, 1, 2)
    _hold(jax.grad(loss(together), every)(*arrays), jax.grad(loss(apart), every)(*arrays), terms)
    _hold(jax.jvp(together, arrays, arrays), jax.jvp(apart, arrays, arrays), terms)
    batched = tuple(jnp.stack([a, 2 * a]) for a in arrays)
    _hold(jax.vmap(together)(*batched), jax.vmap(apart)(*batched), 4 * terms)
    of_bias = jax.vmap(together, (None, None, 0))(*arrays[:2], batched[2])
    _hold(of_bias, jax.vmap(apart, (None, None, 0))(*arrays[:2], batched[2]), terms)
    _hold(
        jax.jvp(jax.grad(loss(together)), arrays, arrays),
        jax.jvp(jax.grad(loss(apart)), arrays, arrays),
        4 * terms,
    )


def test_a_call_from_python_is_compiled_once():
    arrays, together, _ = _case("dense")
    together(*arrays)
    known = biased._compiled._cache_size()
    together(*arrays)
    assert biased._compiled._cache_size() == known > 0


@pytest.mark.skipif(bool(fence.closed_because()), reason=str(fence.closed_because()))
def test_the_bias_comes_in_onednn_s_pass_where_it_is_open():
    arrays, together, _ = _case("dense")
    assert "BIAS" in jax.jit(together).lower(*arrays).as_text()
    with onednn_closed():
        jax.clear_caches()
        assert "__onednn" not in jax.jit(together).lower(*arrays).as_text()
    jax.clear_caches()


def test_a_nan_is_not_hidden_by_an_activation():
    """oneDNN's own ReLU would make 0 of it."""
    (x, kernel, bias), _, _ = _case("dense")
    y = jaxcnn.conv(x.at[0, 5, 5, 0].set(jnp.nan), kernel, bias, padding=1, activation="relu")
    assert int(jnp.isnan(y).sum()) == 9 * kernel.shape[-1]
