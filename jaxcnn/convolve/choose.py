"""The choice of an algorithm: predicts the time of each for a problem and takes the fastest.

    milliseconds = turn * turns + operation * operations + byte * traffic + the parts' milliseconds

Each algorithm counts its work; the rates were measured once on a machine of the platform
(``rates.json``, written by ``experiments/calibrate_convolution.py``). Nothing is timed while a
program is traced, so the same problem always gets the same algorithm.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from jaxcnn.convolve import tuning
from jaxcnn.convolve.algorithms import ALGORITHMS, Algorithm, Kernel, Rewrite, Work
from jaxcnn.convolve.algorithms.shared import trim_input
from jaxcnn.convolve.layout import (
    Operation,
    channels_last,
    forward_operands,
    kernel_gradient_numbers,
    kernel_gradient_operands,
)
from jaxcnn.geometry.check import choice

if TYPE_CHECKING:
    import jax

    from jaxcnn.convolve.algorithms.protocol import Program
    from jaxcnn.convolve.problem import Problem

KERNELS: dict[str, Kernel] = {
    name: algorithm for name, algorithm in ALGORITHMS.items() if isinstance(algorithm, Kernel)
}
"""The kernel algorithms by name."""


def check_algorithm(name: str) -> None:
    """Raises an :class:`.InputError` if no algorithm has this name.

    >>> check_algorithm("im2col")
    Traceback (most recent call last):
    jaxcnn.errors.InputError: algorithm must be one of 'direct', ..., got 'im2col'.
    """
    choice("algorithm", name, tuple(ALGORITHMS))


# -- the cost of the layout ------------------------------------------------------------------------


class LayoutCost(NamedTuple):
    """The cost of the layout of a call's arrays.

    Attributes:
      moved_bytes: bytes to transpose before and after an algorithm.
      exempt: the algorithms that read and write this layout without transposes.
    """

    moved_bytes: int = 0
    exempt: frozenset[str] = frozenset()


NO_LAYOUT_COST = LayoutCost()
"""No cost: arrays in the layout that every algorithm takes."""


def program_in_layout(name: str, operation: Operation) -> Program | None:
    """The algorithm's program for the layout of a call, if it has one."""
    kernel = KERNELS.get(name)
    return kernel.in_layout(operation) if kernel and kernel.in_layout else None


def layout_cost(operation: Operation) -> LayoutCost:
    """The cost of a call's layout."""
    problem, numbers, batch_groups = operation
    exempt = frozenset(name for name in KERNELS if program_in_layout(name, operation))
    shapes = (problem.x_shape, problem.kernel_shape, problem.output_shape)
    usual = [channels_last(problem.axes)] * (batch_groups == 1)
    if batch_groups == problem.groups:
        usual.append(kernel_gradient_numbers(problem.axes))
    moved = min(
        sum(
            math.prod(shape)
            for shape, spec, own in zip(shapes, numbers, each, strict=True)
            if spec != own
        )
        for each in usual or [channels_last(problem.axes)]
    )
    return LayoutCost(problem.itemsize * moved, exempt)


# -- the choice ------------------------------------------------------------------------------------


def solve(
    problem: Problem,
    x: jax.Array,
    kernel: jax.Array,
    *,
    name: str | None = None,
    excluded: frozenset[str] = frozenset(),
    given_forward_operands: bool = False,
    max_programs: int = tuning.MOST_PROGRAMS,
) -> jax.Array:
    """y (N, *k, O) by the chosen algorithm, or by the named one if it supports the problem.

    Args:
      problem: the convolution to compute.
      x, kernel: the problem's operands.
      name: the name of an algorithm, or None.
      excluded: algorithms that may not be used here.
      given_forward_operands: whether the problem is a kernel gradient, and x and kernel are the
        input and the output gradient of its forward convolution.
      max_programs: the most programs to compile for the problem.
    """
    problem, x = trim_input(problem, x)
    taken = named_or_chosen(problem, name, excluded, max_programs=max_programs)
    algorithm = ALGORITHMS[taken]
    if algorithm.takes_forward_operands != given_forward_operands:
        forward = problem.kernel_gradient()
        if given_forward_operands:
            x, kernel = kernel_gradient_operands(forward, x, kernel)
        else:
            x, kernel = forward_operands(forward, x, kernel)
    if isinstance(algorithm, Kernel):
        return algorithm.run(problem, x, kernel)
    for_a_part = max(1, _programs_for_a_part(algorithm, problem, max_programs))

    def solve_part(part: Problem, x: jax.Array, kernel: jax.Array) -> jax.Array:
        return solve(part, x, kernel, excluded=excluded, max_programs=for_a_part)

    return algorithm.run(problem, x, kernel, solve_part)


def named_or_chosen(
    problem: Problem,
    name: str | None,
    excluded: frozenset[str],
    layout: LayoutCost = NO_LAYOUT_COST,
    max_programs: int = tuning.MOST_PROGRAMS,
) -> str:
    """The named algorithm if it may be used and supports the problem; otherwise the choice."""
    problem, _ = problem.trimmed()
    if (
        name is not None
        and name not in excluded
        and (name in layout.exempt or not ALGORITHMS[name].unsupported_reason(problem))
    ):
        return name
    return choose(problem, excluded, layout, max_programs)


def choose(
    problem: Problem,
    excluded: frozenset[str] = frozenset(),
    layout: LayoutCost = NO_LAYOUT_COST,
    max_programs: int = tuning.MOST_PROGRAMS,
) -> str:
    """The cheapest algorithm; the direct call if no other is clearly cheaper.

    Kernels that are not :attr:`.Kernel.local` are never chosen.

    Args:
      problem: the convolution to compute.
      excluded: algorithms that may not be used here.
      layout: the cost of the layout of its arrays.
      max_programs: the most programs to compile for the problem.
    """
    return _cheapest(problem, _with_unavailable(excluded), layout, max_programs)[0]


def costs(
    problem: Problem,
    excluded: frozenset[str] = frozenset(),
    layout: LayoutCost = NO_LAYOUT_COST,
) -> dict[str, float | str]:
    """The predicted milliseconds of each algorithm, or the reason why it is not used."""
    excluded = _with_unavailable(excluded)
    bare, _ = problem.trimmed()
    return {
        name: _exclusion_reason(bare, name, excluded) or _cost(bare, name, excluded, layout)
        for name in ALGORITHMS
    }


def _with_unavailable(excluded: frozenset[str]) -> frozenset[str]:
    """``excluded`` and the kernels that are unavailable now; that can change within a process."""
    return excluded.union(name for name, kernel in KERNELS.items() if kernel.unavailable())


def _exclusion_reason(
    problem: Problem,
    name: str,
    excluded: frozenset[str],
    max_programs: int = tuning.MOST_PROGRAMS,
) -> str | None:
    algorithm = ALGORITHMS[name]
    if name in excluded:
        unavailable = algorithm.unavailable() if isinstance(algorithm, Kernel) else None
        return unavailable or "excluded where this is compiled"
    reason = algorithm.unsupported_reason(problem)
    if reason is None and not tuning.is_rated(name):
        reason = "by name only: its rates have not been measured"
    if reason is None and not _fits(algorithm, problem, max_programs):
        reason = f"by name only: more than {max_programs} programs to compile"
    return reason


def _fits(algorithm: Algorithm, problem: Problem, max_programs: int) -> bool:
    """Whether the algorithm compiles to at most ``max_programs`` programs."""
    if isinstance(algorithm, Kernel):
        return algorithm.programs(problem) <= max_programs
    return _programs_for_a_part(algorithm, problem, max_programs) >= 1


def _programs_for_a_part(rewrite: Rewrite, problem: Problem, max_programs: int) -> int:
    """The most programs for each part, so that all fit together with the rewrite's own one."""
    parts = rewrite.parts(problem)
    compiled = len(parts) if rewrite.loops else sum(times for _, times in parts)
    return (max_programs - 1) // compiled if compiled else max_programs


@lru_cache(maxsize=65536)
def _cheapest(
    problem: Problem, excluded: frozenset[str], layout: LayoutCost, max_programs: int
) -> tuple[str, float]:
    problem, _ = problem.trimmed()
    direct = _cost(problem, "direct", excluded, layout, max_programs)
    priced = [
        (name, _cost(problem, name, excluded, layout, max_programs))
        for name, algorithm in ALGORITHMS.items()
        if name != "direct"
        and algorithm.local
        and not _exclusion_reason(problem, name, excluded, max_programs)
    ]
    name, cost = min(priced, key=lambda each: each[1], default=("direct", direct))
    return (name, cost) if cost < tuning.WORTH * direct else ("direct", direct)


def _cost(
    problem: Problem,
    name: str,
    excluded: frozenset[str],
    layout: LayoutCost = NO_LAYOUT_COST,
    max_programs: int = tuning.MOST_PROGRAMS,
) -> float:
    """Predicted milliseconds of an algorithm for a problem that it supports."""
    if problem.is_empty:
        return 0.0
    algorithm = ALGORITHMS[name]
    work = algorithm.work(problem)
    cost = milliseconds(work, tuning.rates_for(name, work.kind, problem.dtype))
    cost += 0 if name in layout.exempt else tuning.TRANSPOSE_MS_PER_BYTE * layout.moved_bytes
    if isinstance(algorithm, Kernel):
        return cost
    for_a_part = _programs_for_a_part(algorithm, problem, max_programs)
    return cost + sum(
        times * _cheapest(part, excluded, NO_LAYOUT_COST, for_a_part)[1]
        for part, times in algorithm.parts(problem)
    )


def milliseconds(work: Work, rates: tuning.Rates) -> float:
    """The milliseconds of an algorithm's own work at these rates."""
    return rates.turn * work.turns + rates.operation * work.operations + rates.byte * work.traffic
