"""Convolutions and pools with every setting that lax has, as ONNX."""

from collections import Counter

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

import jaxcnn
from jaxcnn.convolve import conv_general_dilated
from jaxcnn.errors import InputError
from tests.cases import scaled
from tests.exchange.programs import assert_reproduced, graph_of, whole_numbers


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("onnx")


@st.composite
def convolutions(draw):
    """(function, shape of an image): a convolution of images in any layout."""
    rank = draw(st.integers(1, 3))
    axes = range(rank)
    sizes = [draw(st.integers(3, 6)) for _ in axes]
    kernel_size = [draw(st.integers(1, 3)) for _ in axes]
    spread = [draw(st.sampled_from([1, 1, 2, 3])) for _ in axes]
    dilation = [draw(st.integers(1, 2)) for _ in axes]
    pads = []
    for size, taps, step, each in zip(sizes, kernel_size, spread, dilation, strict=True):
        low, high = draw(st.integers(-1, 4)), draw(st.integers(-1, 4))
        cells, extent = (size - 1) * step + 1, (taps - 1) * each + 1
        pads.append((low, max(high, extent - cells - low)))
    transposed = any(step > 1 for step in spread) and draw(st.booleans())
    strides = [1 if transposed else draw(st.integers(1, 3)) for _ in axes]
    groups = draw(st.integers(1, 3))
    channels, out_channels = (groups * draw(st.integers(1, 2)) for _ in range(2))
    kernel = whole_numbers((out_channels, channels // groups, *kernel_size))
    # lax's layout: the place of batch, channels and spatial axes in each array.
    images = (0, *draw(st.permutations(range(1, rank + 2))))
    weights, maps = (tuple(draw(st.permutations(range(rank + 2)))) for _ in range(2))
    shape = [0] * (rank + 2)
    for place, size in zip(images, (0, channels, *sizes), strict=True):
        shape[place] = size
    numbers = lax.ConvDimensionNumbers(images, weights, maps)
    rhs = np.transpose(kernel, np.argsort(weights))
    convolve = draw(st.sampled_from([conv_general_dilated, lax.conv_general_dilated]))

    def function(x):
        return convolve(
            x,
            jnp.asarray(rhs),
            strides,
            pads,
            lhs_dilation=spread,
            rhs_dilation=dilation,
            dimension_numbers=numbers,
            feature_group_count=groups,
        )

    return function, tuple(shape[1:])


@scaled(6)
@given(convolutions())
def test_a_convolution_with_any_setting_is_reproduced_exactly(folder, convolution):
    function, shape = convolution
    assert_reproduced(function, shape, folder)


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("spread", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
def test_what_is_added_to_the_channels_or_multiplies_them_is_folded(folder, groups, spread, fold):
    kernel, factor, term = (whole_numbers(s) for s in ((3, 3, 4 // groups, 6), 6, 6))

    def function(x):
        y = lax.conv_general_dilated(
            x,
            jnp.asarray(kernel),
            (1, 1),
            ((2, 1), (1, 2)),
            lhs_dilation=(spread, spread),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )
        return 1 - ((y - term[None, None, None]) * factor[None, None, None] + 3) / 2

    graph = assert_reproduced(function, (5, 6, 4), folder, fold=fold)
    operators = [node.operator for node in graph.nodes]
    assert ("Mul" in operators) is not fold
    assert operators.count("Transpose") == 2


def test_a_convolution_read_twice_is_not_folded(folder):
    kernel = jnp.ones((1, 1, 2, 3))

    def function(x):
        y = lax.conv_general_dilated(
            x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return y * 2, y + 1

    graph = assert_reproduced(function, (2, 3, 2), folder, fold=True)
    assert {"Mul", "Add"} <= {node.operator for node in graph.nodes}


@pytest.mark.parametrize("keepdims", [False, True])
def test_a_sum_that_is_divided_by_its_count_is_a_mean(folder, keepdims):
    def function(x):
        means = x.mean((1, 2), keepdims=keepdims), x.mean(3)
        pools = [f(x, window_shape=(2, 2), strides=(2, 2)) for f in (nnx.avg_pool,)]
        return *means, *pools, x.sum(1) / 5, nnx.relu(x * 4 / 4)

    graph = assert_reproduced(function, (4, 6, 2), folder, fold=True, rtol=2**-22, atol=2**-22)
    operators = Counter(node.operator for node in graph.nodes)
    assert (operators["ReduceMean"], operators["ReduceSum"], operators["Div"]) == (2, 1, 2)
    assert operators["AveragePool"] == operators["Mul"] == 1


def test_a_factor_that_is_divided_by_itself_behind_a_convolution_is_folded(folder):
    kernel = jnp.asarray(whole_numbers((3, 3, 2, 4)))
    assert_reproduced(
        lambda x: nnx.relu(jaxcnn.conv(x, kernel) * 3 / 3), (5, 5, 2), folder, fold=True, rtol=2**-20
    )


def test_a_sum_of_more_cells_than_float16_counts_is_finite(folder):
    def function(x):
        return lax.reduce_window(x / 64, np.float16(0), lax.add, (1, 256, 256), (1, 1, 1), "VALID")

    assert_reproduced(function, (256, 256), folder, "float16", rtol=2**-6, atol=2**-2)


def test_groups_of_the_batch_become_groups_of_channels(folder):
    kernel = jnp.asarray(whole_numbers((3, 3, 2, 4)))

    def function(x):
        twice = jnp.concatenate([x, 2 * x])
        return lax.conv_general_dilated(
            twice,
            kernel,
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            batch_group_count=2,
        )

    assert_reproduced(function, (4, 5, 2), folder)


def test_a_kernel_that_depends_on_the_images_is_no_constant(folder):
    def function(x):
        kernel = x.sum(0)[..., None]
        spread = {"lhs_dilation": (2, 2), "dimension_numbers": ("NHWC", "HWIO", "NHWC")}
        return lax.conv_general_dilated(x, kernel, (1, 1), ((0, 0), (0, 0)), **spread)

    assert_reproduced(function, (3, 2, 1), folder)


def test_a_convolution_of_integers_is_refused_by_name():
    def function(x):
        return lax.conv(x, jnp.ones((1, 1, 2, 2), "int32"), (1, 1), "VALID")

    with pytest.raises(InputError, match=r"conv_general_dilated \(test_windows.py:\d+\) of int32"):
        graph_of(function, (1, 4, 4), "int32")


@st.composite
def pools(draw):
    """(function, shape, dtype): a pool over any axes."""
    rank = draw(st.integers(1, 4))
    sizes = [draw(st.integers(2, 5)) for _ in range(rank)]
    cells, each = (1, *sizes), []
    for axis, size in enumerate(cells):
        if axis == 0 or draw(st.integers(0, 2)) == 0:
            each.append((1, 1, (0, 0), 1, 1))
            continue
        taps, dilation, base = (draw(st.integers(1, most)) for most in (3, 2, 2))
        low, high = draw(st.integers(-1, 3)), draw(st.integers(-1, 3))
        extent, inside = (taps - 1) * dilation + 1, (size - 1) * base + 1
        high = max(high, extent - inside - low)
        each.append((taps, draw(st.integers(1, 3)), (low, high), base, dilation))
    window = list(zip(*each, strict=True))
    dtype = draw(st.sampled_from(["float32", "float32", "int32", "uint8"]))
    kind = draw(st.sampled_from(["max", "min", "add"]))
    first = {"max": -np.inf, "min": np.inf, "add": 0}[kind]
    if dtype != "float32" and kind != "add":
        first = getattr(np.iinfo(dtype), "min" if kind == "max" else "max")

    def function(x):
        return lax.reduce_window(x, np.asarray(first, dtype)[()], getattr(lax, kind), *window)

    return function, tuple(sizes), dtype


@scaled(6)
@given(pools())
def test_a_pool_with_any_setting_is_reproduced(folder, pool):
    function, shape, dtype = pool
    assert_reproduced(function, shape, folder, dtype, rtol=2**-22, atol=2**-18)
