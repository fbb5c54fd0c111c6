"""Transposed convolution: the adjoint of conv, with the right size, in every direction."""

from __future__ import annotations

import math
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jaxcnn.errors import InputError
from jaxcnn.geometry import output_size, transposed_output_size
from jaxcnn.ops.conv import conv
from jaxcnn.ops.conv_transpose import conv_transpose
from jaxcnn.reference.conv_transpose import conv_transpose as reference_conv_transpose
from jaxcnn.shapes import conv_transpose_shapes
from jaxcnn.testing import (
    ConvProblem,
    assert_gradients_match,
    assert_lowers,
    assert_matches_reference,
    assert_obeys_geometry,
    assert_sums_close,
    assert_transforms,
    conv_problems,
)
from tests.cases import few, scaled
from tests.ops.operation_problem import DTYPES, OperationProblem


def transposed(problem: ConvProblem) -> OperationProblem:
    """The transposed problem: from the convolution's outputs back to its input's size."""
    kwargs = {name: value for name, value in problem.kwargs.items() if name != "rounding"}
    per_cell, per_weight, _ = problem.gradient_roundings
    cells = math.prod(problem.size) * (problem.batch or 1)
    return OperationProblem(
        array_shapes=(
            problem.output_shape,
            problem.kernel_shape,
            (problem.in_channels,) if problem.use_bias else None,
        ),
        output_shape=problem.x_shape,
        # A cell meets as many terms as there are in conv's gradient of x, and the bias.
        roundings=per_cell + 1,
        gradient_roundings=(problem.roundings, per_weight, cells + 1),
        reference=reference_conv_transpose,
        kwargs=kwargs | {"output_size": problem.size},
        dtype=problem.dtype,
        seed=problem.seed,
    )


# rounding="floor" too: then the convolution leaves cells unread, and output_size has to say so.
PROBLEMS = conv_problems(dtypes=DTYPES, max_cells=16)


def inner(a: jax.Array, b: jax.Array) -> float:
    return math.fsum(np.ravel(np.asarray(a) * np.asarray(b)))


@scaled(2)
@given(conv_problems(dtypes=("float64",), biases=(False,)))
def test_transposed_convolution_is_the_adjoint(problem):
    back = transposed(problem)
    with jax.enable_x64(True):
        x, kernel, _ = problem.arrays()
        y = problem.random_array(problem.output_shape, 9)
        forward = problem.call(conv, x, kernel)
        backward = back.call(conv_transpose, y, kernel)
        assert_sums_close(
            inner(forward, y),
            inner(x, backward),
            inner(problem.call(conv, abs(x), abs(kernel)), abs(y)),
            roundings=max(problem.roundings, back.roundings) + 2,
        )


@scaled(1 / 3)
@given(PROBLEMS.map(transposed))
def test_values_and_gradients_of_a_transposed_convolution_are_those_of_the_definition(problem):
    assert_obeys_geometry(conv_transpose, problem)
    assert_matches_reference(conv_transpose, problem)
    assert_gradients_match(conv_transpose, problem)


@scaled(1 / 3)
@given(conv_problems(max_cells=16).map(transposed))
def test_transformations_keep_the_numbers_of_a_transposed_convolution(problem):
    assert_transforms(conv_transpose, problem)


@scaled(1 / 3)
@given(conv_problems(biases=(False,)))
def test_a_transposed_convolution_is_jaxs_linear_transpose_of_conv(problem):
    back = transposed(problem)
    y, kernel, _ = back.arrays()
    x = jax.ShapeDtypeStruct(problem.x_shape, problem.dtype)
    transpose = jax.linear_transpose(lambda x: problem.call(conv, x, kernel), x)
    magnitude = back.call(reference_conv_transpose, abs(y), abs(kernel))
    assert_sums_close(
        back.call(conv_transpose, y, kernel),
        transpose(y)[0],
        magnitude,
        roundings=back.roundings,
    )


@pytest.mark.parametrize("padding", ["VALID", "SAME", "SAME_LOWER", "FULL", "CAUSAL", 1, [(0, 2)]])
def test_output_size_may_be_exactly_the_sizes_for_which_conv_has_k_outputs(padding):
    pair = padding[0] if isinstance(padding, list) else padding
    for k, kernel_size, stride, dilation in product((1, 2, 4), (1, 2, 3), (1, 2, 3), (1, 2)):
        possible = set()
        for size in range(1, 20):
            try:
                outputs = output_size(
                    size,
                    kernel_size,
                    stride=stride,
                    padding=pair,
                    dilation=dilation,
                    rounding="floor",
                )
            except InputError:
                continue
            if outputs == k:
                possible.add(size)
        for size in range(1, 20):
            try:
                shapes = conv_transpose_shapes(
                    (k, 1),
                    (kernel_size, 1, 1),
                    stride=stride,
                    padding=padding,
                    dilation=dilation,
                    output_size=size,
                )
            except InputError:
                assert size not in possible
            else:
                assert shapes.input == (size, 1)
                assert shapes.spatial == (k,)
                assert size in possible


@pytest.mark.parametrize("form", [conv_transpose, reference_conv_transpose])
@pytest.mark.parametrize("padding", [0, 1, (1, 0)])
def test_output_padding_and_output_size_give_equal_results(form, padding):
    x, kernel = jnp.arange(1.0, 5.0)[:, None], jnp.array([1.0, 10.0, 100.0])[:, None, None]
    pads = padding if isinstance(padding, int) else [padding]
    for stride in (1, 2, 3):
        for extra in range(stride):
            size = transposed_output_size(
                4, 3, stride=stride, padding=padding, output_padding=extra
            )
            by_extra = form(x, kernel, stride=stride, padding=pads, output_padding=extra)
            by_size = form(x, kernel, stride=stride, padding=pads, output_size=(size,))
            assert by_extra.shape == (size, 1)
            np.testing.assert_array_equal(by_extra, by_size)


def test_same_padding_transposed_gives_stride_times_the_size():
    x, kernel = jnp.ones((2, 3, 5, 4)), jnp.ones((3, 2, 6, 4))
    for name in ("SAME", "same_lower"):
        assert conv_transpose(x, kernel, stride=(2, 3), padding=name).shape == (2, 6, 15, 6)


def test_transposed_cells_that_no_window_reads_get_the_bias_alone():
    y = conv_transpose(
        jnp.ones((2, 1)), jnp.ones((1, 1, 1)), jnp.array([5.0]), stride=3, output_padding=2
    )
    np.testing.assert_array_equal(y[:, 0], [6, 5, 5, 6, 5, 5])


@few
@given(st.data())
def test_a_negative_transposed_padding_adds_cells_that_get_the_bias_alone(data):
    k, kernel_size, stride, dilation = (data.draw(st.integers(1, n)) for n in (4, 3, 4, 3))
    low, high = (data.draw(st.integers(-5, 3)) for _ in range(2))
    stated = {"stride": stride, "dilation": dilation}
    draws = np.random.default_rng(0)
    x, kernel, bias = (
        draws.integers(-9, 10, shape).astype(np.float32)
        for shape in ((k, 2), (kernel_size, 3, 2), (3,))
    )
    full = np.asarray(reference_conv_transpose(jnp.asarray(x), jnp.asarray(kernel), **stated))
    around = np.pad(full, ((max(-low, 0), max(-high, 0)), (0, 0)))
    want = around[max(low, 0) : len(around) - max(high, 0)] + bias
    assume(len(want))
    arrays = jnp.asarray(x), jnp.asarray(kernel), jnp.asarray(bias)
    for form in (conv_transpose, reference_conv_transpose):
        got = form(*arrays, padding=[(low, high)], **stated)
        np.testing.assert_array_equal(got, want)  # small whole numbers: no sum is rounded


@pytest.mark.parametrize("form", [conv_transpose, reference_conv_transpose])
def test_transposed_convolution_supports_integers(form):
    y = form(jnp.array([[1], [10]]), jnp.array([[[1]], [[2]], [[3]]]), stride=2)
    assert y.dtype == jnp.int32
    np.testing.assert_array_equal(y[:, 0], [1, 2, 13, 20, 30])


@pytest.mark.parametrize("form", [conv_transpose, reference_conv_transpose])
def test_a_transposed_convolution_of_an_empty_batch_gives_an_empty_result(form):
    assert form(jnp.ones((0, 4, 4, 6)), jnp.ones((3, 3, 1, 6)), stride=2).shape == (0, 9, 9, 1)


def test_transposed_convolutions_lower_for_every_platform():
    def fn(x, kernel, bias):
        return conv_transpose(x, kernel, bias, stride=2, padding=2, groups=2, output_padding=1)

    args = jnp.ones((2, 4, 4, 6)), jnp.ones((3, 3, 1, 6)), jnp.ones(2)
    assert_lowers(fn, args, returns=jax.ShapeDtypeStruct((2, 6, 6, 2), "float32"))
    assert_lowers(jax.grad(lambda *a: fn(*a).sum(), (0, 1, 2)), args)


X, KERNEL = jnp.ones((1, 4, 4, 6)), jnp.ones((3, 3, 2, 6))
REFUSED = [
    ((X, jnp.ones((3, 3, 6, 2))), {}, ValueError, ["6 channels", "K = 2", "(3, 3, 6, 6)"]),
    ((X, jnp.ones((3, 6))), {}, ValueError, ["(3, 6)", "at least 3"]),
    ((jnp.ones((4, 6)), KERNEL), {}, ValueError, ["(4, 6)", "(N, *spatial, C)"]),
    ((X, KERNEL), {"groups": 4}, ValueError, ["groups 4", "6", "groups=1, 2, 3 or 6"]),
    ((X, KERNEL), {"groups": 0}, ValueError, ["groups", ">= 1", "0"]),
    ((X, KERNEL, jnp.ones(6)), {}, ValueError, ["bias", "(6,)", "(2,)"]),
    ((X, KERNEL.astype("float16")), {}, TypeError, ["float32", "float16", "astype"]),
    ((X, KERNEL), {"stride": 0}, ValueError, ["stride", ">= 1", "0"]),
    ((X, KERNEL), {"stride": 1.5}, TypeError, ["stride", "1.5"]),
    ((X, KERNEL), {"padding": "SOME"}, ValueError, ["padding", "SOME", "SAME"]),
    ((X, KERNEL), {"padding": (1, 1, 1)}, ValueError, ["(1, 1, 1)", "3 entries", "2"]),
    (
        (X, KERNEL),
        {"padding": 3},
        ValueError,
        ["height 4", "(3, 3)", "= 0", "padding=((3, 2), (3, 2))"],
    ),
    ((X, KERNEL), {"stride": 2, "output_size": 11}, ValueError, ["11", "9 or 10"]),
    ((X, KERNEL), {"stride": 2, "output_size": (9, 8)}, ValueError, ["width 4", "8", "9 or 10"]),
    ((X, KERNEL), {"stride": 6, "output_size": 9}, ValueError, ["9", "21 to 26"]),
    (
        (X, KERNEL),
        {"stride": 2, "padding": "SAME", "output_size": 9},
        ValueError,
        ["SAME", "9", "7 or 8"],
    ),
    ((X, KERNEL), {"output_size": (9, 9, 9)}, ValueError, ["output_size", "3 entries"]),
    ((X, KERNEL), {"output_padding": 1}, ValueError, ["output_padding 1", "below stride 1"]),
    (
        (X, KERNEL),
        {"stride": 2, "output_padding": 1, "output_size": 10},
        ValueError,
        ["10", "1", "both"],
    ),
    (
        (X, KERNEL),
        {"stride": 2, "padding": "SAME", "output_padding": 1},
        ValueError,
        ["SAME", "8", "output_size"],
    ),
]


@pytest.mark.parametrize("form", [conv_transpose, reference_conv_transpose])
@pytest.mark.parametrize(("arrays", "kwargs", "kind", "words"), REFUSED)
def test_an_impossible_transposed_convolution_is_refused_with_its_numbers_and_advice(
    form, arrays, kwargs, kind, words
):
    with pytest.raises(kind) as caught:
        form(*arrays, **kwargs)
    message = str(caught.value)
    assert message.startswith("conv_transpose: ")
    for word in words:
        assert word in message


@scaled(5)
@given(
    size=st.integers(1, 6),
    kernel_size=st.integers(1, 4),
    stride=st.integers(1, 4),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    dilation=st.integers(1, 3),
)
def test_a_convolution_of_the_transposed_size_has_the_original_size(
    size, kernel_size, stride, padding, dilation
):
    for extra in range(stride):
        try:
            full = transposed_output_size(
                size,
                kernel_size,
                stride=stride,
                padding=padding,
                dilation=dilation,
                output_padding=extra,
            )
        except InputError:
            assert (size - 1) * stride + dilation * (kernel_size - 1) + 1 - sum(padding) + extra < 1
            continue
        again = output_size(
            full, kernel_size, stride=stride, padding=padding, dilation=dilation, rounding="floor"
        )
        assert again == size
