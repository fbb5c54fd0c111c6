"""A volume as images: the sum, over the taps of the first axis, of convolutions of one axis less.

The first axis joins the batch. Eigen's two-dimensional convolution is what XLA's CPU compiler is
good at.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import add

import jax
from jax import lax

from jaxcnn.convolve.algorithms.algorithm import (
    Algorithm,
    Solve,
    Work,
    accumulator,
    padded,
    refuse_unplain,
    traffic,
)
from jaxcnn.convolve.problem import Problem

MOST_TAPS = 16


def unsupported_reason(problem: Problem) -> str | None:
    """Fewer than three axes, many taps on the first, or kernel gradients in groups."""
    reason = refuse_unplain(problem)
    if reason is None and problem.axes < 3:
        reason = "fewer than three axes"
    if reason is None and problem.kernel_size[0] > MOST_TAPS:
        reason = f"more than {MOST_TAPS} taps on the first axis"
    if reason is None and problem.groups > 1 and problem.is_thin:
        reason = "a kernel gradient in groups: a program of many small parts"
    return reason


def _slab(problem: Problem) -> Problem:
    """The problem of one tap of the first axis, its outputs in the batch."""
    return replace(
        problem,
        batch=problem.batch * problem.output[0],
        size=problem.size[1:],
        kernel_size=problem.kernel_size[1:],
        stride=problem.stride[1:],
        padding=problem.padding[1:],
        base_dilation=problem.base_dilation[1:],
        dilation=problem.dilation[1:],
    )


def run(problem: Problem, x: jax.Array, kernel: jax.Array, solve: Solve) -> jax.Array:
    """The sum of the slabs, in float32 at least."""
    first = replace(problem, padding=(problem.padding[0], *((0, 0),) * (problem.axes - 1)))
    _, x = padded(first, x)
    slab, k, s = _slab(problem), problem.output[0], problem.stride[0]
    wide = accumulator(problem.dtype)
    results = []
    for tap in range(problem.kernel_size[0]):
        start = tap * problem.dilation[0]
        cells = lax.slice_in_dim(x, start, start + (k - 1) * s + 1, s, axis=1)
        y = solve(slab, cells.reshape(slab.x_shape), kernel[tap])
        results.append(y.astype(wide))
    return reduce(add, results).astype(problem.dtype).reshape(problem.output_shape)


def work(problem: Problem) -> Work:
    """y written once a tap; the convolutions are parts."""
    return Work(0, (1 + problem.kernel_size[0]) * traffic(problem))


def parts(problem: Problem) -> list[tuple[Problem, int]]:
    """One image problem a tap of the first axis."""
    return [(_slab(problem), problem.kernel_size[0])]


ALGORITHM = Algorithm("slabs", unsupported_reason, work, run, parts)
