"""Batch and layer normalisation are their formulas in float64, and keep the paper's statistics."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn import nn
from jaxcnn.errors import InputError

EPSILON = np.finfo(np.float32).eps

shapes = st.tuples(st.integers(2, 5)) | st.lists(st.integers(1, 5), min_size=1, max_size=4)


@st.composite
def inputs(draw):
    """An array (N, *spatial, channels) of numbers around an offset."""
    shape = (*draw(shapes), draw(st.integers(1, 4)))
    noise = np.random.default_rng(draw(st.integers(0, 999))).normal(size=shape)
    return (noise + draw(st.sampled_from([0, 3, -100]))).astype(np.float32)


def _normal(x, mean, var, norm):
    scale, bias = (np.asarray(v, np.float64) for v in (norm.scale[...], norm.bias[...]))
    return (x - mean) / np.sqrt(var + norm.epsilon) * scale + bias


def _tolerance(x, terms):
    """The error of means of ``terms`` numbers, as a part of the smallest deviation, 1/sqrt(eps)."""
    return 4 * (terms + 4) * EPSILON * np.abs(x).max() * 10


def _some_parameters(norm, channels):
    norm.scale[...] = jnp.linspace(0.5, 2, channels)
    norm.bias[...] = jnp.linspace(-1, 1, channels)
    return norm


@given(inputs(), st.sampled_from([0.5, 0.9, 0.99]), st.sampled_from([1e-5, 1e-3]))
def test_training_normalises_by_the_batch_and_keeps_unbiased_running_averages(x, momentum, epsilon):
    channels = x.shape[-1]
    norm = nn.BatchNorm(channels, momentum=momentum, epsilon=epsilon, rngs=nnx.Rngs(0))
    _some_parameters(norm, channels)
    flat = x.reshape(-1, channels).astype(np.float64)
    cells = len(flat)
    y = norm(jnp.asarray(x))
    spread = np.sqrt(flat.var(0) + epsilon)
    want = _normal(x, flat.mean(0), flat.var(0), norm)
    tolerance = _tolerance(x, cells) / spread.min()
    np.testing.assert_allclose(y, want, rtol=0, atol=tolerance * (1 + np.abs(want).max()))
    unbiased = flat.var(0, ddof=1) if cells > 1 else np.zeros(channels)
    error = _tolerance(x, cells)
    np.testing.assert_allclose(norm.mean[...], (1 - momentum) * flat.mean(0), rtol=0, atol=error)
    var = momentum + (1 - momentum) * unbiased
    np.testing.assert_allclose(norm.var[...], var, rtol=error, atol=error * np.abs(x).max())


@given(inputs())
def test_evaluation_normalises_by_the_running_averages_and_leaves_them(x):
    channels = x.shape[-1]
    norm = _some_parameters(nn.BatchNorm(channels, rngs=nnx.Rngs(0)), channels)
    mean, var = np.linspace(-1, 2, channels), np.linspace(0.5, 3, channels)
    norm.mean[...], norm.var[...] = jnp.asarray(mean, "float32"), jnp.asarray(var, "float32")
    norm.eval()
    y = norm(jnp.asarray(x))
    want = _normal(x.astype(np.float64), mean, var, norm)
    np.testing.assert_allclose(y, want, rtol=0, atol=20 * EPSILON * (3 + np.abs(x).max()))
    np.testing.assert_array_equal(norm.mean[...], mean.astype(np.float32))


def test_a_large_mean_does_not_spoil_the_variance():
    noise = np.random.default_rng(0).normal(size=(4096, 1))
    x = (noise + 1000).astype(np.float32)
    norm = nn.BatchNorm(1, momentum=0.0, rngs=nnx.Rngs(0))
    norm(jnp.asarray(x))
    # Rounding x to float32 moves each deviation by 3e-5; E[x^2] - E[x]^2 would be off by 0.06.
    np.testing.assert_allclose(norm.var[...], x.astype(np.float64).var(ddof=1), rtol=1e-3)


@given(inputs(), st.sampled_from(["float16", "bfloat16"]))
def test_sums_of_16_bit_numbers_are_taken_in_float32(x, dtype):
    narrow = jnp.asarray(x, dtype)
    for norm in (
        nn.BatchNorm(x.shape[-1], rngs=nnx.Rngs(0)),
        nn.LayerNorm(x.shape[-1], rngs=nnx.Rngs(0)),
    ):
        y = norm(narrow)
        assert y.dtype == narrow.dtype
        np.testing.assert_array_equal(y, norm(narrow.astype("float32")).astype(dtype))


@given(inputs())
def test_layer_normalisation_is_its_formula_for_each_cell(x):
    channels = x.shape[-1]
    norm = _some_parameters(nn.LayerNorm(channels, rngs=nnx.Rngs(0)), channels)
    wide = x.astype(np.float64)
    mean, var = wide.mean(-1, keepdims=True), wide.var(-1, keepdims=True)
    want = _normal(wide, mean, var, norm)
    slope = 1 / np.sqrt(var + norm.epsilon)
    error = _tolerance(x, channels) * slope * (1 + np.abs(want))
    assert (np.abs(norm(jnp.asarray(x)) - want) <= error).all()


def test_double_precision_stays_double():
    with jax.enable_x64(True):
        x = jnp.linspace(-1, 2, 24, dtype="float64").reshape(4, 6) ** 3
        for norm in (
            nn.BatchNorm(6, param_dtype="float64", rngs=nnx.Rngs(0)),
            nn.LayerNorm(6, param_dtype="float64", rngs=nnx.Rngs(0)),
        ):
            axis = 0 if isinstance(norm, nn.BatchNorm) else 1
            wide = np.asarray(x)
            mean, var = wide.mean(axis, keepdims=True), wide.var(axis, keepdims=True)
            np.testing.assert_allclose(norm(x), _normal(wide, mean, var, norm), rtol=0, atol=1e-13)


def test_a_number_of_channels_that_is_none_is_refused():
    for layer in (nn.BatchNorm, nn.LayerNorm):
        with pytest.raises(InputError, match=rf"{layer.__name__}: channels must be an integer"):
            layer(0, rngs=nnx.Rngs(0))


NORMS = (nn.BatchNorm, nn.LayerNorm)


@pytest.mark.parametrize("layer", NORMS)
@given(st.integers(1, 5), st.integers(1, 5), st.sampled_from([(), (2,), (2, 3, 3)]))
def test_another_number_of_channels_is_refused_with_both_numbers(layer, built, given, others):
    norm = layer(built, rngs=nnx.Rngs(0))
    x = jnp.ones((*others, given))
    if given == built:
        assert norm(x).shape == x.shape
        return
    with pytest.raises(InputError, match=f"^{layer.__name__}: x of shape .*channels={given}, or"):
        norm(x)


@pytest.mark.parametrize("layer", NORMS)
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"epsilon": 0.0}, InputError),
        ({"epsilon": -1e-5}, InputError),
        ({"epsilon": float("nan")}, InputError),
        ({"epsilon": "1e-5"}, TypeError),
        ({"momentum": 1.1}, InputError),
        ({"momentum": -0.1}, InputError),
        ({"momentum": None}, TypeError),
    ],
)
def test_an_impossible_number_is_refused_when_a_norm_is_built(layer, options, error):
    (name,) = options
    if name == "epsilon" or layer is nn.BatchNorm:
        with pytest.raises(error, match=f"^{layer.__name__}: {name} must be a number"):
            layer(3, **options, rngs=nnx.Rngs(0))


def test_an_empty_batch_leaves_the_running_averages():
    norm = nn.BatchNorm(3, rngs=nnx.Rngs(0))
    norm(jnp.linspace(-1, 2, 12).reshape(4, 3))
    before = norm.mean[...], norm.var[...]
    assert norm(jnp.ones((0, 5, 3))).shape == (0, 5, 3)
    np.testing.assert_array_equal((norm.mean[...], norm.var[...]), before)
