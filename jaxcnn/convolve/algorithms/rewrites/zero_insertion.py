"""Base dilation by its definition: zeros between the cells, then an ordinary convolution."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import jax
from jax import lax

from jaxcnn.convolve.algorithms.protocol import Rewrite, Solve, Work
from jaxcnn.convolve.algorithms.shared import dilate_input, no_base_dilation_reason, traffic

if TYPE_CHECKING:
    from jaxcnn.convolve.problem import Problem


def _dilated(problem: Problem) -> Problem:
    """The ordinary problem over the cells, with zeros between them and padding around them.

    One pass adds the padding and the zeros. lax.pad crops negative padding.
    """
    size = tuple(
        n + lo + hi for n, (lo, hi) in zip(problem.dilated_size, problem.padding, strict=True)
    )
    return replace(
        problem,
        size=size,
        padding=tuple((0, 0) for _ in size),
        base_dilation=(1,) * problem.axes,
    )


def run(problem: Problem, x: jax.Array, kernel: jax.Array, solve: Solve) -> jax.Array:
    """The ordinary convolution of the dilated x."""
    x = dilate_input(problem, x)
    return solve(_dilated(problem), lax.optimization_barrier(x), kernel)


def work(problem: Problem) -> Work:
    """The dilated x written; the convolution is a part."""
    return Work(0, 2 * traffic(_dilated(problem)))


def parts(problem: Problem) -> list[tuple[Problem, int]]:
    """The ordinary problem."""
    return [(_dilated(problem), 1)]


ZERO_INSERTION = Rewrite("zero_insertion", no_base_dilation_reason, work, parts, run)
