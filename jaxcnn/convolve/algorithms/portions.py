"""A kernel gradient summed over portions of the batch, in a loop.

The batch of a kernel gradient is what its convolution sums over (its channels): over a few examples
at a time operands stay in cache.
"""

from __future__ import annotations

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve.algorithms.algorithm import (
    Algorithm,
    Solve,
    Work,
    accumulator,
    refuse_unplain,
    traffic,
)
from jaxcnn.convolve.layout import as_kernel_gradient
from jaxcnn.convolve.problem import Problem

EXAMPLES = 16  # at a time


def _portion(problem: Problem) -> tuple[int, Problem]:
    """How many examples at a time, and the problem of so many."""
    examples, _ = problem.group_channels
    at_once = EXAMPLES
    while examples % at_once:
        at_once //= 2
    return at_once, replace(problem, in_channels=problem.groups * at_once)


def unsupported_reason(problem: Problem) -> str | None:
    """Depthwise ones, and a batch of one portion only."""
    reason = refuse_unplain(problem)
    if reason is None and not problem.kernel_gradient().is_plain:
        reason = "a forward convolution that is not plain"
    if reason is None and problem.kernel_gradient().is_depthwise:
        reason = "a depthwise convolution's"
    if reason is None and problem.group_channels[0] == _portion(problem)[0]:
        reason = "a batch of one portion"
    return reason


def run(problem: Problem, x: jax.Array, g: jax.Array, solve: Solve) -> jax.Array:
    """The sum over portions, kept in float32 at least."""
    at_once, portion = _portion(problem)
    few = portion.kernel_gradient()

    def add(total: jax.Array, both: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        y = solve(portion, *as_kernel_gradient(few, *both))
        return total + y.astype(total.dtype), None

    turns = problem.group_channels[0] // at_once
    both = (x.reshape(turns, at_once, *x.shape[1:]), g.reshape(turns, at_once, *g.shape[1:]))
    start = jnp.zeros(problem.output_shape, accumulator(problem.dtype))
    return lax.scan(add, start, both)[0].astype(problem.dtype)


def work(problem: Problem) -> Work:
    """The operands laid out anew, portion by portion; the convolutions are parts."""
    turns = problem.group_channels[0] // _portion(problem)[0]
    totals = 8 * math.prod(problem.output_shape) * turns
    return Work(0, 2 * traffic(problem) + totals, turns=turns)


def parts(problem: Problem) -> list[tuple[Problem, int]]:
    """One convolution a portion."""
    at_once, portion = _portion(problem)
    return [(portion, problem.group_channels[0] // at_once)]


ALGORITHM = Algorithm("portions", unsupported_reason, work, run, parts, of_forward=True, loops=True)
