"""Input and kernel change places: base dilation becomes dilation.

With y[n, i, o] = sum over m, c of x[n, m, c] * w[b*m + lo - i, c, o], where b is the base dilation,
the kernel is read like an input, at cells b apart, and the input like a kernel:

    y[n, k-1-j, o] = sum over m, c of w_o[j + b*m - (k-1-lo), c] * x_n[m, c]

is a convolution of the O filters as examples with the N examples as filters, dilated by b. So the
kernel gradient of a transposed convolution is that of the strided convolution whose adjoint it is.

Only where the kernel needs no padding when it is read so: a cell of x that lay on it would be
multiplied by zeros that are not in its outputs' sums, and make NaN of them where it is infinite.
"""

from __future__ import annotations

import math
from dataclasses import replace

import jax
import jax.numpy as jnp

from jaxcnn.convolve.algorithms.algorithm import (
    Algorithm,
    Solve,
    Work,
    refuse_unspread,
    traffic,
)
from jaxcnn.convolve.problem import Problem


def unsupported_reason(problem: Problem) -> str | None:
    """No base dilation, groups, stride or dilation beside it, small filters, a padded kernel."""
    reason = refuse_unspread(problem)
    if reason is None and problem.groups > 1:
        reason = "groups"
    if reason is None and (set(problem.stride) | set(problem.dilation)) != {1}:
        reason = "stride or dilation beside the base dilation"
    if reason is None and problem.taps < math.prod(problem.size):
        reason = "an input larger than the filter"
    if reason is None and max(map(max, _swapped(problem).padding)) > 0:
        reason = "padding around the filter"
    return reason


def _swapped(problem: Problem) -> Problem:
    other = replace(
        problem,
        batch=problem.out_channels,
        size=problem.kernel_size,
        kernel_size=problem.size,
        out_channels=problem.batch,
        dilation=problem.base_dilation,
        base_dilation=problem.dilation,
        padding=tuple(
            (k - 1 - lo, 0) for k, (lo, _) in zip(problem.output, problem.padding, strict=True)
        ),
    )
    return other.with_padding_for(problem.output)


def run(problem: Problem, x: jax.Array, kernel: jax.Array, solve: Solve) -> jax.Array:
    """The other convolution, its outputs in reverse."""
    examples, filters = jnp.moveaxis(kernel, -1, 0), jnp.moveaxis(x, 0, -1)
    y = solve(_swapped(problem), examples, filters)
    return jnp.flip(jnp.swapaxes(y, 0, -1), tuple(range(1, problem.axes + 1)))


def work(problem: Problem) -> Work:
    """Both operands and the result laid out anew; the convolution is a part."""
    return Work(0, 2 * traffic(problem))


def parts(problem: Problem) -> list[tuple[Problem, int]]:
    """The other problem."""
    return [(_swapped(problem), 1)]


ALGORITHM = Algorithm("swapped", unsupported_reason, work, run, parts)
