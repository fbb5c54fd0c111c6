"""Upsampling and deformable convolution agree with PyTorch's and torchvision's."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from jaxcnn import ops
from jaxcnn.geometry.conventions import pytorch
from jaxcnn.ops.layouts import kernel_from_torch
from tests.cases import few
from tests.torch.compare import assert_same

pytestmark = pytest.mark.torch


def channels_last(operation):
    return lambda x: jnp.moveaxis(operation(jnp.moveaxis(x, 1, -1)), -1, 1)


@st.composite
def interpolations(draw):
    """(x, PyTorch's arguments) of an interpolation to a size, or by a factor."""
    axes = draw(st.integers(1, 3))
    linear = ("linear", "bilinear", "trilinear")[axes - 1]
    mode = draw(st.sampled_from(["nearest", "nearest-exact", linear]))
    size = tuple(draw(st.integers(1, 5)) for _ in range(axes))
    arguments = {"mode": mode}
    if mode == linear:
        arguments["align_corners"] = draw(st.booleans())
    if draw(st.booleans()):
        arguments["size"] = tuple(draw(st.integers(1, 7)) for _ in range(axes))
    else:
        arguments["scale_factor"] = tuple(
            draw(st.sampled_from([1, 1.5, 2, 3])) for _ in range(axes)
        )
    x = np.random.default_rng(draw(st.integers(0, 99))).normal(size=(2, 2, *size))
    return x, arguments


@given(interpolations())
def test_upsampling_agrees_with_pytorch(problem):
    x, arguments = problem
    ours = partial(ops.upsample, **pytorch.upsample(**arguments))
    # PyTorch multiplies the shares of the axes, computed from rounded coordinates.
    assert_same(
        partial(functional.interpolate, **arguments),
        channels_last(ours),
        (x,),
        roundings=8 * x.size + 64,
    )


@few
@given(st.data())
def test_deformable_convolution_agrees_with_torchvision(data):
    deform_conv2d = pytest.importorskip("torchvision").ops.deform_conv2d

    def each(least, most):
        return tuple(data.draw(st.integers(least, most)) for _ in range(2))

    groups, parts = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 2))
    kernel_size, stride, dilation, padding = each(1, 3), each(1, 2), each(1, 2), each(0, 2)
    reach = [d * (f - 1) + 1 for f, d in zip(kernel_size, dilation, strict=True)]
    size = [n + data.draw(st.integers(0, 2)) for n in reach]
    layout = zip(size, padding, reach, stride, strict=True)
    places = [(n + 2 * p - r) // s + 1 for n, p, r, s in layout]
    taps = kernel_size[0] * kernel_size[1]
    draws = np.random.default_rng(data.draw(st.integers(0, 99)))
    offset = draws.normal(size=(2, 2 * parts * taps, *places)) * 1.5
    if data.draw(st.booleans()):  # at the kinks of interpolation
        offset = np.round(offset)
    x, kernel, bias, mask = (
        draws.uniform(0.5, 1, shape)
        for shape in (
            (2, 4, *size),
            (2 * groups, 4 // groups, *kernel_size),
            (2 * groups,),
            (2, parts * taps, *places),
        )
    )
    stated = {"stride": stride, "padding": padding, "dilation": dilation}

    def theirs(x, offset, kernel, bias, mask):
        return deform_conv2d(x, offset, kernel, bias, mask=mask, **stated)

    def ours(x, offset, kernel, bias, mask):
        x, offset, mask = (jnp.moveaxis(a, 1, -1) for a in (x, offset, mask))
        given_to = pytorch.conv(kernel_size, groups=groups, **stated)
        y = ops.deform_conv(x, offset, kernel_from_torch(kernel), bias, mask=mask, **given_to)
        return jnp.moveaxis(y, -1, 1)

    assert_close(theirs, ours, (x, offset, kernel, bias, mask))


def assert_close(theirs, ours, arrays):
    """Checks the value and all gradients: their terms are products of numbers below 4."""
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    y = theirs(*tensors)
    cotangent = np.random.default_rng(1).normal(size=y.shape)
    want = torch.autograd.grad(y, tensors, torch.tensor(cotangent))
    with jax.enable_x64(True):

        @jax.jit
        def both(arrays, cotangent):
            value, pull_back = jax.vjp(ours, *arrays)
            return value, pull_back(cotangent)

        value, got = both(tuple(map(jnp.asarray, arrays)), jnp.asarray(cotangent))
    terms = 4 * arrays[2].size * y.numel()
    close = partial(np.testing.assert_allclose, rtol=0, atol=64 * terms * 2**-52)
    close(value, y.detach().numpy())
    for mine, other in zip(got, want, strict=True):
        close(mine, other.numpy())
