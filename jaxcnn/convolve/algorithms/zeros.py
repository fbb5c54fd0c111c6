"""Base dilation as it is defined: zeros put between the cells, then an ordinary convolution."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve.algorithms.algorithm import (
    Algorithm,
    Solve,
    Work,
    refuse_unspread,
    traffic,
)
from jaxcnn.convolve.problem import Problem


def unsupported_reason(problem: Problem) -> str | None:
    """No base dilation."""
    return refuse_unspread(problem)


def _spread(problem: Problem) -> Problem:
    """The ordinary problem over the cells with zeros and padding around them.

    Padding is laid in the same pass as the zeros; what lax.pad cuts off where it is negative, no
    window reads.
    """
    size = tuple(n + lo + hi for n, (lo, hi) in zip(problem.spread, problem.padding, strict=True))
    return replace(
        problem,
        size=size,
        padding=tuple((0, 0) for _ in size),
        base_dilation=(1,) * problem.axes,
    )


def run(problem: Problem, x: jax.Array, kernel: jax.Array, solve: Solve) -> jax.Array:
    """The ordinary convolution of the spread-out x."""
    inside = [
        (lo, hi, b - 1) for (lo, hi), b in zip(problem.padding, problem.base_dilation, strict=True)
    ]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *inside, (0, 0, 0)])
    return solve(_spread(problem), lax.optimization_barrier(x), kernel)


def work(problem: Problem) -> Work:
    """The spread-out x written; the convolution is a part."""
    return Work(0, 2 * traffic(_spread(problem)))


def parts(problem: Problem) -> list[tuple[Problem, int]]:
    """The ordinary problem."""
    return [(_spread(problem), 1)]


ALGORITHM = Algorithm("zeros", unsupported_reason, work, run, parts)
