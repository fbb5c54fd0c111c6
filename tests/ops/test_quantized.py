"""Convolutions of 8-bit integers: exact sums, and ONNX's rounding to 8 bits."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn import ops, reference
from jaxcnn.geometry.conventions import onnx
from jaxcnn.ops.layouts import kernel_from_torch
from jaxcnn.testing import conv_problems
from tests.cases import few

both = pytest.mark.parametrize("form", [ops, reference], ids=["fast", "reference"])
dtypes = st.sampled_from(["int8", "uint8"])


def whole(draws, shape, dtype):
    """Numbers of the dtype, its smallest and largest among them."""
    bounds = np.iinfo(dtype)
    drawn = draws.integers(bounds.min, bounds.max + 1, shape)
    return np.where(draws.random(shape) < 0.3, bounds.max, drawn).astype(dtype)


@st.composite
def integer_problems(draw):
    """(problem, x, kernel, zero points): zero points are numbers or arrays, of any form."""
    problem = draw(conv_problems(batches=(1, 2, None), max_cells=36, max_channels=6))
    draws = np.random.default_rng(draw(st.integers(0, 99)))
    x, kernel = (
        whole(draws, shape, draw(dtypes)) for shape in (problem.x_shape, problem.kernel_shape)
    )
    zero_points = {}
    for name, array, sizes in (
        ("x_zero_point", x, [()]),
        ("kernel_zero_point", kernel, [(), (1,), (problem.out_channels,)]),
    ):
        value = whole(draws, draw(st.sampled_from(sizes)), array.dtype)
        ways = [lambda v: v, jnp.asarray, lambda v: int(v.flat[0]), lambda v: 0 * v]
        zero_points[name] = draw(st.sampled_from(ways))(value)
    return problem, x, kernel, zero_points


def above(array, zero_point, channels=1):
    """array - zero_point in int64, with the zero point of each output channel."""
    zero_point = np.asarray(zero_point).astype("int64").reshape(-1)
    return np.asarray(array).astype("int64") - np.broadcast_to(zero_point, (channels,))


def by_definition(problem, x, kernel, zero_points):
    """The sums in NumPy's int64, tap by tap."""
    x = above(x, zero_points["x_zero_point"])
    kernel = above(kernel, zero_points["kernel_zero_point"], problem.out_channels)
    windows = problem.shapes().windows
    x = x if problem.batch is not None else x[None]
    x = np.pad(x, [(0, 0), *(w.padding for w in windows), (0, 0)])
    y = np.zeros((len(x), *(w.output for w in windows), problem.out_channels), "int64")
    width, filters = kernel.shape[-2], problem.out_channels // problem.groups
    for tap in np.ndindex(*problem.kernel_size):
        places = np.ix_(
            *(
                np.arange(w.output) * w.stride + f * w.dilation
                for f, w in zip(tap, windows, strict=True)
            )
        )
        cells = x[(slice(None), *places)]
        for group in range(problem.groups):
            own = slice(group * filters, (group + 1) * filters)
            part = cells[..., group * width : (group + 1) * width]
            y[..., own] += part @ kernel[tap][:, own]
    return y.reshape(problem.output_shape)


@both
@given(case=integer_problems())
def test_sums_are_exact_for_all_dtypes_zero_points_and_windows(form, case):
    problem, x, kernel, zero_points = case
    got = jax.jit(lambda x, kernel: form.conv_integer(x, kernel, **problem.kwargs, **zero_points))(
        x, kernel
    )
    assert got.dtype == jnp.int32
    np.testing.assert_array_equal(got, by_definition(problem, x, kernel, zero_points))


@both
def test_sums_are_exact_where_float32_is_not(form):
    x, kernel = np.full((3, 3, 512), 255, "uint8"), np.full((3, 3, 512, 2), 255, "uint8")
    x[1, 1, 7] = 254
    want = 4608 * 255**2 - 255
    assert int(np.float32(want)) != want
    np.testing.assert_array_equal(form.conv_integer(x, kernel)[0, 0], [want, want])
    signed = form.conv_integer(x, kernel, x_zero_point=255, kernel_zero_point=255)
    np.testing.assert_array_equal(signed[0, 0], [0, 0])


@both
def test_a_depthwise_kernel_of_many_taps_is_exact(form):
    draws = np.random.default_rng(0)
    x, kernel = whole(draws, (1, 12, 11, 3), "uint8"), whole(draws, (10, 9, 1, 6), "int8")
    zero_points = {"x_zero_point": 7, "kernel_zero_point": draws.integers(-9, 9, 6).astype("int8")}
    got = form.conv_integer(x, kernel, groups=3, **zero_points)
    x, kernel = above(x, 7), above(kernel, zero_points["kernel_zero_point"], 6)
    for channel in range(6):
        cells = np.lib.stride_tricks.sliding_window_view(x[0, ..., channel // 2], (10, 9))
        want = (cells * kernel[..., 0, channel]).sum((-1, -2))
        np.testing.assert_array_equal(got[0, ..., channel], want)


@few
@both
@given(case=integer_problems(), y_dtype=st.sampled_from([None, "int8", "uint8"]))
def test_a_quantized_convolution_is_the_scaled_sum_rounded_and_saturated(form, case, y_dtype):
    problem, x, kernel, zero_points = case
    draws = np.random.default_rng(problem.seed)
    sums = by_definition(problem, x, kernel, zero_points)
    bias = None
    if problem.use_bias:
        bias = draws.integers(-1000, 1000, problem.out_channels).astype("int32")
        sums = sums + bias
    several = draws.random() < 0.5
    scales = {
        "x_scale": 0.1,
        "kernel_scale": draws.uniform(0.5, 2, problem.out_channels if several else ()),
        "y_scale": np.float32(0.001 * abs(sums).max() + 0.01),  # some sums saturate
    }
    y_zero_point = 3 if y_dtype is None else np.asarray(5, y_dtype)

    @jax.jit
    def call(x, kernel, bias):
        arrays = (x, kernel, bias)
        chosen = scales | zero_points | {"y_zero_point": y_zero_point}
        return form.quantized_conv(*arrays, **problem.kwargs, **chosen)

    got = call(x, kernel, bias)
    x_scale, kernel_scale, y_scale = (np.float32(scale) for scale in scales.values())
    y = np.rint(np.float32(sums) * (x_scale * kernel_scale / y_scale)) + np.float32(y_zero_point)
    dtype = np.dtype(y_dtype or x.dtype)
    assert got.dtype == dtype
    bounds = np.iinfo(dtype)
    np.testing.assert_array_equal(got, np.clip(y, bounds.min, bounds.max).astype(dtype))


@both
def test_halves_are_rounded_to_the_even_integer_before_the_zero_point_is_added(form):
    x, kernel = np.array([[1], [3], [5], [-1], [-3], [127]], "int8"), np.ones((1, 1, 1), "int8")
    scales = {"x_scale": 0.5, "kernel_scale": 1.0, "y_scale": 1.0}
    got = form.quantized_conv(x, kernel, **scales, y_zero_point=np.int8(1))
    np.testing.assert_array_equal(got[:, 0], [1, 3, 3, 1, -1, 65])
    wide = form.quantized_conv(x, kernel, **scales | {"y_scale": 0.1})
    np.testing.assert_array_equal(wide[:, 0], [5, 15, 25, -5, -15, 127])
    unsigned = form.quantized_conv(x, kernel, **scales, y_zero_point=np.uint8(0))
    np.testing.assert_array_equal(unsigned[:, 0], [0, 2, 2, 0, 0, 64])


@both
def test_integer_convolutions_have_the_values_that_onnx_publishes(form):
    x, ones = np.arange(2, 11, dtype="uint8").reshape(3, 3, 1), np.ones((2, 1, 2, 2), "uint8")
    got = form.conv_integer(
        x, kernel_from_torch(ones[:1]), x_zero_point=np.uint8(1), **onnx.conv((2, 2))
    )
    np.testing.assert_array_equal(got[..., 0], [[12, 16], [24, 28]])  # without_padding
    got = form.conv_integer(
        x,
        kernel_from_torch(ones),
        x_zero_point=np.uint8(1),
        kernel_zero_point=np.array([0, 1], "uint8"),
        **onnx.conv((2, 2), pads=(1,) * 4),
    )
    want = [[1, 3, 5, 3], [5, 12, 16, 9], [11, 24, 28, 15], [7, 15, 17, 9]]  # with_padding
    np.testing.assert_array_equal(np.moveaxis(np.asarray(got), -1, 0), [want, np.zeros((4, 4))])


@both
def test_a_quantized_convolution_has_the_values_that_onnx_publishes(form):
    x = [[255, 174, 162, 25, 203, 168, 58], [15, 59, 237, 95, 129, 0, 64]]
    want = [[0, 81, 93, 230, 52, 87, 197], [240, 196, 18, 160, 126, 255, 191]]
    got = form.quantized_conv(  # the first rows of qlinearconv, ONNX 1.23
        np.array(x, "uint8")[..., None],
        np.zeros((1, 1, 1, 1), "uint8"),
        x_scale=np.float32(0.00369204697),
        x_zero_point=np.uint8(132),
        kernel_scale=np.array([0.00172794575], "float32"),
        kernel_zero_point=np.array([255], "uint8"),
        y_scale=np.float32(0.00162681262),
        y_zero_point=np.uint8(123),
        **onnx.conv((1, 1)),
    )
    np.testing.assert_array_equal(got[..., 0], want)


X, KERNEL = jnp.ones((2, 5, 5, 3), "uint8"), jnp.ones((3, 3, 3, 4), "int8")
SCALES = {"x_scale": 0.5, "kernel_scale": 0.25, "y_scale": 2.0}


@both
def test_integers_have_no_gradient(form):
    for call in (form.conv_integer, lambda *a: form.quantized_conv(*a, **SCALES)):
        with pytest.raises(TypeError, match=r"grad requires .*inputs"):
            jax.grad(call)(X, KERNEL)
        y, pull_back = jax.vjp(call, X, KERNEL)
        zero = np.zeros(y.shape, jax.dtypes.float0)
        assert [g.dtype for g in pull_back(zero)] == [jax.dtypes.float0] * 2

    def of_scale(scale):
        return form.quantized_conv(X, KERNEL, **SCALES | {"x_scale": scale}).sum()

    with pytest.raises(TypeError, match=r"grad requires .*outputs"):
        jax.grad(of_scale)(0.5)


@both
def test_integer_convolutions_may_be_mapped_and_of_empty_batches(form):
    draws = np.random.default_rng(0)
    x, kernel = whole(draws, (3, 2, 5, 5, 3), "uint8"), whole(draws, (3, 3, 3, 4), "int8")
    zero_points = jnp.array([0, 128, 255], "uint8")

    def call(x, zero_point):
        return form.conv_integer(x, kernel, x_zero_point=zero_point)

    each = [call(*pair) for pair in zip(x, zero_points, strict=True)]
    np.testing.assert_array_equal(jax.vmap(call)(x, zero_points), jnp.stack(each))
    assert form.conv_integer(x[0, :0], kernel).shape == (0, 3, 3, 4)
    assert form.quantized_conv(x[0, :0], kernel, **SCALES).shape == (0, 3, 3, 4)


REFUSED = [
    ({"x_zero_point": 256}, ValueError, ["x_zero_point", "0 to 255", "256"]),
    ({"x_zero_point": 1.5}, TypeError, ["x_zero_point", "an integer", "1.5"]),
    ({"x_zero_point": np.int8(1)}, TypeError, ["x_zero_point is int8", "astype(jnp.uint8)"]),
    ({"x_zero_point": np.ones(3, "uint8")}, ValueError, ["x_zero_point", "(3,)", "one number"]),
    ({"kernel_zero_point": np.ones(3, "int8")}, ValueError, ["(3,)", "4 filters", "(4,)"]),
    ({"y_zero_point": np.int32(0)}, TypeError, ["y_zero_point is int32", "int8 or uint8"]),
    ({"x_scale": 0.0}, ValueError, ["x_scale", "above 0", "0.0"]),
    ({"y_scale": np.inf}, ValueError, ["y_scale", "finite", "inf"]),
    ({"kernel_scale": "1"}, TypeError, ["kernel_scale", "a number", "'1'"]),
    ({"kernel_scale": np.ones(3)}, ValueError, ["kernel_scale", "(3,)", "(4,)"]),
    ({"kernel_scale": np.ones(4, "int8")}, TypeError, ["kernel_scale is int8", "float32"]),
    ({"bias": jnp.ones(4)}, TypeError, ["bias is float32", "int32"]),
    ({"bias": jnp.ones(3, "int32")}, ValueError, ["bias of shape (3,)", "(4,)"]),
    ({"rounding": "ceil"}, ValueError, ["ceil", "floor"]),
]


@both
@pytest.mark.parametrize(("wrong", "kind", "words"), REFUSED)
def test_a_wrong_argument_of_a_quantized_convolution_is_refused(form, wrong, kind, words):
    with pytest.raises(kind, match=r"^quantized_conv: ") as caught:
        form.quantized_conv(X, KERNEL, **SCALES | wrong)
    for word in words:
        assert word in str(caught.value)
