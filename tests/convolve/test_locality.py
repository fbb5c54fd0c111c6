"""Outputs depend only on their windows: the law of :mod:`jaxcnn.convolve.algorithms`.

The tests make cells and weights NaN, infinite or huge. The definition decides for each output
whether it must be NaN or infinite (one of its terms is a product with such a cell), and whether it
may be (such a weight meets a zero of the padding). All other outputs must be within their bound,
which depends only on their own terms.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import jaxcnn
from jaxcnn.convolve import ALGORITHMS, Problem, conv_general_dilated
from jaxcnn.convolve.choose import solve
from jaxcnn.testing import assert_within, gamma, rounding_bound
from tests.cases import few
from tests.convolve.drawn import (
    arrays,
    as_call,
    defined,
    defined_gradients,
    kernel_gradients,
    numbers,
    problems,
    taken_by,
)
from tests.convolve.test_algorithms import each

pytestmark = pytest.mark.usefixtures("optimised")

HUGE = 1e30
LOCAL = [name for name, algorithm in ALGORITHMS.items() if algorithm.local]
POISONS = (np.nan, np.inf, -np.inf, HUGE)
TIMES = 3
"""The number of poisoned inputs for each compiled program."""


def poisoned(array: Any, draws: np.random.Generator, poison: float) -> np.ndarray:
    """A copy with the poison in one or two cells, half of the time in corners."""
    array = np.array(array)
    for _ in range(int(draws.integers(1, 3))):
        corner = draws.integers(2)
        place = ((n - 1) * draws.integers(2) if corner else draws.integers(n) for n in array.shape)
        array[tuple(place)] = poison
    return array


@dataclass(frozen=True)
class Want:
    """The definition's result.

    Attributes:
      value, magnitude: the sums of the terms and of their magnitudes, over finite cells only.
      must: whether an output has a term with a cell or weight that is not finite.
      may: whether an output has such a weight on a cell or on a zero.
    """

    value: np.ndarray
    magnitude: np.ndarray
    must: np.ndarray
    may: np.ndarray


def _tame(*operands: np.ndarray) -> list[np.ndarray]:
    return [np.where(np.isfinite(a), a, 0) for a in operands]


def wanted(problem: Problem, x: np.ndarray, kernel: np.ndarray) -> Want:
    """The definition's result for the convolution of x and kernel."""
    value, magnitude = defined(problem, *_tame(x, kernel))
    ones = np.ones(problem.x_shape), np.ones(problem.kernel_shape)
    must, _ = defined(problem, ~np.isfinite(x), ones[1])
    of_kernel, _ = defined(problem, ones[0], ~np.isfinite(kernel))
    own = (~np.isfinite(kernel)).reshape(-1, problem.out_channels).any(0)
    return Want(value, magnitude, must + of_kernel > 0, np.broadcast_to(own, value.shape))


def hold(got: Any, want: Want, roundings: int, what: str) -> None:
    """Checks the law for one result."""
    got = np.asarray(got, np.float64)
    finite = np.isfinite(got)
    assert not (finite & want.must).any(), f"{what}: a number where a term is none"
    stray = ~finite & ~want.must & ~want.may
    assert not stray.any(), (
        f"{what}: {int(stray.sum())} of {got.size} outputs are no number for a cell or weight "
        f"outside their window, first at {np.argwhere(stray)[0]}"
    )
    share = gamma(roundings, "float32") + gamma(roundings, "float64")
    bound = rounding_bound(want.magnitude, share)
    assert_within(
        np.where(finite & ~want.must, got, 0),
        np.where(finite & ~want.must, want.value, 0),
        bound,
        what,
    )


def poisonings(seed: int, *operands: Any) -> Any:
    """The operands with one of them poisoned, ``TIMES`` times; the kernel comes last."""
    draws = np.random.default_rng(seed)
    for turn in range(TIMES):
        which = turn % len(operands)
        poison = POISONS[int(draws.integers(len(POISONS)))]
        changed = list(map(np.asarray, operands))
        changed[which] = poisoned(changed[which], draws, poison)
        yield f"{poison} in operand {which}", changed


SEEDS = st.integers(0, 2**31)


def is_kept(problem: Problem) -> bool:
    """Whether the law holds for a problem on the platform of the tests.

    Accelerators may compute dilated kernels with zeros between their taps: see
    :mod:`jaxcnn.convolve.nvidia`, which avoids it for forward convolutions.
    """
    if jax.default_backend() == "cpu" or set(problem.dilation) == {1}:
        return True
    plain = problem.is_plain and set(problem.stride) == {1} and problem.output_cells >= problem.taps
    return plain and not problem.input_gradient().is_thin


@each(LOCAL)
@given(st.data())
def test_outputs_of_every_local_algorithm_depend_on_their_window_alone(name, data):
    problem, seed = data.draw(taken_by(name)), data.draw(SEEDS)
    # On accelerators, lax's own call computes "direct" and the parts of rewrites.
    undilated = name == "space_to_batch" or set(problem.dilation) == {1}
    assume(undilated or jax.default_backend() == "cpu")
    run = jax.jit(lambda x, w: solve(problem, x, w, name=name))
    roundings = problem.taps * problem.group_channels[0] + 8
    for what, (x, kernel) in poisonings(seed, *arrays(problem)):
        hold(run(x, kernel), wanted(problem, x, kernel), roundings, f"{name}, {what}: {problem}")


# -- the default choice, from end to end -----------------------------------------------------------

ANY = st.one_of(
    problems(),
    problems(groups=(2, 3, 4, 16), ranks=(1, 2)),
    problems(groups=(1,), ranks=(1, 2), base_dilation=(2, 3)),
    kernel_gradients(ranks=(1, 2)),
)


def wanted_gradients(
    problem: Problem, x: np.ndarray, kernel: np.ndarray, g: np.ndarray
) -> tuple[Want, Want]:
    """The definition's gradients. For the kernel's, cells of g may meet zeros of the padding."""
    values, magnitudes = defined_gradients(problem, *_tame(x, kernel, g))
    bad_x, bad_kernel, bad_g = (~np.isfinite(a) for a in (x, kernel, g))
    ones = [np.ones(a.shape) for a in (x, kernel, g)]
    by_operand = defined_gradients(problem, bad_x, bad_kernel, ones[2])[0]
    by_g = defined_gradients(problem, *ones[:2], bad_g)[0]
    must = [a + b > 0 for a, b in zip(by_operand, by_g, strict=True)]
    channels = bad_kernel.reshape(problem.taps, -1, problem.groups, problem.group_channels[1])
    may = channels.any((0, 3)).T.reshape(-1), bad_g.reshape(-1, problem.out_channels).any(0)
    return tuple(
        Want(values[i], magnitudes[i], must[i], np.broadcast_to(may[i], values[i].shape))
        for i in range(2)
    )


def all_directions(problem: Problem, convolve: Any = conv_general_dilated) -> Any:
    """(x, kernel, g) -> the convolution and both gradients, by the default choice."""
    call = as_call(problem, convolve)

    def run(x: jax.Array, kernel: jax.Array, g: jax.Array) -> tuple[jax.Array, ...]:
        y, pull_back = jax.vjp(call, x, kernel)
        return y, *pull_back(g)

    return run


def hold_all(got: Any, problem: Problem, x: Any, kernel: Any, g: Any, what: str) -> None:
    """Checks the law for the results of :func:`all_directions`."""
    wants = wanted(problem, x, kernel), *wanted_gradients(problem, x, kernel, g)
    c, filters = problem.group_channels
    counts = problem.taps * c, problem.taps * filters, problem.batch * problem.output_cells
    names = "forward", "gradient of x", "gradient of the kernel"
    for result, want, count, name in zip(got, wants, counts, names, strict=True):
        hold(result, want, count + 8, f"{name}, {what}: {problem}")


def three(problem: Problem) -> list[np.ndarray]:
    """Arrays for x, kernel and output gradient."""
    shapes = problem.x_shape, problem.kernel_shape, problem.output_shape
    return [numbers(shape, i).astype(np.float32) for i, shape in enumerate(shapes)]


def some(problem: Problem) -> bool:
    return not problem.is_empty and is_kept(problem)


@given(ANY.filter(some), SEEDS)
def test_chosen_outputs_and_gradients_depend_on_their_window_alone(problem, seed):
    run = jax.jit(all_directions(problem))
    for what, (x, kernel, g) in poisonings(seed, *three(problem)):
        hold_all(run(x, kernel, g), problem, x, kernel, g, what)


@pytest.mark.parametrize("shared", ["x", "nothing"])
@few
@given(ANY.filter(some), SEEDS)
def test_a_nan_in_one_member_of_a_vmap_does_not_reach_the_others(shared, problem, seed):
    axes = (None if shared == "x" else 0, 0, 0)
    run = jax.jit(jax.vmap(all_directions(problem), axes))
    for what, (x, kernel, g) in poisonings(seed, *three(problem)):
        if shared == "x" and not np.isfinite(x).all():
            continue
        both = [x, np.stack([kernel, three(problem)[1]]), np.stack([g, three(problem)[2]])]
        if shared == "nothing":
            both[0] = np.stack([x, three(problem)[0]])
        got = run(*both)
        for member in range(2):
            own = both[0] if shared == "x" else both[0][member]
            results = [np.asarray(result[member]) for result in got]
            hold_all(results, problem, own, both[1][member], both[2][member], f"{what} of {member}")


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="nothing is installed elsewhere")
@few
@given(ANY.filter(some), SEEDS)
def test_installed_lax_outputs_depend_on_their_window_alone(problem, seed):
    with jaxcnn.install():
        run = jax.jit(all_directions(problem, jax.lax.conv_general_dilated))
        for what, (x, kernel, g) in poisonings(seed, *three(problem)):
            hold_all(run(x, kernel, g), problem, x, kernel, g, what)


# -- at the sizes where transforms are fastest, and of public functions ----------------------------

LONG = (
    Problem(1, (4096,), 1, (240,), 1, padding=((239, 0),)),
    Problem(1, (1024,), 16, (128,), 16, 16, padding=((127, 0),)),
    Problem(1, (96, 96), 1, (12, 12), 1),
)


@pytest.mark.parametrize("problem", LONG, ids=str)
@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
def test_outputs_of_long_kernels_depend_on_their_window_alone(problem, closed):
    with jaxcnn.onednn_closed() if closed else nullcontext():
        run = jax.jit(all_directions(problem))
        for what, (x, kernel, g) in poisonings(0, *three(problem)):
            hold_all(run(x, kernel, g), problem, x, kernel, g, what)
        x, kernel, g = three(problem)
        x[:, x.shape[1] // 4 :] = 0  # zeros far from the data are zeros, to the bit
        y, *_ = run(x, kernel, g)
        assert not np.asarray(y)[defined(problem, x, kernel)[1] == 0].any()


def test_causal_outputs_do_not_depend_on_later_cells():
    x = jnp.ones((4096, 1)).at[-1].set(np.nan)
    y = jaxcnn.causal_conv(x, jnp.ones((240, 1, 1)) / 240)
    assert np.isnan(y[-1, 0])
    np.testing.assert_allclose(np.asarray(y)[240:-1, 0], 1, rtol=1e-5)


@pytest.mark.parametrize("poison", POISONS)
def test_a_nan_stays_in_its_group(poison):
    x = jnp.ones((1, 6, 6, 4)).at[..., 0].set(poison)
    y = jaxcnn.conv(x, jnp.ones((3, 3, 2, 4)), groups=2)
    np.testing.assert_array_equal(y[..., 2:], 18)
    assert not np.isin(np.asarray(y[..., :2]), 18).any()
