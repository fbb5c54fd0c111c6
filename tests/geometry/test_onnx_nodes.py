"""ONNX's published node tests: their sizes, and the values that ONNX's specification defines.

The arrays are drawn. The published values were computed by the specification, which this file
implements in NumPy, independently of jaxcnn.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import jaxcnn
from jaxcnn.geometry.conventions import onnx
from jaxcnn.ops import adaptive, pool, unpool
from jaxcnn.ops.conv_transpose import conv_transpose
from jaxcnn.ops.layouts import kernel_from_torch
from jaxcnn.testing import assert_sums_close
from tests.geometry.onnx_nodes import NODES, Node


def by_specification(node, x, weight):
    """The operator's output by ONNX's specification, tap by tap, in NumPy and float64."""
    if node.operator == "ConvTranspose":
        return _transpose_by_specification(node, x, weight)
    at, spatial = node.attributes, np.array(x.shape[2:])
    window = np.array(at.get("kernel_shape", spatial) if weight is None else weight.shape[2:])
    ones = np.ones(len(spatial), int)
    stride, dilation = np.array(at.get("strides", ones)), np.array(at.get("dilations", ones))
    reach = (window - 1) * dilation + 1
    auto_pad = at.get("auto_pad", "NOTSET")
    if auto_pad == "NOTSET":
        begin, end = np.reshape(at.get("pads", (0,) * 2 * len(spatial)), (2, -1))
        steps = (spatial + begin + end - reach) / stride + 1
        output = (np.ceil if at.get("ceil_mode") else np.floor)(steps).astype(int)
        output -= (output - 1) * stride >= spatial + begin  # would start in the right padding
    else:
        output = -(-spatial // stride)
        total = np.maximum((output - 1) * stride + reach - spatial, 0)
        begin = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
        end = total - begin
    channels = x.shape[1] if weight is None else len(weight)
    y = np.full((len(x), channels, *output), -np.inf if "Max" in node.operator else 0.0)
    counted = np.zeros(output)
    for tap in np.ndindex(*window):
        cell = np.ix_(
            *(
                np.arange(k) * s + t * d - b
                for k, s, t, d, b in zip(output, stride, tap, dilation, begin, strict=True)
            )
        )
        real, padded = np.ones((2, *output), bool)
        for place, n, after in zip(cell, spatial, end, strict=True):
            real &= (place >= 0) & (place < n)
            padded &= place < n + after
        clipped = [np.clip(place, 0, n - 1) for place, n in zip(cell, spatial, strict=True)]
        cells = x[(slice(None), slice(None), *clipped)]
        counted += padded if at.get("count_include_pad") else real
        if node.operator == "Conv":
            y += real * np.einsum("nc...,oc->no...", cells, weight[(..., *tap)])
        elif "Max" in node.operator:
            y = np.where(real, np.maximum(y, cells), y)
        else:
            y += real * (cells if "Average" in node.operator else abs(cells) ** at.get("p", 2))
    if "Average" in node.operator:
        return y / counted
    return y ** (1 / at.get("p", 2)) if "Lp" in node.operator else y


def _transpose_by_specification(node, x, weight):
    at, spatial = node.attributes, np.array(x.shape[2:])
    window, ones = np.array(weight.shape[2:]), np.ones(len(spatial), int)
    stride, dilation = np.array(at.get("strides", ones)), np.array(at.get("dilations", ones))
    extra, groups = np.array(at.get("output_padding", 0 * ones)), at.get("group", 1)
    full = stride * (spatial - 1) + (window - 1) * dilation + 1
    begin, end = np.reshape(at.get("pads", (0,) * 2 * len(spatial)), (2, -1))
    output = full + extra - begin - end
    if "output_shape" in at or "auto_pad" in at:
        output = np.array(at.get("output_shape", spatial * stride))
        total = full + extra - output
        begin = total // 2 if at.get("auto_pad") == "SAME_UPPER" else total - total // 2
    per_group = weight.shape[1]
    y = np.zeros((len(x), per_group * groups, *output))
    for cell, tap in ((c, t) for c in np.ndindex(*spatial) for t in np.ndindex(*window)):
        at_cell = np.array(cell) * stride + np.array(tap) * dilation - begin
        if not ((at_cell >= 0) & (at_cell < output)).all():
            continue
        for channel in range(x.shape[1]):
            group = channel // (x.shape[1] // groups)
            some = slice(group * per_group, (group + 1) * per_group)
            y[(slice(None), some, *at_cell)] += np.multiply.outer(
                x[(slice(None), channel, *cell)], weight[(channel, slice(None), *tap)]
            )
    return y


def by_jaxcnn(node, x, weight):
    """The operator's output by jaxcnn, with ONNX's attributes unchanged."""
    at = dict(node.attributes)
    if weight is not None:
        at["kernel_shape"] = weight.shape[2:]
        kernel = jnp.asarray(kernel_from_torch(weight))
    x = jnp.asarray(np.moveaxis(x, 1, -1))
    if node.operator == "Conv":
        y = jaxcnn.conv(x, kernel, **onnx.conv(**at))
    elif node.operator == "ConvTranspose":
        y = conv_transpose(x, kernel, **onnx.conv_transpose(**at, sizes=x.shape[1:-1]))
    elif node.operator.startswith("Global"):
        name = {"GlobalMaxPool": "max", "GlobalAveragePool": "avg"}
        y = getattr(adaptive, f"global_{name[node.operator]}_pool")(x, keepdims=True)
    else:
        name = {"MaxPool": "max_pool", "AveragePool": "avg_pool", "LpPool": "lp_pool"}
        name = name[node.operator]
        y = getattr(pool, name)(x, **getattr(onnx, name)(**at))
    return np.moveaxis(np.asarray(y), -1, 1)


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.name)
def test_onnx_node_tests_have_their_published_sizes_and_the_specified_values(node):
    draws = np.random.default_rng(0)
    x = draws.normal(size=node.x)
    weight = None if node.weight is None else draws.normal(size=node.weight)
    want = by_specification(node, x, weight)
    with jax.enable_x64(True):
        got = by_jaxcnn(node, x, weight)
    assert got.shape[2:] == want.shape[2:] == node.output
    magnitude = by_specification(node, abs(x), None if weight is None else abs(weight))
    # A sum here has at most 125 terms; a fourth power, its root and a quotient add the rest.
    assert_sums_close(got, want, magnitude, roundings=150)


@st.composite
def transposes(draw):
    """A ConvTranspose along one axis, of any size that is not empty."""
    k, kernel_size, stride, dilation = (draw(st.integers(1, n)) for n in (4, 3, 4, 3))
    extra = draw(st.integers(0, max(stride, dilation) - 1))
    at = {"strides": (stride,), "dilations": (dilation,), "output_padding": (extra,)}
    full = (k - 1) * stride + dilation * (kernel_size - 1) + 1 + extra
    auto_pad = draw(st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER"]))
    if draw(st.booleans()):
        at |= {"output_shape": (draw(st.integers(1, full + 6)),), "auto_pad": auto_pad}
    elif auto_pad != "NOTSET":
        at |= {"auto_pad": auto_pad}
    else:
        at |= {"pads": (draw(st.integers(0, 4)), draw(st.integers(0, 4)))}
        assume(full > sum(at["pads"]))
    return Node("drawn", "ConvTranspose", (1, 2, k), (), (2, 1, kernel_size), at)


@given(transposes())
def test_onnx_transposed_convolutions_have_the_specified_values(node):
    draws = np.random.default_rng(0)
    x, weight = draws.normal(size=node.x), draws.normal(size=node.weight)
    want = by_specification(node, x, weight)
    with jax.enable_x64(True):
        got = by_jaxcnn(node, x, weight)
    magnitude = by_specification(node, abs(x), abs(weight))
    assert_sums_close(got, want, magnitude, roundings=2 * x.size * weight.size)


def test_onnx_max_pool_indices_of_a_ramp_are_its_values_less_one():
    ramp = np.arange(1.0, 26).reshape(5, 5, 1)  # published as maxpool_with_argmax_2d
    values, indices = unpool.max_pool_with_indices(ramp, **onnx.max_pool((5, 5), pads=(2,) * 4))
    np.testing.assert_array_equal(values[0, :, 0], [13, 14, 15, 15, 15])
    np.testing.assert_array_equal(indices, values - 1)


def test_onnx_max_pool_indices_of_storage_order_1_count_the_rows_first():
    ramp = np.arange(1.0, 26).reshape(5, 5, 1)  # maxpool_with_argmax_2d_precomputed_strides
    stated = onnx.max_pool((2, 2), strides=(2, 2))
    _, indices = unpool.max_pool_with_indices(ramp, **stated, index_order="column_major")
    np.testing.assert_array_equal(indices[..., 0], [[6, 16], [8, 18]])


def test_onnx_max_unpool_has_its_published_values_and_zeros_beyond():
    values = jnp.array([[5.0, 6.0], [7.0, 8.0]])[None, ..., None]  # maxunpool_export_*
    indices = jnp.array([[5, 7], [13, 15]])[None, ..., None]
    stated = onnx.max_unpool((2, 2), strides=(2, 2), sizes=(2, 2))
    want = np.zeros((5, 5))
    want[1:4:2, 1:4:2] = values[0, ..., 0]
    got = unpool.max_unpool(values, indices, **stated)
    np.testing.assert_array_equal(got[0, ..., 0], want[:4, :4])
    np.testing.assert_array_equal(jaxcnn.pad(got, ((0, 1), (0, 1)))[0, ..., 0], want)


@pytest.mark.parametrize(
    ("mode", "axis"),
    [
        ("reflect", [3, 2, 1, 2, 3, 4, 3, 2]),
        ("edge", [1, 1, 1, 2, 3, 4, 4, 4]),
        ("wrap", [3, 4, 1, 2, 3, 4, 1, 2]),
        ("constant", [5, 5, 1, 2, 3, 4, 5, 5]),
    ],
)
def test_onnx_modes_of_padding_fill_as_specified(mode, axis):
    x = jnp.array([1, 2, 3, 4])[None, :, None]
    for axes, pads in ((None, (0, 0, 2, 0, 0, 2)), ((2,), (2, 2)), ((-1,), (2, 2))):
        stated = onnx.pad(pads, mode=mode, constant_value=5, axes=axes, rank=3)
        np.testing.assert_array_equal(jaxcnn.pad(x, **stated)[0, :, 0], axis)


@pytest.mark.parametrize(
    ("mode", "before", "after"),
    [  # of 1234 with pads (2, -1) and (-1, 2) in ONNX Runtime 1.32
        ("reflect", [3, 2, 1, 2, 3], [2, 3, 4, 3, 2]),
        ("edge", [1, 1, 1, 2, 3], [2, 3, 4, 4, 4]),
        ("wrap", [2, 3, 1, 2, 3], [2, 3, 4, 2, 3]),
        ("constant", [0, 0, 1, 2, 3], [2, 3, 4, 0, 0]),
    ],
)
def test_onnx_negative_pads_cut_before_the_rest_is_filled(mode, before, after):
    x = jnp.array([1, 2, 3, 4])[None, :, None]
    for pads, want in (((2, -1), before), ((-1, 2), after)):
        stated = onnx.pad(pads, mode=mode, axes=(2,), rank=3)
        np.testing.assert_array_equal(jaxcnn.pad(x, **stated)[0, :, 0], want)
