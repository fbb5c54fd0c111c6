"""Resampling: shuffles move cells by the formula; blurring is a convolution."""

from __future__ import annotations

import math
from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.geometry.padding_mode import check_padding_mode
from jaxcnn.ops import resample
from jaxcnn.reference import resample as reference_resample
from jaxcnn.shapes.resample import ORDERS, binomial
from jaxcnn.testing import assert_sums_close, pool_problems
from tests.cases import DTYPES, few

both = pytest.mark.parametrize("form", [resample, reference_resample], ids=["fast", "reference"])


@st.composite
def shuffles(draw):
    """(coarse sizes, factors, channels, order, leading shape)"""
    axes = draw(st.integers(1, 3))
    coarse = tuple(draw(st.integers(1, 3)) for _ in range(axes))
    factors = tuple(draw(st.integers(1, 3)) for _ in range(axes))
    batch = draw(st.sampled_from([(), (0,), (2,)]))
    return coarse, factors, draw(st.integers(1, 3)), draw(st.sampled_from(ORDERS)), batch


@both
@given(case=shuffles())
def test_a_shuffle_moves_each_channel_to_the_place_of_the_formula(form, case):
    coarse, factors, channels, order, batch = case
    block = math.prod(factors)
    x = np.arange(math.prod((*batch, *coarse)) * channels * block)
    x = x.reshape(*batch, *coarse, channels * block)
    y = np.asarray(form.pixel_shuffle(jnp.asarray(x), factors, order=order))
    assert y.shape == (*batch, *(n * r for n, r in zip(coarse, factors, strict=True)), channels)
    for cell, offset in product(np.ndindex(*coarse), np.ndindex(*factors)):
        fine = tuple(h * r + i for h, r, i in zip(cell, factors, offset, strict=True))
        number = np.ravel_multi_index(offset, factors)
        for c in range(channels):
            source = c * block + number if order == "CRD" else number * channels + c
            np.testing.assert_array_equal(y[(..., *fine, c)], x[(..., *cell, source)])


@few
@both
@given(case=shuffles())
def test_unshuffling_undoes_shuffling(form, case):
    coarse, factors, channels, order, batch = case
    x = jnp.arange(math.prod((*batch, *coarse)) * channels * math.prod(factors))
    x = x.reshape(*batch, *coarse, -1) if x.size else jnp.zeros((0, *coarse, math.prod(factors)))
    y = form.pixel_shuffle(x, factors, order=order)
    np.testing.assert_array_equal(form.pixel_unshuffle(y, factors, order=order), x)


@both
def test_one_shuffle_factor_applies_to_all_spatial_axes_of_a_batch(form):
    x = jnp.ones((2, 3, 4, 8))
    assert form.pixel_shuffle(x, 2).shape == (2, 6, 8, 2)
    assert form.pixel_unshuffle(x[:, :2], 2).shape == (2, 1, 2, 32)


@pytest.mark.parametrize("kernel_size", range(1, 8))
def test_blur_weights_are_repeated_convolutions_of_two_halves(kernel_size):
    weights = np.ones(1)
    for _ in range(kernel_size - 1):
        weights = np.convolve(weights, [0.5, 0.5])
    np.testing.assert_array_equal(binomial(kernel_size), weights)


@st.composite
def blurs(draw, **bounds):
    """A pool's problem with the blur's window, and a padding mode that can fill its padding."""
    bounds = {"kinds": ("avg",), "roundings": ("exact", "floor"), "max_dilation": 1} | bounds
    problem = draw(pool_problems(**bounds))
    able = []
    for padding_mode in ("zeros", "reflect", "replicate", "circular"):
        try:
            check_padding_mode(padding_mode, problem.shapes().windows, "exact")
        except ValueError:
            continue
        able.append(padding_mode)
    return problem, draw(st.sampled_from(able))


def arguments(problem, padding_mode):
    names = ("stride", "padding", "rounding")
    chosen = {name: problem.kwargs[name] for name in names}
    return {"kernel_size": problem.kernel_size, "padding_mode": padding_mode} | chosen


def convolved(problem, padding_mode, x):
    """The blur as a sum over the kernel's taps of the padded x, in NumPy and float64."""
    around = [(0, 0)] * (x.ndim - 1 - len(problem.size)) + [*problem.shapes().paddings, (0, 0)]
    modes = {"zeros": "constant", "replicate": "edge", "circular": "wrap"}
    padded = np.pad(x, around, mode=modes.get(padding_mode, padding_mode))
    y = np.zeros(problem.output_shape)
    for tap in np.ndindex(*problem.kernel_size):
        cells = tuple(
            slice(f, f + s * (k - 1) + 1, s)
            for f, s, k in zip(tap, problem.stride, problem.shapes().spatial, strict=True)
        )
        share = math.prod(binomial(n)[f] for n, f in zip(problem.kernel_size, tap, strict=True))
        y += share * padded[(..., *cells, slice(None))]
    return y


@both
@given(case=blurs(dtypes=DTYPES))
def test_blurring_is_a_depthwise_convolution_of_the_padded_input(form, case):
    problem, padding_mode = case
    with problem.x64():
        (x,) = problem.arrays()
        got = jax.jit(partial(form.blur_pool, **arguments(problem, padding_mode)))(x)
    assert got.shape == problem.output_shape
    assert got.dtype == x.dtype
    x = np.asarray(x).astype(np.float64)
    # On each axis a product and the sum; all together in the definition.
    roundings = sum(problem.kernel_size) + math.prod(problem.kernel_size) + 2
    want, magnitude = (convolved(problem, padding_mode, x) for x in (x, abs(x)))
    assert_sums_close(got, want, magnitude, roundings=roundings)


@few
@given(blurs(dtypes=("float32", "float64"), max_cells=16))
def test_the_gradient_of_blurring_is_that_of_its_reference(case):
    problem, padding_mode = case
    gradients = []
    with problem.x64():
        (x,) = problem.arrays()
        for form in (resample, reference_resample):

            def blur(x, form=form):
                return form.blur_pool(x, **arguments(problem, padding_mode))

            @jax.jit
            def gradient(x, cotangent, blur=blur):
                return jax.vjp(blur, x)[1](cotangent)[0]

            cotangent = problem.random_array(problem.output_shape, 9)
            gradients.append(gradient(x, cotangent))
            magnitude = gradient(x, abs(cotangent))
    # A cell has copies in the padding, and meets every tap.
    copies = math.prod(1 + sum(w.padding) for w in problem.shapes().windows)
    roundings = 2 * (copies + sum(problem.kernel_size) + math.prod(problem.kernel_size))
    assert_sums_close(*gradients, magnitude, roundings=roundings)


@both
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [7, 8])
def test_blurring_keeps_a_constant_image(form, kernel_size, size):
    x = jnp.full((1, size, size, 2), 3.0)
    np.testing.assert_array_equal(
        form.blur_pool(x, kernel_size=kernel_size, rounding="floor")[0, 0, 0], [3, 3]
    )


@both
@pytest.mark.parametrize("kernel_size", [1, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [8, 9])
def test_blurred_outputs_are_centred_on_every_stride_th_cell_from_the_first(
    form, kernel_size, stride, size
):
    ramp = jnp.arange(float(size)).reshape(-1, 1)
    y = form.blur_pool(ramp, kernel_size=(kernel_size,), stride=stride, rounding="floor")
    assert len(y) == -(-size // stride)
    inner = slice(kernel_size // stride, len(y) - kernel_size // stride)
    # On a ramp, a symmetric kernel returns the cell in its middle.
    np.testing.assert_array_equal(y[inner, 0], np.arange(0.0, size, stride)[inner])
