"""What is compiled for other platforms than CPUs: lax's call, but by name and by rule.

Nothing runs there in these tests; they read the programs that are handed to XLA.
"""

from functools import partial

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

from jaxcnn.convolve import conv_general_dilated, unserved
from jaxcnn.convolve.lower import by_rule
from tests.cases import few
from tests.convolve.drawn import (
    INTEGERS,
    arrays,
    as_call,
    define,
    numbers,
    problems,
    taken_by,
    with_dtype,
)

ELSEWHERE = ("cuda", "rocm", "tpu")
EIGHT_BITS = ("float8_e4m3fn", "float8_e5m2")


def program_for(platform, function, *operands):
    """What XLA is given to compile, in all directions."""
    return jax.jit(function).trace(*operands).lower(lowering_platforms=(platform,)).as_text()


def all_directions(call):
    def run(x, kernel, g):
        y, pull_back = jax.vjp(call, x, kernel)
        return y, *pull_back(g)

    return run


def has_a_convolution(text):
    return "stablehlo.convolution" in text


def convolutions(text):
    """Each with its window, its dimensions and its groups, in some order."""
    lines = filter(has_a_convolution, text.splitlines())
    return sorted(line.split("dim_numbers", 1)[1] for line in lines)


@pytest.mark.parametrize("platform", ELSEWHERE)
@few
@given(problems(dilation=(1, 1), stride=(1, 1), padding=(0, 0)))  # of which none are cut off first
def test_where_nothing_speaks_against_it_it_is_lax_s_program(platform, problem):
    operands = *arrays(problem), jnp.asarray(numbers(problem.output_shape, 2), "float32")
    ours, theirs = (
        convolutions(program_for(platform, all_directions(as_call(problem, of)), *operands))
        for of in (conv_general_dilated, lax.conv_general_dilated)
    )
    assert ours == theirs
    assert len(ours) == 3


@few
@given(st.data())
def test_a_named_algorithm_is_taken_on_every_platform(data):
    problem = data.draw(taken_by("taps").filter(lambda problem: problem.taps > 1))
    for platform in (*ELSEWHERE, "cpu"):
        call = as_call(problem, conv_general_dilated, algorithm="taps")
        assert not has_a_convolution(program_for(platform, call, *arrays(problem)))


@few
@given(problems(dilation=(2, 3), stride=(1, 1), filter_size=(2, 4), base_dilation=(1, 1)))
def test_no_filter_is_dilated_on_nvidia(problem):
    """Forward; nor are the filters that gradients of x are."""
    rule = [not each.trimmed()[0].is_thin for each in (problem, problem.input_gradient())]
    x, kernel = arrays(problem)
    g = jnp.asarray(numbers(problem.output_shape, 2), "float32")
    call = as_call(problem, conv_general_dilated)
    of_x = jax.jit(lambda g: jax.vjp(partial(call, kernel=kernel), x)[1](g))
    for function, operand, ruled in (
        (partial(call, kernel=kernel), x, rule[0]),
        (of_x, g, rule[1]),
    ):
        text = program_for("cuda", function, operand)
        if ruled:
            assert "rhs_dilate = [2" not in text
            assert "rhs_dilate = [3" not in text
    assert by_rule("tpu", problem) is None


@few
@given(problems(channels=(1, 2, 3), dtypes=INTEGERS))
def test_integers_are_those_of_the_definition_and_wrap_around(problem):
    x, kernel = (
        jnp.asarray(np.random.default_rng(i).integers(-100, 100, shape).astype(problem.dtype))
        for i, shape in enumerate((problem.x_shape, problem.kernel_shape))
    )
    got = jax.jit(partial(unserved.run, problem))(x, kernel)
    want = define(problem, x, kernel).astype("int64").astype(problem.dtype)
    np.testing.assert_array_equal(got, want)
    assert unserved.serves("cuda", problem)
    assert not any(unserved.serves(platform, problem) for platform in ("cpu", "tpu"))
    call = as_call(problem, conv_general_dilated)
    assert not has_a_convolution(program_for("cuda", call, x, kernel))
    assert has_a_convolution(program_for("cpu", call, x, kernel))


@pytest.mark.parametrize("dtype", EIGHT_BITS)
@few
@given(problem=problems())
def test_floats_of_8_bits_are_computed_in_32_and_rounded_once(dtype, problem):
    x, kernel = (array.astype(dtype) for array in arrays(problem))
    problem = with_dtype(problem, dtype)
    got = jax.jit(partial(unserved.run, problem))(x, kernel)
    want = define(problem, x, kernel)
    close = abs(got.astype("float32") - want) <= abs(want) * float(jnp.finfo(dtype).eps) + 0.01
    assert (got.dtype, bool(close.all())) == (jnp.dtype(dtype), True)
    text = program_for("cuda", as_call(problem, conv_general_dilated), x, kernel)
    assert "f8E" not in "".join(filter(has_a_convolution, text.splitlines()))
