"""oneDNN's convolutions as calls: descriptions, answers and errors."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jax import lax

from jaxcnn import onednn
from jaxcnn.convolve import Problem
from jaxcnn.convolve.algorithms.kernels.onednn import DIRECTIONS
from jaxcnn.onednn.primitives import DTYPES, MOST_AXES, TARGET, Operand, call, query
from tests.cases import many
from tests.convolve.drawn import drawn_numbers, kernel_gradients, problems, with_dtype

here = pytest.mark.skipif(
    onednn.unavailable_reason() is not None, reason=str(onednn.unavailable_reason())
)
each = pytest.mark.parametrize("name", DIRECTIONS)

SLOW = ("gemm", "ref", "x64:gemm")
"""Prefixes of the names of implementations that are never used."""

DENSE = Problem(2, (9, 9), 16, (3, 3), 32, padding=((1, 1), (1, 1)))
GIVEN = {
    "onednn": DENSE,
    "onednn_backward_data": DENSE.input_gradient(),
    "onednn_backward_weights": DENSE.kernel_gradient(),
}
"""A problem that each of the three supports on any machine."""


def whole(shape, stream=0):
    """Small integers, whose sums of products are exact in float32."""
    draws = np.random.default_rng((stream, *shape))
    return jnp.asarray(draws.integers(-3, 4, shape).astype(np.float32))


def question(name, problem=None):
    """The description of a problem in the usual layout, and the shapes of its arrays."""
    problem, direction = problem or GIVEN[name], DIRECTIONS[name]
    asked = direction.choose_implementation(problem, direction.usual_numbers(problem.axes))
    assert not isinstance(asked, str), asked
    forward = direction.forward(problem)
    if not direction.takes_forward_operands:
        return asked, (problem.x_shape, problem.kernel_shape), problem.output_shape
    c, _ = forward.group_channels
    shape = (c, *forward.kernel_size, forward.out_channels)
    return asked, (forward.x_shape, forward.output_shape), shape


def program(asked, shape):
    """A program of the call only, which is compiled each time."""
    return jax.jit(lambda a, b: call(asked, a, b, shape))


# -- descriptions ----------------------------------------------------------------------------------


@many
@given(st.data())
def test_an_operand_has_numpys_strides(data):
    shape = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=5).map(tuple))
    axes = tuple(data.draw(st.permutations(range(len(shape)))))
    groups = data.draw(st.sampled_from([g for g in (1, 2, 3, 5) if shape[axes[0]] % g == 0]))
    array = np.zeros(shape, np.int8).transpose(axes)
    # On an axis of one cell, NumPy's stride is arbitrary.
    described = Operand.of(shape, axes)
    split = array.reshape(groups, -1, *array.shape[1:])
    for got, want in ((described, array), (described.grouped(groups), split)):
        assert got.sizes == want.shape
        for size, step, numpys in zip(want.shape, got.strides, want.strides, strict=True):
            assert size == 1 or step == numpys


@here
@each
def test_the_shim_and_python_describe_a_call_with_equally_many_numbers(name):
    asked, *_ = question(name)
    assert len(asked.numbers()) == onednn.shim().jaxcnn_onednn_numbers()


ASKED = st.one_of(
    problems(base_dilation=(1, 1), padding=(0, 5)),
    problems(channels=(8, 16, 17), filters=(1, 16), base_dilation=(1, 1), padding=(0, 2)),
    kernel_gradients(padding=(0, 1), filter_size=(2, 4), channels=(1, 16), filters=(16,)),
    kernel_gradients(channels=(1,), filters=(1,), groups=(8, 16)),
).flatmap(lambda p: st.sampled_from((p, p.input_gradient(), p.kernel_gradient())))


@here
@each
@many
@given(st.data())
def test_slow_implementations_are_never_an_answer(name, data):
    """Every query has an answer, which is the same each time."""
    problem = with_dtype(data.draw(ASKED), data.draw(st.sampled_from(sorted(DTYPES))))
    assume(not problem.is_empty)
    asked = DIRECTIONS[name].question(problem, drawn_numbers(data.draw, problem.axes))
    if isinstance(asked, str):
        assert asked
        return
    for may_reorder in (False, True):
        answer = query(replace(asked, may_reorder=may_reorder))
        assert query(replace(asked, may_reorder=may_reorder)) == answer
        if answer.unsupported_reason is None:
            named = (answer.implementation, *filter(None, answer.reordered_by))
            assert all(each and not each.startswith(SLOW) for each in named)
            laid = [bool(size) for size in answer.reordered_bytes]
            assert laid == [bool(each) for each in answer.reordered_by]
        else:
            assert answer.unsupported_reason.startswith(("oneDNN: ", "only by ", "reordered by "))
    with onednn.onednn_closed():
        assert query(asked).unsupported_reason == "closed by onednn_closed()"


@here
def test_convolutions_of_usual_networks_are_supported():
    """Without this law, the other tests could pass if nothing were supported."""
    for name in DIRECTIONS:
        for axes in range(1, MOST_AXES + 1):
            shape = (9,) * axes
            dense = Problem(2, shape, 16, (3,) * axes, 32)
            problem = {"onednn": dense, "onednn_backward_data": dense.input_gradient()}
            question(name, problem.get(name, dense.kernel_gradient()))


# -- calls -----------------------------------------------------------------------------------------


def _message(function, *arrays):
    with pytest.raises(jax.errors.JaxRuntimeError) as raised:
        jax.block_until_ready(jax.jit(function)(*arrays))
    return str(raised.value)


def _bare(a, b, shape, **attributes):
    return jax.ffi.ffi_call(TARGET, jax.ShapeDtypeStruct(shape, a.dtype))(a, b, **attributes)


@here
@each
def test_a_malformed_call_is_an_error_in_words(name):
    asked, shapes, shape = question(name)
    a, b = map(whole, shapes)
    jax.block_until_ready(program(asked, shape)(a, b))  # all is registered, and right
    numbers = asked.numbers()
    wrong = (
        {"description": numbers[:-1]},
        {"description": np.append(numbers, 0)},
        {"description": numbers.astype(np.int32)},
        {"description": numbers, "more": 1},
        {"description": 1},
        {},
    )
    for attributes in wrong:
        said = _message(partial(_bare, shape=shape, **attributes), a, b)
        assert "not a call of this version of jaxcnn; compile the program anew" in said

    def three(a, b):
        return jax.ffi.ffi_call(TARGET, jax.ShapeDtypeStruct(shape, a.dtype))(
            a, b, b, description=numbers
        )

    assert "not a call of this version" in _message(three, a, b)
    half = (each.astype(jnp.bfloat16) for each in (a, b))
    said = _message(partial(_bare, shape=shape, description=numbers), *half)
    assert "operands of another dtype or size than described" in said
    fewer = _message(partial(_bare, shape=shape, description=numbers), a[:1], b)
    assert "operands of another dtype or size than described" in fewer
    for place, value in ((0, 3), (0, -1), (2, 0), (2, 7)):  # the direction, the number of axes
        strange = numbers.copy()
        strange[place] = value
        said = _message(partial(_bare, shape=shape, description=strange), a, b)
        assert "no such direction" in said if place == 0 else "oneDNN: invalid" in said


@here
@each
def test_an_impossible_convolution_is_an_error_in_the_librarys_own_words(name):
    asked, shapes, shape = question(name)
    a, b = map(whole, shapes)
    impossible = replace(asked, stride=(5, 7))  # which has another output
    assert query(impossible).unsupported_reason.startswith("oneDNN: invalid")
    assert "oneDNN: invalid" in _message(lambda a, b: call(impossible, a, b, shape), a, b)


def _sliding(length):
    return Problem(1, (length,), 16, (3,), 16)


@here
def test_more_problems_than_are_cached_are_still_right():
    """A primitive that was dropped from the cache is created again."""
    runs = {}
    for length in (20, 30, 40):
        asked, shapes, shape = question("onednn", _sliding(length))
        x, w = map(whole, shapes)
        want = lax.conv_general_dilated(
            x, w, (1,), "VALID", dimension_numbers=("NHC", "HIO", "NHC")
        )
        runs[length] = program(asked, shape), (x, w), np.asarray(want)
    for turn in range(2):
        for run, operands, want in runs.values():
            np.testing.assert_array_equal(run(*operands), want)
        for length in range(50, 50 + 1100):  # more than are kept
            asked, *_ = question("onednn", _sliding(length + 2000 * turn))
            assert query(asked).unsupported_reason is None


PROBLEMS = [
    *GIVEN.items(),
    ("onednn", Problem(4, (20, 20), 24, (3, 3), 24, 24, (2, 2))),
    ("onednn", Problem(8, (30,), 16, (5,), 32)),
    ("onednn_backward_data", Problem(3, (8, 8, 8), 16, (3, 3, 3), 16).input_gradient()),
    ("onednn_backward_weights", Problem(4, (14, 14), 64, (1, 1), 48).kernel_gradient()),
    ("onednn_backward_weights", Problem(4, (14, 14), 3, (3, 3), 16).kernel_gradient()),
]


@here
def test_many_threads_at_once_get_the_same_results():
    """Different programs, created and run at the same time, each use their own memory."""

    @cache
    def prepared(which):
        asked, shapes, shape = question(*PROBLEMS[which])
        return program(asked, shape), tuple(map(whole, shapes))

    def run(which):
        function, operands = prepared(which)
        return np.asarray(function(*operands))

    with ThreadPoolExecutor(4) as pool:
        turns = list(range(len(PROBLEMS))) * 25
        got = list(pool.map(run, turns))
    want = [run(which) for which in range(len(PROBLEMS))]
    for which, each in zip(turns, got, strict=True):
        np.testing.assert_array_equal(each, want[which])
