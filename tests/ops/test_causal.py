"""Causal convolution along time, of a whole input and in chunks."""

from __future__ import annotations

from itertools import accumulate, pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.ops import causal
from jaxcnn.ops.conv import conv
from jaxcnn.reference import causal as reference_causal
from jaxcnn.testing import (
    assert_gradients_match,
    assert_lowers,
    assert_matches_reference,
    assert_obeys_geometry,
    assert_sums_close,
    assert_transforms,
    conv_problems,
)
from tests.cases import few, scaled
from tests.ops.operation_problem import DTYPES, with_kwargs

BOTH = pytest.mark.parametrize("forms", [causal, reference_causal])


def causal_problems(dtypes=DTYPES, **limits):
    """Convolutions of rank 1 with causal padding."""
    return conv_problems(dtypes=dtypes, ranks=(1,), paddings=("CAUSAL",), **limits).map(
        lambda problem: with_kwargs(
            problem,
            reference_causal.causal_conv,
            stride=problem.stride[0],
            dilation=problem.dilation[0],
            groups=problem.groups,
            rounding=problem.rounding,
        )
    )


@st.composite
def streams(draw, **limits):
    """A causal problem of stride 1, and the lengths of the chunks in which its input arrives."""
    problem = draw(causal_problems(max_stride=1, **limits))
    left, lengths = problem.array_shapes[0][-2], []
    while left:
        lengths.append(draw(st.integers(1, left)))
        left -= lengths[-1]
    return problem, lengths


def streamed(forms, x, kernel, bias, lengths, **arguments):
    """The outputs for the chunks of x, one after the other, and the last state."""
    batch = len(x) if x.ndim == 3 else None
    state, outputs = forms.causal_conv_state(kernel, batch=batch, **arguments), []
    for start, end in pairwise(accumulate(lengths, initial=0)):
        y, state = forms.causal_conv_stream(x[..., start:end, :], state, kernel, bias, **arguments)
        assert y.shape[-2] == end - start
        outputs.append(y)
    return jnp.concatenate(outputs, axis=-2), state


@few
@given(causal_problems())
def test_values_and_gradients_of_a_causal_convolution_are_those_of_the_definition(problem):
    assert_obeys_geometry(causal.causal_conv, problem)
    assert_matches_reference(causal.causal_conv, problem)
    assert_gradients_match(causal.causal_conv, problem)


@scaled(1 / 3)
@given(causal_problems(dtypes=("float32",)))
def test_transformations_keep_the_numbers_of_a_causal_convolution(problem):
    assert_transforms(causal.causal_conv, problem)


@few
@given(streams())
def test_streaming_in_chunks_gives_the_numbers_of_the_whole_input(stream):
    problem, lengths = stream
    arguments = {name: problem.kwargs[name] for name in ("dilation", "groups")}
    with problem.x64():
        arrays = problem.arrays()
        magnitude = causal.causal_conv(*problem.magnitude_inputs(*arrays), **arguments)
        want = causal.causal_conv(*arrays, **arguments)
        for forms in (causal, reference_causal):
            got, _ = streamed(forms, *arrays, lengths, **arguments)
            assert_sums_close(got, want, magnitude, roundings=problem.roundings)


@few
@given(streams(dtypes=("float32", "bfloat16")))
def test_streaming_is_bit_for_bit_if_sums_are_exact(stream):
    problem, lengths = stream
    arguments = {name: problem.kwargs[name] for name in ("dilation", "groups")}
    # Integers of one digit: every partial sum is an integer that even bfloat16 represents.
    arrays = [None if a is None else jnp.round(3 * a) for a in problem.arrays()]
    got, _ = streamed(causal, *arrays, lengths, **arguments)
    np.testing.assert_array_equal(got, causal.causal_conv(*arrays, **arguments))


@few
@given(streams(dtypes=("float32",), max_kernel_size=4, biases=(False,)))
def test_the_state_of_a_stream_is_the_last_cells_of_the_input(stream):
    problem, lengths = stream
    arguments = {name: problem.kwargs[name] for name in ("dilation", "groups")}
    x, kernel, _ = problem.arrays()
    _, state = streamed(causal, x, kernel, None, lengths, **arguments)
    back = arguments["dilation"] * (kernel.shape[0] - 1)
    around = [(0, 0)] * (x.ndim - 2) + [(back, 0), (0, 0)]
    want = jnp.pad(x, around)[..., x.shape[-2] :, :]
    np.testing.assert_array_equal(state, want)


@BOTH
def test_a_scan_over_chunks_is_the_causal_convolution_of_the_whole_input(forms):
    x = jnp.arange(48).reshape(2, 12, 2) ** 2 % 13
    kernel, bias = jnp.arange(24).reshape(3, 2, 4) % 5 - 2, jnp.arange(4)

    def step(state, chunk):
        y, state = forms.causal_conv_stream(chunk, state, kernel, bias, dilation=2)
        return state, y

    chunks = x.reshape(2, 4, 3, 2).swapaxes(0, 1)
    start = forms.causal_conv_state(kernel, batch=2, dilation=2)
    _, outputs = jax.jit(lambda s, c: jax.lax.scan(step, s, c))(start, chunks)
    got = outputs.swapaxes(0, 1).reshape(2, 12, 4)
    np.testing.assert_array_equal(got, forms.causal_conv(x, kernel, bias, dilation=2))


@BOTH
def test_gradients_flow_through_the_state_of_a_stream(forms):
    x, kernel = jnp.arange(7.0)[:, None], jnp.array([1.0, -2.0, 5.0])[:, None, None]

    def whole(x, kernel):
        return (forms.causal_conv(x, kernel) ** 2).sum()

    def chunked(x, kernel):
        return (streamed(forms, x, kernel, None, [2, 1, 4])[0] ** 2).sum()

    want = jax.grad(whole, (0, 1))(x, kernel)
    for got, one in zip(jax.grad(chunked, (0, 1))(x, kernel), want, strict=True):
        np.testing.assert_array_equal(got, one)


@BOTH
@pytest.mark.parametrize("stride", [1, 2])
def test_a_causal_output_reads_its_own_cell_and_no_later_cell(forms, stride):
    kernel = jnp.array([1.0, 2.0, 3.0])[:, None, None]

    def fn(x):
        return forms.causal_conv(x[:, None], kernel, dilation=2, stride=stride)[:, 0]

    jacobian = np.asarray(jax.jacobian(fn)(jnp.ones(9)))
    want = sum(w * np.eye(9, k=-2 * (2 - f)) for f, w in enumerate([1, 2, 3]))
    np.testing.assert_array_equal(jacobian, want[::stride])


def test_a_causal_convolution_is_conv_with_causal_padding():
    x, kernel = jnp.arange(20).reshape(10, 2), jnp.arange(12).reshape(3, 2, 2)
    np.testing.assert_array_equal(
        causal.causal_conv(x, kernel, dilation=3), conv(x, kernel, dilation=3, padding="CAUSAL")
    )


@BOTH
def test_a_causal_convolution_of_an_empty_batch_gives_an_empty_result(forms):
    x, kernel = jnp.ones((0, 5, 2)), jnp.ones((3, 2, 4))
    assert forms.causal_conv(x, kernel).shape == (0, 5, 4)
    y, state = forms.causal_conv_stream(x, forms.causal_conv_state(kernel, batch=0), kernel)
    assert (y.shape, state.shape) == ((0, 5, 4), (0, 2, 2))


def test_causal_convolutions_lower_for_every_platform():
    x, state, kernel = jnp.ones((2, 5, 2)), jnp.ones((2, 4, 2)), jnp.ones((3, 2, 4))
    assert_lowers(causal.causal_conv, (x, kernel))
    assert_lowers(
        lambda *a: causal.causal_conv_stream(*a, dilation=2),
        (x, state, kernel),
        returns=[
            jax.ShapeDtypeStruct((2, 5, 4), "float32"),
            jax.ShapeDtypeStruct((2, 4, 2), "float32"),
        ],
    )
    assert_lowers(lambda k: causal.causal_conv_state(k, batch=3), (kernel,))


X, KERNEL, STATE = jnp.ones((2, 6, 4)), jnp.ones((3, 4, 8)), jnp.ones((2, 2, 4))


@BOTH
@pytest.mark.parametrize(
    ("name", "arrays", "kwargs", "kind", "words"),
    [
        ("causal_conv", (X, jnp.ones((3, 3, 4, 8))), {}, ValueError, ["4 axes", "time"]),
        ("causal_conv", (X, KERNEL), {"groups": 2}, ValueError, ["4*2 = 8", "(3, 2, 8)"]),
        ("causal_conv", (X, KERNEL), {"stride": 2}, ValueError, ["length 6", "3.5", "floor"]),
        ("causal_conv", (jnp.ones((2, 0, 4)), KERNEL), {}, ValueError, ["length", ">= 1", "0"]),
        ("causal_conv", (X, KERNEL.astype(int)), {}, TypeError, ["int32", "astype"]),
        ("causal_conv_state", (jnp.ones((3, 3, 4, 8)),), {}, ValueError, ["4 axes", "time"]),
        ("causal_conv_state", (KERNEL,), {"batch": -1}, ValueError, ["batch", ">= 0", "-1"]),
        ("causal_conv_state", (KERNEL,), {"dilation": 0}, ValueError, ["dilation", ">= 1", "0"]),
        ("causal_conv_state", (3,), {}, TypeError, ["kernel", "int"]),
        (
            "causal_conv_stream",
            (X, STATE, KERNEL),
            {"dilation": 2},
            ValueError,
            ["state", "(2, 2, 4)", "4 cells", "(2, 4, 4)", "causal_conv_state"],
        ),
        ("causal_conv_stream", (X, STATE[0], KERNEL), {}, ValueError, ["(2, 4)", "(2, 2, 4)"]),
        ("causal_conv_stream", (X[..., :3], STATE, KERNEL), {}, ValueError, ["chunk", "(N, L, 4)"]),
        ("causal_conv_stream", (X[:, :0], STATE, KERNEL), {}, ValueError, ["length", ">= 1"]),
        ("causal_conv_stream", (X, STATE, KERNEL[0]), {}, ValueError, ["(4, 8)", "time"]),
        ("causal_conv_stream", (X, STATE.astype(int), KERNEL), {}, TypeError, ["state", "int32"]),
        (
            "causal_conv_stream",
            (X, STATE, KERNEL, jnp.ones(3)),
            {},
            ValueError,
            ["bias", "(3,)", "(8,)"],
        ),
    ],
)
def test_an_impossible_causal_convolution_is_refused_with_its_numbers_and_advice(
    forms, name, arrays, kwargs, kind, words
):
    with pytest.raises(kind) as caught:
        getattr(forms, name)(*arrays, **kwargs)
    message = str(caught.value)
    assert message.startswith(f"{name}: ")
    for word in words:
        assert word in message
