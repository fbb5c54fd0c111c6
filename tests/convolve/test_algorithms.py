"""Every algorithm computes the definition for all problems that it supports, in every direction."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

from jaxcnn.convolve import ALGORITHMS, Problem, conv_general_dilated, layout, tuning
from jaxcnn.convolve.algorithms import Rewrite
from jaxcnn.convolve.algorithms.kernels import onednn
from jaxcnn.convolve.choose import named_or_chosen, program_in_layout, solve
from jaxcnn.onednn import unavailable_reason
from jaxcnn.onednn.primitives import TARGET
from jaxcnn.testing import assert_within, gamma, rounding_bound
from tests.cases import few
from tests.convolve.drawn import (
    ONEDNN,
    SIXTEEN,
    allowance,
    arrays,
    as_call,
    course,
    defined,
    defined_gradients,
    drawn_numbers,
    gradients_taken_by,
    lax_operands,
    numbers,
    of_transforms,
    taken_by,
    with_dtype,
)

closed = unavailable_reason()


_NAMES = {direction.kind: name for name, direction in onednn.DIRECTIONS.items()}


def each(names):
    """A test for each algorithm; oneDNN's are skipped if it is unavailable."""
    marks = {name: pytest.mark.skipif(bool(closed), reason=str(closed)) for name in ONEDNN}
    return pytest.mark.parametrize(
        "name", [pytest.param(name, marks=marks.get(name, ())) for name in names]
    )


def takers(*dtypes):
    """The algorithms that support one of these dtypes."""
    taken = dict.fromkeys(ONEDNN, ("float32", "bfloat16")) | {"fft": ("float32", "float64")}
    return [name for name in ALGORITHMS if set(dtypes) & set(taken.get(name, dtypes))]


def dtypes_of(name, *dtypes):
    """The dtypes that the algorithm supports."""
    return [dtype for dtype in dtypes if name in takers(dtype)]


def holds(problem, name, solve=solve):
    """Checks that the algorithm's value is the definition's."""
    assert named_or_chosen(problem, name, frozenset()) == name
    with jax.enable_x64(problem.dtype == "float64"):
        x, kernel = arrays(problem)
        y = jax.jit(lambda x, w: solve(problem, x, w, name=name))(x, kernel)
        assert y.dtype == problem.dtype
        assert y.shape == problem.output_shape
    want, magnitude = defined(problem, x, kernel)
    bound = allowance(problem, course(problem, name), magnitude, x, kernel)
    assert_within(y, want, bound, f"{name}: {problem}")


@each(ALGORITHMS)
@given(st.data())
def test_every_algorithm_computes_the_definition(name, data):
    kinds = dtypes_of(name, "float64", "float32")
    problem = data.draw(taken_by(name, kinds[0]))
    for dtype in kinds:
        holds(with_dtype(problem, dtype), name)


@each(takers(*SIXTEEN))
@few
@given(st.data())
def test_16_bit_numbers_are_summed_in_32_bits(name, data):
    dtype = data.draw(st.sampled_from(dtypes_of(name, *SIXTEEN)))
    if name in ONEDNN and ALGORITHMS[name].unsupported_reason(_served(name, dtype)):
        pytest.skip(f"oneDNN does not compute with {dtype} here")
    holds(data.draw(taken_by(name, dtype)), name)


def _served(name, dtype):
    """A problem that this oneDNN algorithm supports on every machine that has the dtype."""
    problem = with_dtype(Problem(2, (12, 12), 32, (3, 3), 32), dtype)
    return {
        "onednn": problem,
        "onednn_backward_data": problem.input_gradient(),
        "onednn_backward_weights": problem.kernel_gradient(),
    }[name]


@each(["taps", "tap_loop", "patches_matmul", "depthwise_kernel_gradient"])
@few
@given(st.data())
def test_a_loop_over_examples_computes_the_same(name, data):
    problem = data.draw(taken_by(name))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "LARGEST_TEMPORARY", 0)
        holds(problem, name)


@each(onednn.DIRECTIONS)
@given(st.data())
def test_onednn_reads_arrays_in_any_layout_without_transposes(name, data):
    """The definition's numbers for any order of axes, and no transpose in the program."""
    problem = data.draw(taken_by(name))
    numbers = drawn_numbers(data.draw, problem.axes)
    x, kernel = arrays(problem)
    want, magnitude = defined(problem, x, kernel)
    given, groups = laid(name, problem, x, kernel, numbers)
    call = jax.jit(as_call(problem, conv_general_dilated, numbers, **groups, algorithm=name))
    text = call.lower(*given).as_text()
    assert text.count("custom_call @" + TARGET) == 1
    described = layout.Operation(problem, numbers, groups.get("batch_group_count", 1))
    if program_in_layout(name, described):
        assert "transpose" not in text
    spec = numbers.out_spec
    got = jnp.transpose(call(*given), (spec[0], *spec[2:], spec[1]))
    bound = allowance(problem, course(problem, name), magnitude, x, kernel)
    assert_within(got, want, bound, f"{name}, {numbers}: {problem}")


def laid(name, problem, x, kernel, numbers):
    """The arrays of a problem in lax's order of axes, and lax's argument for the groups.

    For kernel gradients the arrays are input and output gradient, all groups in the batch axis.
    """
    if not ALGORITHMS[name].takes_forward_operands:
        return lax_operands(x, kernel, numbers), {"feature_group_count": problem.groups}
    x, g = layout.forward_operands(problem.kernel_gradient(), x, kernel)
    x, g = jnp.swapaxes(x, 0, -1), jnp.moveaxis(g, 0, -2)
    return lax_operands(x, g, numbers), {"batch_group_count": problem.groups}


@pytest.mark.skipif(bool(closed), reason=str(closed))
@pytest.mark.parametrize("name", onednn.DIRECTIONS)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_onednn_supports_channels_first_and_kernels_in_any_order(name, axes):
    """Without this law, transposes could make the test above pass."""
    dense = Problem(2, (9,) * axes, 16, (3,) * axes, 32)
    problem = {"onednn": dense, "onednn_backward_data": dense.input_gradient()}.get(
        name, dense.kernel_gradient()
    )
    first, last = tuple(range(axes + 2)), layout.channels_last(axes).lhs_spec
    turned = (1, 0, *first[2:])
    orders = [(first, first, first), (last, turned, last), (last, first[::-1], last)]
    if ALGORITHMS[name].takes_forward_operands:
        swapped = (last[1], last[0], *last[2:])
        orders = [(turned, turned, first), (swapped, swapped, turned), (swapped, swapped, first)]
    for order in map(lax.ConvDimensionNumbers._make, orders):
        assert program_in_layout(name, layout.Operation(problem, order, 1)), order


@each(ALGORITHMS)
@few
@given(st.data())
def test_gradients_by_every_algorithm_are_those_of_the_definition(name, data):
    dtype = dtypes_of(name, "float64", "float32")[0]
    problem = data.draw(gradients_taken_by(name, dtype))
    runs = []
    algorithm, called = ALGORITHMS[name], onednn.call

    def run(*args):
        runs.append(args[0])
        return algorithm.run(*args)

    def of_onednn(question, *args):
        runs.extend([question] if name == _NAMES[question.kind] else ())
        return called(question, *args)

    call = as_call(problem, conv_general_dilated, algorithm=name)
    with pytest.MonkeyPatch.context() as patch, jax.enable_x64(dtype == "float64"):
        patch.setitem(ALGORITHMS, name, replace(algorithm, run=run))
        patch.setattr(onednn, "call", of_onednn)  # for arrays in their own layout
        x, kernel = arrays(problem)
        g = jnp.asarray(numbers(problem.output_shape, 2).astype(dtype))
        got = jax.jit(lambda x, w, g: jax.vjp(call, x, w)[1](g))(x, kernel, g)
    assert runs or name == "direct", f"{name} computed none of the gradients of {problem}"
    wants, magnitudes = defined_gradients(problem, x, kernel, g)
    lengths = problem.taps * problem.group_channels[1], problem.batch * problem.output_cells
    operands = (g, kernel), (x, g)
    for i, gradient in enumerate((problem.input_gradient(), problem.kernel_gradient())):
        what = ("x", "kernel")[i]
        if course(gradient, named_or_chosen(gradient, name, frozenset())).local:
            share = gamma(lengths[i] + 2, dtype)
            bound = 2 * rounding_bound(magnitudes[i], share)
        else:
            bound = max(of_transforms(gradient, *pair) for pair in (operands[i], operands[i][::-1]))
        assert_within(got[i], wants[i], bound, f"{name}, gradient of {what}: {problem}")


REWRITES = [name for name, each in ALGORITHMS.items() if isinstance(each, Rewrite)]


@pytest.mark.parametrize("name", REWRITES)
@given(st.data())
def test_the_parts_of_a_rewrite_are_the_problems_that_it_passes_on(name, data):
    problem, _ = data.draw(taken_by(name)).trimmed()
    assert _handed_on(problem, name) == _stated(problem, name)


def _handed_on(problem, name):
    """The problems that the rewrite passes on while it runs, with every iteration of its loops."""
    seen = []

    def recording(part, x, kernel):
        assert (x.shape, kernel.shape) == (part.x_shape, part.kernel_shape)
        seen.append(part)
        return jnp.zeros(part.output_shape, x.dtype)

    with jax.disable_jit():  # JAX's loops then become Python loops
        given = arrays(problem)
        if ALGORITHMS[name].takes_forward_operands:
            given = layout.forward_operands(problem.kernel_gradient(), *given)
        ALGORITHMS[name].run(problem, *given, recording)
    return sorted(seen, key=str)


def _stated(problem, name):
    parts = ALGORITHMS[name].parts(problem)
    return sorted((part for part, times in parts for _ in range(times)), key=str)


def test_every_algorithm_has_problems_to_draw():
    from tests.convolve.drawn import _MADE_FOR

    assert set(_MADE_FOR) == set(ALGORITHMS)


@pytest.mark.parametrize("name", sorted(set(ALGORITHMS) - {"direct"}))
def test_only_the_direct_call_supports_unusual_problems(name):
    usual = Problem(2, (6, 6), 4, (3, 3), 4)
    changes = [
        {"dtype": "complex64", "out_dtype": "complex64"},
        {"dtype": "int32", "out_dtype": "int32"},
        {"out_dtype": "float64"},
        {"batch": 0},
        {"in_channels": 0},
        {"out_channels": 0},
        {"size": (2, 6)},
        {
            "size": (),
            "kernel_size": (),
            "stride": (),
            "padding": (),
            "dilation": (),
            "base_dilation": (),
        },
    ]
    for change in changes:
        assert ALGORITHMS[name].unsupported_reason(replace(usual, **change)), change
        assert not ALGORITHMS["direct"].unsupported_reason(replace(usual, **change))


def test_the_bounds_show_an_error_of_one_part_in_a_thousand():
    """This shows that the bounds above are not so wide that they allow everything."""
    for name, problem in (
        ("taps", Problem(1, (6, 6), 2, (3, 3), 2, 2)),
        ("fft", Problem(1, (6, 6), 2, (5, 5), 2, dtype="float64")),
    ):
        with pytest.raises(AssertionError, match="exceed their bound"):
            holds(problem, name, lambda *args, **kwargs: 1.001 * solve(*args, **kwargs))
    assert np.isfinite(gamma(100, "float32"))
