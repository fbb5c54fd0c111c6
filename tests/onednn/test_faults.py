"""oneDNN's known faults are avoided, and drawn problems find no others."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxcnn
from jaxcnn.convolve import Problem
from jaxcnn.convolve.algorithms.kernels.onednn import DIRECTIONS
from jaxcnn.onednn import faults
from jaxcnn.onednn.primitives import query
from tests.cases import many
from tests.convolve.drawn import define, drawn_numbers, problems, with_dtype
from tests.convolve.test_algorithms import laid
from tests.onednn.test_primitives import each, here, whole


@many
@given(st.data())
def test_windows_and_taps_that_meet_only_padding_are_found(data):
    def some(most):
        return data.draw(st.integers(1, most))

    n, taps, outputs, stride, dilation = some(6), some(6), some(6), some(4), some(4)
    lo = data.draw(st.integers(0, 12))
    cells = np.arange(outputs)[:, None] * stride + np.arange(taps) * dilation - lo
    meet = (cells >= 0) & (cells < n)
    assert faults._some_miss(n, lo, outputs, stride, taps, dilation) == (not meet.any(1).all())
    assert faults._some_miss(n, lo, taps, dilation, outputs, stride) == (not meet.any(0).all())


def _problem(*args, dtype="bfloat16", **kwargs):
    return Problem(*args, dtype=dtype, **kwargs)


# A problem for each known fault, and the implementations that must not compute it.
SEEN = {
    "SIGSEGV where a window meets padding alone": (
        "onednn",
        _problem(5, (1, 5), 16, (3, 5), 2, 1, (4, 1), ((5, 5), (6, 6)), (), (3, 3)),
        "",
    ),
    "memory for sums where a tap meets padding alone": (
        "onednn_backward_weights",
        _problem(16, (40, 1), 15, (11, 9), 64, 1, (1, 4), ((5, 5), (5, 6))).kernel_gradient(),
        "",
    ),
    "wrong sums, depthwise in three axes": (
        "onednn_backward_weights",
        _problem(
            3, (1, 11, 7), 64, (3, 3, 1), 64, 64, (1, 2, 2), ((2, 2), (0, 0), (0, 0))
        ).kernel_gradient(),
        "jit_bf16:",
    ),
    "memory overwritten, strided points of few channels": (
        "onednn_backward_weights",
        _problem(32, (32, 32), 4, (1, 1), 8, 1, (2, 2), dtype="float32").kernel_gradient(),
        "jit_1x1:",
    ),
}


@here
@pytest.mark.parametrize("what", SEEN)
def test_faulty_implementations_are_never_chosen(what):
    name, problem, unwanted = SEEN[what]
    direction = DIRECTIONS[name]
    for may_reorder in (False, True):
        asked = direction.question(problem, direction.usual_numbers(problem.axes))
        asked = faults.choose_implementation(replace(asked, may_reorder=may_reorder))
        if not isinstance(asked, str):
            assert unwanted
            assert not query(asked).implementation.startswith(unwanted)


WILD = problems(
    batches=(1, 2, 3),
    groups=(1, 2, 3, 8),
    channels=(1, 2, 3, 4, 8, 15, 16, 17, 32),
    filters=(1, 2, 3, 8, 16, 17, 32),
    filter_size=(1, 7),
    stride=(1, 4),
    dilation=(1, 3),
    base_dilation=(1, 1),
    padding=(0, 9),
    outputs=9,
)
DEPTHWISE = problems(
    groups=(2, 8, 15, 16, 17, 24), channels=(1,), filters=(1, 2), base_dilation=(1, 1), outputs=9
)


@here
@each
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@given(st.data())
def test_chosen_implementations_sum_integers_exactly(name, dtype, data):
    """This holds for any order of the sum and of the axes; the result is rounded once."""

    def of_direction(problem):
        return {
            "onednn": problem,
            "onednn_backward_data": problem.input_gradient(),
            "onednn_backward_weights": problem.kernel_gradient(),
        }[name]

    forward = data.draw(WILD | DEPTHWISE)
    if forward.is_empty:
        return
    problem, direction = with_dtype(of_direction(forward), dtype), DIRECTIONS[name]
    numbers = data.draw(
        st.just(direction.usual_numbers(problem.axes))
        | st.builds(lambda: drawn_numbers(data.draw, problem.axes))
    )
    if isinstance(direction.choose_implementation(problem, numbers), str):
        return
    x, kernel = whole(problem.x_shape), whole(problem.kernel_shape, 1)
    want = define(problem, x, kernel).astype(np.float32).astype(jnp.dtype(dtype))
    given_arrays, _ = laid(name, problem, x.astype(dtype), kernel.astype(dtype), numbers)
    got = jax.jit(lambda x, w: direction.emit(problem, x, w, numbers))(*given_arrays)
    spec = numbers.out_spec
    np.testing.assert_array_equal(jnp.transpose(got, (spec[0], *spec[2:], spec[1])), want)


@pytest.mark.parametrize("channels", [2048, 2049, 5000])
def test_a_kernel_gradient_of_many_channels_is_right(channels):
    """With more than 2048, an implementation for bfloat16 divides by zero and ends the process."""
    x, kernel = jnp.ones((channels, 3, 1), "bfloat16"), jnp.ones((2, 1, 1), "bfloat16")
    y = jax.jit(partial(jaxcnn.conv, algorithm="onednn_backward_weights"))(x, kernel)
    assert jnp.array_equal(y, jnp.full((channels, 2, 1), 2, "bfloat16"))
