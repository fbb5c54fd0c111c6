"""The choice is deterministic, respects all restrictions, and does not reduce accuracy."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jax import lax

import jaxcnn.convolve.choose as choosing
from jaxcnn.convolve import ALGORITHMS, Problem, conv_general_dilated, onednn_closed, tuning
from jaxcnn.convolve.choose import LayoutCost, choose, costs, layout_cost, named_or_chosen, solve
from jaxcnn.convolve.layout import Operation, channels_last, kernel_gradient_numbers
from jaxcnn.onednn import SWITCH, unavailable_reason
from jaxcnn.onednn.primitives import TARGET
from jaxcnn.testing import unit_roundoff
from tests.cases import for_cpus, many
from tests.convolve.drawn import (
    ONEDNN,
    arrays,
    as_call,
    define,
    drawn_numbers,
    input_gradients,
    kernel_gradients,
    lax_operands,
    problems,
)

FACTOR = 8
"""The error of the chosen algorithm may be this many times that of the direct call."""

DTYPES = ("float32", "float64", "bfloat16", "float16", "int32", "complex64")

# Of the sizes that networks have.
LARGE = st.builds(
    lambda n, size, f, c, groups, stride: Problem(
        n,
        (size, size),
        c * groups,
        (f, f),
        c * groups,
        groups,
        (stride, stride),
        ((f // 2, f // 2),) * 2,
    ),
    st.sampled_from((1, 8, 32)),
    st.sampled_from((14, 56)),
    st.sampled_from((1, 3, 7, 31)),
    st.sampled_from((1, 4, 64)),
    st.sampled_from((1, 32)),
    st.sampled_from((1, 2)),
)

ANY = st.one_of(
    problems(dtypes=DTYPES),
    kernel_gradients(dtypes=DTYPES),
    input_gradients(dtypes=DTYPES),
    LARGE,
    LARGE.map(Problem.kernel_gradient),
    LARGE.map(Problem.input_gradient),
)

LINES = 30
"""The most operations of StableHLO in one of XLA's programs."""

CLOSED = st.sets(st.sampled_from(sorted(set(ALGORITHMS) - {"direct"}))).map(frozenset)


@many
@given(ANY, CLOSED, st.integers(1, 2**24), st.sets(st.sampled_from(sorted(ONEDNN))))
def test_only_algorithms_that_read_the_layout_are_exempt_from_its_cost(
    problem, closed, total, readers
):
    laid = LayoutCost(total, frozenset(readers))
    before, after = costs(problem, closed), costs(problem, closed, laid)
    for name, cost in after.items():
        if isinstance(cost, str) or problem.trimmed()[0].is_empty:
            assert cost == before[name]
        else:
            assert (cost > before[name]) == (name not in readers)
    if choose(problem, closed) in readers:
        assert choose(problem, closed, laid) == choose(problem, closed)


@given(st.data())
def test_the_layout_cost_counts_the_bytes_that_are_transposed(data):
    """For any order of axes; nothing for the layout that the algorithms take."""
    problem = data.draw(problems(groups=(1, 2)))
    numbers = data.draw(
        st.sampled_from([channels_last(problem.axes), kernel_gradient_numbers(problem.axes)])
        | st.builds(lambda: drawn_numbers(data.draw, problem.axes))
    )
    described = Operation(problem, numbers, 1)
    ways = [_laid_out_anew(described, described.canonical)]
    if problem.groups == 1:
        ways.append(_laid_out_anew(described, described.forward_operands))
    assert layout_cost(described).moved_bytes == min(ways)


def _laid_out_anew(described, put):
    """The bytes of x, kernel and output that are transposed before and after an algorithm."""
    problem = described.problem
    x, kernel = jax.eval_shape(
        lambda *given: lax_operands(*given, described.numbers), *arrays(problem)
    )

    def there_and_back(x, kernel):
        return *put(x, kernel), described.lax_output(jnp.zeros(problem.output_shape, x.dtype))

    found = jax.make_jaxpr(there_and_back)(x, kernel)
    moved = [eqn.outvars[0].aval for eqn in found.eqns if eqn.primitive is lax.transpose_p]
    return sum(aval.size * aval.dtype.itemsize for aval in moved)


@many
@given(ANY, CLOSED)
def test_the_chosen_algorithm_supports_the_problem_and_is_not_excluded(problem, closed):
    name = choose(problem, closed)
    assert name not in closed
    assert not ALGORITHMS[name].unsupported_reason(problem.trimmed()[0])
    if unavailable_reason():
        assert name not in ONEDNN


@many
@given(ANY, CLOSED)
def test_the_choice_is_deterministic(problem, closed):
    before = choose(problem, closed), costs(problem, closed)
    choosing._cheapest.cache_clear()
    tuning.rates.cache_clear()
    assert (choose(problem, closed), costs(problem, closed)) == before


@many
@given(ANY, CLOSED)
def test_costs_are_finite_and_the_choice_has_the_least(problem, closed):
    priced = costs(problem, closed)
    assert list(priced) == list(ALGORITHMS)
    taken = {name: cost for name, cost in priced.items() if not isinstance(cost, str)}
    assert all(math.isfinite(cost) and cost >= 0 for cost in taken.values())
    for name, reason in priced.items():
        if isinstance(reason, str):
            assert reason
            refused = ALGORITHMS[name].unsupported_reason(problem.trimmed()[0])
            assert name in closed | ONEDNN or refused or "programs" in reason
    taken = {name: cost for name, cost in taken.items() if ALGORITHMS[name].local}
    name, least = choose(problem, closed), min(taken.values())
    if name == "direct":
        assert least >= tuning.WORTH * taken["direct"]
    else:
        assert taken[name] == least < tuning.WORTH * taken["direct"]


@many
@given(ANY)
def test_the_direct_call_is_chosen_if_all_others_are_excluded(problem):
    assert choose(problem, frozenset(ALGORITHMS) - {"direct"}) == "direct"


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "complex64", "out_dtype": "complex64"},
        {"dtype": "int8", "out_dtype": "int8"},
        {"dtype": "bfloat16", "out_dtype": "float32"},
        {"batch": 0},
        {"size": (1, 1), "padding": ((0, 0), (0, 0))},
    ],
)
def test_the_direct_call_is_chosen_for_problems_that_no_other_supports(change):
    problem = replace(Problem(8, (28, 28), 32, (3, 3), 32, 32), **change)
    assert choose(problem) == "direct"
    assert all(isinstance(cost, str) for name, cost in costs(problem).items() if name != "direct")


@many
@given(ANY, st.sampled_from(list(ALGORITHMS)), CLOSED)
def test_a_named_algorithm_is_used_if_it_supports_the_problem(problem, name, closed):
    taken = named_or_chosen(problem, name, closed)
    if name in closed or ALGORITHMS[name].unsupported_reason(problem.trimmed()[0]):
        assert taken == choose(problem, closed)
    else:
        assert taken == name


@pytest.mark.parametrize("name", ["taps", "block_diagonal", "fft", "direct"])
def test_a_named_algorithm_is_in_the_compiled_program(name, monkeypatch):
    runs = []
    algorithm = ALGORITHMS[name]

    def run(*args):
        runs.append(args[0])
        return algorithm.run(*args)

    monkeypatch.setitem(ALGORITHMS, name, replace(algorithm, run=run))
    problem = Problem(2, (6, 6), 4, (5, 5) if name == "fft" else (3, 3), 4, 4)
    text = jax.jit(as_call(problem, conv_general_dilated, algorithm=name)).lower(*arrays(problem))
    if name == "direct":  # lax's own lowering, without a workaround
        assert text.as_text().count("stablehlo.convolution") == 1
    else:
        assert runs == [problem]


@many
@given(ANY, CLOSED)
def test_kernels_that_are_not_local_are_never_chosen(problem, closed):
    """Outputs by the Fourier transform depend on more than their window."""
    assert ALGORITHMS[choose(problem, closed)].local
    assert {name for name in ALGORITHMS if not ALGORITHMS[name].local} == {"fft"}


def test_a_faster_fourier_transform_is_used_only_by_name_and_not_at_precision_highest():
    """Without this law, the test above could not fail."""
    problem = Problem(1, (300, 300), 1, (31, 31), 1)
    priced = costs(problem)
    assert priced["fft"] < priced[choose(problem)]
    assert named_or_chosen(problem, "fft", frozenset()) == "fft"
    highest = replace(problem, precision=(lax.Precision.HIGHEST,) * 2)
    assert isinstance(costs(highest)["fft"], str)
    assert named_or_chosen(highest, "fft", frozenset()) != "fft"


UNBOUNDED = st.one_of(
    st.builds(
        lambda n, size, f, c, groups, s, d, filters: Problem(
            n, (size,), c * groups, (f,), filters * groups, groups, (s,), ((f // 2, 0),), (), (d,)
        ),
        st.sampled_from((1, 16)),
        st.sampled_from((16384, 65536)),
        st.sampled_from((3, 97, 1024, 4096)),
        st.sampled_from((1, 4)),
        st.sampled_from((1, 64, 512)),
        st.sampled_from((1, 2, 8)),
        st.sampled_from((1, 2)),
        st.sampled_from((1, 4)),
    ),
    st.builds(
        lambda n, size, f, c, groups, s, d: Problem(
            n,
            (size,) * 3,
            c * groups,
            (f,) * 3,
            c * groups,
            groups,
            (s,) * 3,
            ((f // 2, f // 2),) * 3,
            (),
            (d,) * 3,
        ),
        st.sampled_from((1, 2)),
        st.sampled_from((8, 32)),
        st.sampled_from((1, 3, 5, 15)),
        st.sampled_from((1, 16)),
        st.sampled_from((1, 2, 32, 64)),
        st.sampled_from((1, 2, 7)),
        st.sampled_from((1, 2)),
    ),
    LARGE,
)
"""Long kernels, many groups, many axes, large strides."""


# The program of this problem once had 28,505 lines.
@example(Problem(1, (4,) * 3, 512, (5,) * 3, 512, 32, (1,) * 3, ((2, 3),) * 3, (2,) * 3), ONEDNN)
@given(
    st.one_of(
        UNBOUNDED, UNBOUNDED.map(Problem.kernel_gradient), UNBOUNDED.map(Problem.input_gradient)
    ),
    st.sampled_from((frozenset(), ONEDNN)),
)
def test_program_size_is_bounded_for_all_problem_sizes(problem, closed):
    """This bounds the compile time too, which grows with the number of lines."""
    if problem.is_empty:
        return
    x, kernel = (
        jax.ShapeDtypeStruct(shape, problem.dtype)
        for shape in (problem.x_shape, problem.kernel_shape)
    )
    lowered = jax.jit(lambda x, w: solve(problem, x, w, excluded=closed)).lower(x, kernel)
    lines = lowered.as_text().count("\n")
    assert lines <= LINES * tuning.MOST_PROGRAMS, (choose(problem, closed), problem)


@pytest.mark.skipif(bool(unavailable_reason()), reason=str(unavailable_reason()))
def test_closing_onednn_changes_the_choice_at_once(monkeypatch):
    problem = Problem(8, (28, 28), 32, (3, 3), 32, padding=((1, 1), (1, 1)))
    x, kernel = arrays(problem)

    def asks():
        return TARGET in for_cpus(as_call(problem, conv_general_dilated), x, kernel)

    for _ in range(2):
        assert choose(problem) in ONEDNN
        assert asks()
        with onednn_closed():
            assert choose(problem) not in ONEDNN
            assert isinstance(costs(problem)["onednn"], str)
            assert named_or_chosen(problem, "onednn", frozenset()) not in ONEDNN
            assert not asks()
            with onednn_closed():
                pass
            assert not asks()
        monkeypatch.setenv(SWITCH, "0")
        assert choose(problem) not in ONEDNN
        assert not asks()
        monkeypatch.delenv(SWITCH)


SIZED = [
    Problem(2, (28, 28), 32, (3, 3), 32, 32, padding=((1, 1),) * 2),
    Problem(2, (14, 14), 32, (3, 3), 32, 8, padding=((1, 1),) * 2),
    Problem(4, (28, 28), 32, (1, 1), 64),
    Problem(2, (14, 14), 32, (4, 4), 16, padding=((2, 2),) * 2, base_dilation=(2, 2)),
    Problem(1, (40, 40), 4, (31, 31), 4, 4, padding=((15, 15),) * 2),
    Problem(2, (8, 8, 8), 8, (3, 3, 3), 8),
    Problem(4, (28, 28), 32, (3, 3), 32, padding=((1, 1),) * 2),
]
SIZED += [problem.kernel_gradient() for problem in SIZED[:4]]


@pytest.mark.parametrize("problem", SIZED, ids=str)
@pytest.mark.parametrize("closed", [frozenset(), ONEDNN], ids=["open", "closed"])
def test_the_chosen_algorithm_is_as_accurate_as_the_direct_call_at_network_sizes(problem, closed):
    name = choose(problem, closed)
    x, kernel = arrays(problem)
    exact = define(problem, x, kernel)

    def error(name):
        y = jax.jit(lambda x, w: solve(problem, x, w, name=name, excluded=closed))(x, kernel)
        return np.linalg.norm(np.asarray(y, np.float64) - exact)

    floor = unit_roundoff("float32") * np.linalg.norm(exact)
    assert error(name) <= FACTOR * max(error("direct"), floor), name


@given(problems(ranks=(1, 2), dtypes=("float32", "bfloat16")))
def test_the_chosen_algorithm_is_as_accurate_as_the_direct_call_for_drawn_problems(problem):
    x, kernel = arrays(problem)
    exact = define(problem, x, kernel)

    def error(name):
        y = jax.jit(lambda x, w: solve(problem, x, w, name=name))(x, kernel)
        return np.linalg.norm(np.asarray(y, np.float64) - exact)

    floor = unit_roundoff(problem.dtype) * np.linalg.norm(exact)
    assert error(None) <= FACTOR * max(error("direct"), floor), choose(problem)


def test_rates_are_positive_and_an_unmeasured_algorithm_is_an_error():
    for key, rates in tuning.rates().items():
        assert min(rates) >= 0, key
        assert max(rates) > 0, key
        assert key.split("/")[0] in ALGORITHMS, key
    with pytest.raises(KeyError, match="no rates for nothing"):
        tuning.rates_for("nothing", "", "float32")
    assert jnp.isfinite(tuning.rates()["direct/image/float32"].operation)


def test_an_algorithm_without_rates_is_used_by_name_only(monkeypatch):
    problem = Problem(2, (9,), 3, (3,), 4)
    bare = {key: each for key, each in tuning.rates().items() if not key.startswith("taps/")}
    monkeypatch.setattr(tuning, "rates", lambda: bare)
    for cached in (tuning.is_rated, choosing._cheapest):
        cached.cache_clear()
    try:
        assert costs(problem)["taps"] == "by name only: its rates have not been measured"
        assert choose(problem, frozenset(ALGORITHMS) - {"taps", "direct"}) == "direct"
        assert named_or_chosen(problem, "taps", frozenset()) == "taps"
    finally:
        tuning.is_rated.cache_clear()
        choosing._cheapest.cache_clear()
