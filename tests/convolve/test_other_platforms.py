"""Programs for platforms other than CPUs: lax's call, unless an algorithm or a rule applies.

Nothing runs on a device; the tests read the programs that XLA receives.
"""

from functools import partial

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jax import lax

from jaxcnn.convolve import conv_general_dilated, nvidia
from jaxcnn.convolve.layout import describe
from jaxcnn.testing import assert_within, gamma, unit_roundoff
from tests.cases import few
from tests.convolve.drawn import (
    INTEGERS,
    Course,
    allowance,
    arrays,
    as_call,
    define,
    defined,
    numbers,
    problems,
    taken_by,
    with_dtype,
)

ELSEWHERE = ("cuda", "rocm", "tpu")
EIGHT_BITS = ("float8_e4m3fn", "float8_e5m2")


def program_for(platform, function, *operands):
    """The program that XLA receives for a platform."""
    return jax.jit(function).trace(*operands).lower(lowering_platforms=(platform,)).as_text()


def all_directions(call):
    def run(x, kernel, g):
        y, pull_back = jax.vjp(call, x, kernel)
        return y, *pull_back(g)

    return run


def has_a_convolution(text):
    return "stablehlo.convolution" in text


def convolutions(text):
    """The convolutions of a program with window, dimensions and groups, sorted."""
    lines = filter(has_a_convolution, text.splitlines())
    return sorted(line.split("dim_numbers", 1)[1] for line in lines)


@pytest.mark.parametrize("platform", ELSEWHERE)
@few
@given(problems(dilation=(1, 1), stride=(1, 1), padding=(0, 0)))  # so that nothing is cropped first
def test_ordinary_convolutions_are_laxs_program_on_other_platforms(platform, problem):
    operands = *arrays(problem), jnp.asarray(numbers(problem.output_shape, 2), "float32")
    ours, theirs = (
        convolutions(program_for(platform, all_directions(as_call(problem, of)), *operands))
        for of in (conv_general_dilated, lax.conv_general_dilated)
    )
    assert ours == theirs
    assert len(ours) == 3


@few
@given(st.data())
def test_a_named_algorithm_is_used_on_every_platform(data):
    problem = data.draw(taken_by("taps").filter(lambda problem: problem.taps > 1))
    for platform in (*ELSEWHERE, "cpu"):
        call = as_call(problem, conv_general_dilated, algorithm="taps")
        assert not has_a_convolution(program_for(platform, call, *arrays(problem)))


# -- the programs of nvidia.py, run on the platform of the tests -----------------------------------


def instead_of(problem, x, kernel):
    """The program that replaces lax's call on NVIDIA's devices; None if none does."""
    call = as_call(problem, lax.conv_general_dilated)
    (equation,) = jax.make_jaxpr(call)(x, kernel).eqns
    described = describe(x, kernel, equation.params)
    return nvidia.program(described, equation.params)


def holds(problem, x, kernel):
    """Checks that a program replaces lax's call, and that it computes the definition."""
    instead = instead_of(problem, x, kernel)
    assert instead is not None
    want, magnitude = defined(problem, x, kernel)
    bound = allowance(problem, Course(3, True), magnitude, x, kernel)
    assert_within(jax.jit(instead)(x, kernel), want, bound, str(problem))


def gradient_call(problem):
    """The parameters and operands of lax's call for the kernel gradient of a problem."""
    x, kernel = arrays(problem)
    g = jnp.asarray(numbers(problem.output_shape, 2).astype(problem.dtype))
    forward = partial(as_call(problem, lax.conv_general_dilated), x)
    transposed = jax.make_jaxpr(lambda g: jax.linear_transpose(forward, kernel)(g))(g)
    (equation,) = (e for e in transposed.eqns if e.primitive is lax.conv_general_dilated_p)
    return equation.params, (x, g)


DILATED = {"dilation": (2, 3), "stride": (1, 1), "base_dilation": (1, 1), "padding": (0, 3)}


@given(problems(**DILATED, outputs=20, filter_size=(2, 2), ranks=(1, 2)))
def test_cuda_computes_dilated_kernel_gradients_without_dilation(problem):
    assume(problem.output_cells >= 4 * problem.taps)
    params, (x, g) = gradient_call(problem)
    described = describe(x, g, params)
    instead = nvidia.program(described, params)
    assert instead is not None
    got = jax.jit(instead)(x, g)
    lax_s = lax.conv_general_dilated_p.bind(x, g, **params)
    magnitude = lax.conv_general_dilated_p.bind(abs(x), abs(g), **params)
    bound = 4 * gamma(problem.batch * problem.output_cells + 4, "float32") * magnitude
    assert_within(got, lax_s, bound, str(problem))
    text = program_for("cuda", all_directions(as_call(problem, conv_general_dilated)),
                       *arrays(problem), g)  # fmt: skip
    strides = {line.split("stride = [")[1][:1] for line in text.splitlines() if "stride =" in line}
    assert strides == {"1"}


@few
@given(problems(groups=(1,), channels=(3, 7, 9), filters=(2, 8, 12), filter_size=(2, 3),
                base_dilation=(1, 1), dtypes=("bfloat16",)))  # fmt: skip
def test_cuda_pads_bfloat16_channels_to_multiples_of_8(problem):
    assume(not problem.trimmed()[0].is_thin)
    for each in (problem, problem.kernel_gradient()):
        x, kernel = arrays(each)
        instead = instead_of(each, x, kernel)
        if instead is not None:
            want, magnitude = defined(each, x, kernel)
            bound = allowance(each, Course(3, True), magnitude, x, kernel)
            assert_within(jax.jit(instead)(x, kernel), want, bound, str(each))
    x, kernel = arrays(problem)
    lines = program_for("cuda", as_call(problem, conv_general_dilated), x, kernel)
    (line,) = filter(has_a_convolution, lines.splitlines())
    out = line.rsplit("-> tensor<", 1)[1].split("xbf16")[0].split("x")
    assert int(out[-1]) % 8 == 0


@few
@given(problems(**DILATED | {"base_dilation": (1, 2), "padding": (-1, 3)}, filter_size=(2, 4)))
def test_cuda_programs_have_no_dilated_kernel_with_uneven_padding(problem):
    assume(not problem.trimmed()[0].is_thin)
    x, kernel = arrays(problem)
    text = program_for("cuda", as_call(problem, conv_general_dilated), x, kernel)
    for line in filter(has_a_convolution, text.splitlines()):
        pads = line.split("pad = [")[1].split("], lhs")[0]
        pairs = [pair.strip("[] ").split(",") for pair in pads.split("], [")]
        even = all(int(lo) == int(hi) >= 0 for lo, hi in pairs)
        assert even or "rhs_dilate = [1" in line
    instead = instead_of(problem, x, kernel)
    if instead is not None:
        holds(problem, x, kernel)


@few
@given(problems(channels=(1, 2, 3), dtypes=INTEGERS))
def test_cuda_integers_equal_the_definition_and_wrap_around(problem):
    x, kernel = (
        jnp.asarray(np.random.default_rng(i).integers(-100, 100, shape).astype(problem.dtype))
        for i, shape in enumerate((problem.x_shape, problem.kernel_shape))
    )
    got = jax.jit(instead_of(problem, x, kernel))(x, kernel)
    want = define(problem, x, kernel).astype("int64").astype(problem.dtype)
    np.testing.assert_array_equal(got, want)
    for name in (None, "taps"):
        call = as_call(problem, conv_general_dilated, algorithm=name)
        assert not has_a_convolution(program_for("cuda", call, x, kernel))
        assert has_a_convolution(program_for("cpu", call, x, kernel))


@pytest.mark.parametrize("dtype", EIGHT_BITS)
@few
@given(problem=problems())
def test_cuda_computes_8_bit_floats_in_float32_and_rounds_once(dtype, problem):
    x, kernel = (array.astype(dtype) for array in arrays(problem))
    problem = with_dtype(problem, dtype)
    got = jax.jit(instead_of(problem, x, kernel))(x, kernel)
    want = define(problem, x, kernel)
    assert got.dtype == jnp.dtype(dtype)
    assert_within(got, want, 2 * unit_roundoff(dtype) * abs(want) + 0.01, str(problem))
    text = program_for("cuda", as_call(problem, conv_general_dilated), x, kernel)
    assert "f8E" not in "".join(filter(has_a_convolution, text.splitlines()))
