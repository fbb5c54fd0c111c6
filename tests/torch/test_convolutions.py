"""Convolutions agree with PyTorch's, given its convention and the kernel converted from it."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

import jaxcnn
from jaxcnn.geometry.conventions import pytorch
from jaxcnn.ops.conv_transpose import conv_transpose
from jaxcnn.ops.layouts import kernel_from_torch, kernel_to_torch
from tests.torch.compare import assert_same

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:Using padding='same'")]


@st.composite
def problems(draw, *, transposed):
    """(arrays, PyTorch's arguments) of a possible convolution."""
    axes = draw(st.integers(1, 3))

    def each(least, most):
        return tuple(draw(st.integers(least, most)) for _ in range(axes))

    filters, dilation = each(1, 3), each(1, 3)
    stride, padding = each(1, 3), each(0, 2)
    reach = [d * (f - 1) + 1 for f, d in zip(filters, dilation, strict=True)]
    arguments = {"stride": stride, "dilation": dilation, "padding": padding}
    if transposed:
        # Half of the cases have the largest output_padding that PyTorch accepts; a cell remains.
        most = tuple(max(s, d) - 1 for s, d in zip(stride, dilation, strict=True))
        extra = most if draw(st.booleans()) else tuple(draw(st.integers(0, n)) for n in most)
        lost = [2 * p - r for p, r in zip(padding, reach, strict=True)]
        least = [max(0, -(-(n + 1) // s)) for n, s in zip(lost, stride, strict=True)]
        arguments["output_padding"] = extra
    elif draw(st.booleans()) and max(stride) == 1:
        arguments["padding"] = "same"
        least = [0] * axes
    else:
        least = [max(0, r - 2 * p - 1) for r, p in zip(reach, padding, strict=True)]
    size = tuple(n + draw(st.integers(1, 3)) for n in least)
    groups, into, out = (draw(st.integers(1, 2)) for _ in range(3))
    arguments["groups"] = groups
    shape = (groups * into, out) if transposed else (groups * out, into)
    draws = np.random.default_rng(draw(st.integers(0, 99)))
    arrays = (
        draws.normal(size=(draw(st.integers(1, 2)), groups * into, *size)),
        draws.normal(size=(*shape, *filters)),
        draws.normal(size=groups * out),
    )
    return arrays, arguments


def ours(convolve, arguments):
    def call(x, weight, bias):
        y = convolve(jnp.moveaxis(x, 1, -1), kernel_from_torch(weight), bias, **arguments)
        return jnp.moveaxis(y, -1, 1)

    return call


def terms(arrays):
    """An upper bound on terms: sums are over taps and channels, or over outputs and examples."""
    return 8 * math.prod(arrays[0].shape) * math.prod(arrays[1].shape)


@given(problems(transposed=False))
def test_convolutions_agree_with_pytorch(problem):
    arrays, arguments = problem
    axes = arrays[0].ndim - 2
    theirs = getattr(functional, f"conv{axes}d")
    stated = pytorch.conv(arrays[1].shape[2:], **arguments)
    assert_same(
        lambda *tensors: theirs(*tensors, **arguments),
        ours(jaxcnn.conv, stated),
        arrays,
        roundings=terms(arrays),
    )


@given(problems(transposed=True))
def test_transposed_convolutions_agree_with_pytorch(problem):
    arrays, arguments = problem
    axes = arrays[0].ndim - 2
    theirs = getattr(functional, f"conv_transpose{axes}d")
    stated = pytorch.conv_transpose(arrays[1].shape[2:], **arguments)
    assert_same(
        lambda *tensors: theirs(*tensors, **arguments),
        ours(conv_transpose, stated),
        arrays,
        roundings=terms(arrays),
    )


@given(problems(transposed=False))
def test_a_kernel_converted_to_pytorch_and_back_is_the_same(problem):
    (_, weight, _), _ = problem
    np.testing.assert_array_equal(kernel_to_torch(kernel_from_torch(weight)), weight)
