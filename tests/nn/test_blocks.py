"""Blocks are the compositions that their docstrings name."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn import nn
from jaxcnn.errors import InputError
from jaxcnn.testing import conv_problems
from tests.cases import few


@few
@given(conv_problems(), st.sampled_from(["relu", "linear", jax.nn.silu]))
def test_a_normalised_convolution_is_its_three_steps(problem, activation):
    layer = nn.ConvNorm(
        problem.in_channels,
        problem.out_channels,
        problem.kernel_size,
        norm=partial(nn.BatchNorm, epsilon=1e-3),
        activation=activation,
        rngs=nnx.Rngs(0),
        **problem.kwargs,
    )
    assert layer.conv.bias is None
    assert layer.norm.epsilon == 1e-3
    x, *_ = problem.arrays()
    layer.norm.bias[...] = jnp.linspace(-1, 1, problem.out_channels)
    layer.eval()
    function = {"relu": jax.nn.relu, "linear": lambda y: y}.get(activation, activation)
    batch = x if x.ndim == len(problem.kernel_size) + 2 else x[None]
    np.testing.assert_array_equal(layer(batch), function(layer.norm(layer.conv(batch))))


@given(st.lists(st.integers(1, 4), min_size=0, max_size=3), st.integers(1, 4), st.integers(1, 3))
def test_each_channel_is_multiplied_by_a_function_of_the_means(sizes, channels, squeezed):
    layer = nn.SqueezeExcite(channels, squeezed, gate=jax.nn.hard_sigmoid, rngs=nnx.Rngs(0))
    x = np.random.default_rng(0).normal(size=(2, *sizes, channels)).astype(np.float32)
    means = x.reshape(2, -1, channels).mean(1)
    squeeze, expand = (np.asarray(each.kernel[...]) for each in (layer.squeeze, layer.expand))
    gates = np.clip(np.maximum(means @ squeeze, 0) @ expand / 6 + 0.5, 0, 1)
    want = x * gates.reshape(2, *(1 for _ in sizes), channels)
    np.testing.assert_allclose(layer(jnp.asarray(x)), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (partial(nn.ConvNorm, 3, 8, (3, 3), stride=0), "ConvNorm: Conv: stride must be"),
        (partial(nn.ConvNorm, 3, 8, (3, 3), activation="rleu"), 'ConvNorm: .*activation="relu"'),
        (
            partial(nn.SqueezeExcite, 8, 0),
            "SqueezeExcite: squeeze_channels must be",
        ),
        (partial(nn.SqueezeExcite, 8, 2, gate="sigmod"), 'SqueezeExcite: .*activation="sigmoid"'),
        (partial(nn.Dense, 8, 0), "Dense: out_features must be an integer >= 1"),
    ],
)
def test_an_impossible_option_is_refused_when_the_block_is_built(build, words):
    with pytest.raises(InputError, match=words):
        build(rngs=nnx.Rngs(0))


@pytest.mark.parametrize(
    ("build", "name"),
    [(partial(nn.SqueezeExcite, 8, 2), "channels"), (partial(nn.Dense, 8, 2), "in_features")],
)
def test_another_number_of_channels_is_refused_with_both_numbers(build, name):
    layer = build(rngs=nnx.Rngs(0))
    with pytest.raises(InputError, match=rf"^{type(layer).__name__}: x .* has 3 .*{name}=8; build"):
        layer(jnp.ones((2, 5, 3)))


def test_a_norm_that_is_none_is_refused_by_name():
    with pytest.raises(TypeError, match=r"ConvNorm: norm must be a function .*, got None; for a"):
        nn.ConvNorm(3, 8, (3, 3), norm=None, rngs=nnx.Rngs(0))
