"""Layouts: arrays go from lax's layout to the canonical one and back unchanged."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from jax import lax

from jaxcnn.convolve import layout
from jaxcnn.testing import assert_sums_close
from tests.convolve.drawn import PLAIN, Call, calls, define, lax_operands, numbers, problems


def _params(call):
    """The arrays of a call, and the parameters of lax's primitive."""
    with jax.enable_x64(True):
        arrays = call.arrays()
        jaxpr = jax.make_jaxpr(lambda *a: lax.conv_general_dilated(*a, **call.kwargs))(*arrays)
    (equation,) = (e for e in jaxpr.eqns if e.primitive is lax.conv_general_dilated_p)
    return arrays, equation.params


@given(calls(dtypes=("float64",), ranks=(1, 2)))
def test_the_canonical_convolution_in_laxs_layout_is_laxs(call):
    (x, kernel), params = _params(call)
    described = layout.describe(x, kernel, params)
    with jax.enable_x64(True):
        canonical = described.canonical(x, kernel)
        assert canonical[0].shape == described.problem.x_shape
        assert canonical[1].shape == described.problem.kernel_shape
        want = lax.conv_general_dilated(x, kernel, **call.kwargs)
        if described.problem.is_empty:
            assert (
                described.lax_output(jnp.zeros(described.problem.output_shape)).shape == want.shape
            )
            return
        got = described.lax_output(define(described.problem, *canonical))
        magnitude = lax.conv_general_dilated(abs(x), abs(kernel), **call.kwargs)
    assert_sums_close(got, want, magnitude, roundings=call.terms + 2)


@given(calls(dtypes=("float64",), ranks=(1, 2)))
def test_lax_operands_is_the_inverse_of_canonical(call):
    (x, kernel), params = _params(call)
    described = layout.describe(x, kernel, params)
    if described.batch_groups == 1:
        back = lax_operands(*described.canonical(x, kernel), described.numbers)
        np.testing.assert_array_equal(back[0], x)
        np.testing.assert_array_equal(back[1], kernel)


@given(calls(dtypes=("float32",)))
def test_the_input_gradient_is_the_call_that_lax_makes(call):
    """With groups, lax first rearranges the kernel, which changes the array, not the problem."""
    (x, kernel), params = _params(call)
    described = layout.describe(x, kernel, params)
    if described.problem.is_empty or described.batch_groups > 1:
        return
    kwargs = call.kwargs | {"preferred_element_type": None}
    convolve = lambda x: lax.conv_general_dilated(x, kernel, **kwargs)  # noqa: E731
    g = jax.eval_shape(convolve, x)
    jaxpr = jax.make_jaxpr(lambda g: jax.linear_transpose(convolve, x)(g)[0])(g)
    (equation,) = (e for e in jaxpr.eqns if e.primitive is lax.conv_general_dilated_p)
    emitted = layout.describe(*(v.aval for v in equation.invars), equation.params)
    gradient = described.input_gradient()
    put = replace(gradient.problem, out_dtype="float32", precision=emitted.problem.precision)
    assert emitted.problem == put
    assert emitted.numbers == gradient.numbers


@given(calls())
def test_a_described_problem_has_the_arguments_of_the_call(call):
    (x, kernel), params = _params(call)
    problem = layout.describe(x, kernel, params).problem
    ones = (1,) * problem.axes
    assert problem.stride == call.kwargs["window_strides"]
    assert problem.base_dilation == (call.kwargs["lhs_dilation"] or ones)
    assert problem.dilation == (call.kwargs["rhs_dilation"] or ones)
    assert problem.dtype == call.dtype
    assert problem.out_dtype == (call.kwargs["preferred_element_type"] or call.dtype)
    assert np.prod(problem.x_shape) == np.prod(x.shape)
    assert hash(problem) == hash(layout.describe(x, kernel, params).problem)


def test_symbolic_sizes_and_mixed_dtypes_are_not_described():
    call = Call((1, 2, 5), (2, 2, 3), "float32", {"window_strides": (1,), "padding": "VALID",
                                                  "dimension_numbers": None})  # fmt: skip
    (x, kernel), params = _params(call)
    assert layout.describe(x, kernel, params) is not None
    (symbol,) = jax.export.symbolic_shape("b")
    unknown = jax.ShapeDtypeStruct((symbol, 2, 5), x.dtype)
    assert layout.describe(unknown, kernel, params) is None
    assert layout.describe(x, kernel.astype("bfloat16"), params) is None


@pytest.mark.parametrize("axes", [0, 1, 2, 3])
def test_channels_last_equals_laxs_dimension_numbers_for_the_letters(axes):
    spatial = "DHW"[3 - axes :]
    image = f"N{spatial}C"
    shape = (1,) * (axes + 2)
    want = lax.conv_dimension_numbers(shape, shape, (image, f"{spatial}IO", image))
    assert layout.channels_last(axes) == want


@given(problems(**PLAIN))
def test_forward_operands_is_the_inverse_of_kernel_gradient_operands(problem):
    x, g = numbers(problem.x_shape, 0), numbers(problem.output_shape, 1)
    exchanged = problem.kernel_gradient()
    there = layout.kernel_gradient_operands(problem, jnp.asarray(x), jnp.asarray(g))
    assert (there[0].shape, there[1].shape) == (exchanged.x_shape, exchanged.kernel_shape)
    back = layout.forward_operands(problem, *there)
    np.testing.assert_array_equal(back[0], x.astype(np.float32))
    np.testing.assert_array_equal(back[1], g.astype(np.float32))


@given(problems())
def test_groups_are_split_in_order(problem):
    kernel = jnp.arange(float(np.prod(problem.kernel_shape))).reshape(problem.kernel_shape)
    split = layout.split_groups(kernel, problem.groups)
    filters = problem.group_channels[1]
    for group in range(problem.groups):
        own = kernel[..., group * filters : (group + 1) * filters]
        np.testing.assert_array_equal(split[..., group, :], own)
