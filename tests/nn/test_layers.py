"""Layers: their parameters, how they start, and that they compute what the operation does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given

import jaxcnn
from jaxcnn import nn
from jaxcnn.activations import ACTIVATIONS
from jaxcnn.testing import assert_lowers, conv_problems, pool_problems
from tests.cases import few


def _layer(problem, **arguments):
    return nn.Conv(
        problem.in_channels,
        problem.out_channels,
        problem.kernel_size,
        use_bias=problem.use_bias,
        rngs=nnx.Rngs(problem.seed),
        **problem.kwargs,
        **arguments,
    )


@few
@given(conv_problems())
def test_a_layer_is_the_activation_of_the_convolution_with_its_parameters(problem):
    layer = _layer(problem, activation="relu")
    x, *_ = problem.arrays()
    if problem.use_bias:
        layer.bias[...] = problem.arrays()[2]
    bias = None if layer.bias is None else layer.bias[...]
    want = jax.nn.relu(jaxcnn.conv(x, layer.kernel[...], bias, **problem.kwargs))
    np.testing.assert_array_equal(layer(x), want)


@few
@given(pool_problems())
def test_a_pooling_layer_is_the_pool(problem):
    x, window, kwargs = problem.arrays()[0], problem.kernel_size, problem.kwargs
    pairs = {"max": (nn.MaxPool, jaxcnn.max_pool), "avg": (nn.AvgPool, jaxcnn.avg_pool)}
    layer, pool = pairs[problem.kind]
    np.testing.assert_array_equal(layer(window, **kwargs)(x), pool(x, window, **kwargs))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_seed_gives_the_same_layer_and_another_seed_another(seed):
    first, again, other = (
        np.asarray(nn.Conv(4, 4, (3,), rngs=nnx.Rngs(s)).kernel[...])
        for s in (seed, seed, seed + 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not (first == other).any()


@few
@given(conv_problems())
def test_parameters_have_the_shapes_of_the_arrays_they_stand_for(problem):
    layer = _layer(problem)
    assert layer.kernel.shape == problem.kernel_shape
    assert (layer.bias is not None) == problem.use_bias
    if problem.use_bias:
        np.testing.assert_array_equal(layer.bias[...], np.zeros(problem.out_channels))


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_weights_start_with_variance_gain_over_fan_in(name, groups):
    layer = nn.Conv(16, 64, (3, 3), groups=groups, activation=name, rngs=nnx.Rngs(0))
    weights = np.asarray(layer.kernel[...], np.float64)
    variance = ACTIVATIONS[name].gain / (9 * 16 // groups)
    # Of n normal draws the mean square deviates by sqrt(2/n) of itself, one standard deviation; of
    # truncated ones by less. Five of them are exceeded once in a million seeds.
    assert abs(np.mean(weights**2) / variance - 1) < 5 * np.sqrt(2 / weights.size)
    assert abs(np.mean(weights)) < 5 * np.sqrt(variance / weights.size)
    # A normal cut off at two deviations keeps 0.8796 of its own; a uniform would end at sqrt(3).
    assert 1.9 < abs(weights).max() / np.sqrt(variance) <= 2 / 0.8796


@pytest.mark.parametrize("name", ["linear", "relu", "leaky_relu"])
def test_a_gain_makes_up_for_what_the_activation_takes_from_a_normal_signal(name):
    # E[f(z)^2] for z ~ N(0, 1); f is linear on each side of zero, and quadrature exact.
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    squares = np.asarray(ACTIVATIONS[name].function(jnp.asarray(nodes)), np.float64) ** 2
    mean = np.sum(weights * squares) / np.sqrt(2 * np.pi)
    assert abs(ACTIVATIONS[name].gain * mean - 1) < 1e-6


@pytest.mark.parametrize(
    ("x_dtype", "param_dtype", "dtype", "want"),
    [
        ("float32", "float32", None, "float32"),
        ("bfloat16", "float32", None, "float32"),
        ("bfloat16", "bfloat16", None, "bfloat16"),
        ("float32", "float32", "bfloat16", "bfloat16"),
        ("uint8", "float32", None, "float32"),
    ],
)
def test_dtype_is_what_is_computed_in_and_param_dtype_what_is_kept(
    x_dtype, param_dtype, dtype, want
):
    layer = nn.Conv(1, 2, (3,), dtype=dtype, param_dtype=param_dtype, rngs=nnx.Rngs(0))
    assert layer.kernel.dtype == layer.bias.dtype == param_dtype
    assert jax.eval_shape(lambda: layer(jnp.ones((5, 1), x_dtype))).dtype == want


def test_layers_and_their_gradients_lower_for_every_platform():
    layer = nn.Conv(1, 2, (3, 3), stride=2, activation="gelu", rngs=nnx.Rngs(0))
    definition, state = nnx.split(layer)
    x = jnp.ones((2, 7, 7, 1))

    def run(state, x):
        return nnx.merge(definition, state)(x)

    assert_lowers(run, (state, x), returns=jax.ShapeDtypeStruct((2, 3, 3, 2), "float32"))
    assert_lowers(jax.grad(lambda state, x: run(state, x).sum()), (state, x))
    for pool in (nn.MaxPool(2), nn.AvgPool(2, rounding="floor")):
        image = x[:, :6, :6]
        assert_lowers(pool, (image,), returns=jax.ShapeDtypeStruct((2, 3, 3, 1), "float32"))
