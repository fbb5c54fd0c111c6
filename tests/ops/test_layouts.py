"""Kernel layouts: conversion there and back is the identity; every axis keeps its meaning."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxcnn
from jaxcnn.errors import InputError
from jaxcnn.ops.conv_transpose import conv_transpose
from jaxcnn.ops.layouts import (
    kernel_from_keras,
    kernel_from_torch,
    kernel_to_keras,
    kernel_to_torch,
)
from jaxcnn.ops.separable import depthwise_conv

CONVERSIONS = [kernel_from_torch, kernel_to_torch, kernel_from_keras, kernel_to_keras]
shapes = st.lists(st.integers(1, 4), min_size=3, max_size=5).map(tuple)
libraries = pytest.mark.parametrize("library", [np, jnp], ids=["numpy", "jax"])


def whole(*shape):
    """Small whole numbers, so that sums of products are exact in float32."""
    return np.random.default_rng(sum(shape)).integers(-4, 5, shape).astype("float32")


@libraries
@given(shape=shapes)
def test_a_kernel_converted_there_and_back_is_the_same_array_of_the_same_library(library, shape):
    kernel = library.asarray(whole(*shape))
    for there, back in [
        (kernel_to_torch, kernel_from_torch),
        (kernel_from_torch, kernel_to_torch),
        (kernel_to_keras, kernel_from_keras),
        (kernel_from_keras, kernel_to_keras),
    ]:
        again = back(there(kernel))
        assert type(there(kernel)) is type(again) is type(kernel)
        np.testing.assert_array_equal(again, kernel)


def test_a_torch_weight_convolves_as_in_torch():
    # y[o, i] = sum over channels c of the group and taps f of x[c, i + f] * weight[o, c, f]
    weight, x, groups = whole(4, 2, 3), whole(4, 6), 2
    want = np.zeros((4, 4))
    for o, c, f in np.ndindex(4, 2, 3):
        want[o] += x[o // 2 * 2 + c, f : f + 4] * weight[o, c, f]
    y = jaxcnn.conv(jnp.asarray(x.T), jnp.asarray(kernel_from_torch(weight)), groups=groups)
    np.testing.assert_array_equal(y.T, want)


def test_a_transposed_torch_weight_convolves_as_in_torch():
    # y[o, i*stride + f] += x[c, i] * weight[c, o, f], o counted within the group of c
    weight, x, stride, groups = whole(4, 3, 2), whole(4, 5), 3, 2
    want = np.zeros((6, 14))
    for c, o, f in np.ndindex(4, 3, 2):
        want[c // 2 * 3 + o, f : f + 13 : stride] += x[c] * weight[c, o, f]
    kernel = jnp.asarray(kernel_from_torch(weight))
    y = conv_transpose(jnp.asarray(x.T), kernel, stride=stride, groups=groups)
    np.testing.assert_array_equal(y.T, want)


def test_a_depthwise_torch_weight_is_reshaped_to_a_depthwise_kernel():
    x, weight = jnp.asarray(whole(6, 5, 3)), whole(6, 1, 2, 2)
    kernel = jnp.asarray(kernel_from_torch(weight))
    np.testing.assert_array_equal(
        depthwise_conv(x, kernel.reshape(2, 2, 3, 2)), jaxcnn.conv(x, kernel, groups=3)
    )


def test_a_transposed_keras_kernel_is_a_kernel_of_conv_transpose():
    # Keras: kernel (*F, out, in); y[i*stride + f, o] += x[i, c] * kernel[f, o, c]
    kernel, x, stride = whole(2, 3, 4), whole(5, 4), 3
    want = np.zeros((14, 3))
    for f, o, c in np.ndindex(2, 3, 4):
        want[f : f + 13 : stride, o] += x[:, c] * kernel[f, o, c]
    y = conv_transpose(jnp.asarray(x), jnp.asarray(kernel_from_keras(kernel)), stride=stride)
    np.testing.assert_array_equal(y, want)


def test_a_depthwise_keras_kernel_is_a_kernel_of_depthwise_conv():
    # Keras: kernel (*F, C, M); y[i, c*M + m] += x[i + f, c] * kernel[f, c, m]
    kernel, x = whole(2, 3, 2), whole(5, 3)
    want = np.zeros((4, 6))
    for f, c, m in np.ndindex(2, 3, 2):
        want[:, c * 2 + m] += x[f : f + 4, c] * kernel[f, c, m]
    y = depthwise_conv(jnp.asarray(x), jnp.asarray(kernel_from_keras(kernel)))
    np.testing.assert_array_equal(y, want)


@pytest.mark.parametrize("convert", CONVERSIONS)
def test_an_array_with_too_few_axes_for_a_kernel_is_not_converted(convert):
    with pytest.raises(InputError, match=rf"{convert.__name__}: .*\(3, 4\) has 2 axes.*at least 3"):
        convert(np.ones((3, 4)))
    with pytest.raises(TypeError, match=rf"{convert.__name__}: .*list.*detach"):
        convert([[[1.0]]])
