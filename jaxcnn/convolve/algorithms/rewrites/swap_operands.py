"""Input and kernel swapped: base dilation becomes dilation.

The problem y[n, i, o] = sum over m, c of x[n, m, c] * w[b*m + lo - i, c, o] has the base dilation
b. Its kernel can be read as an input, at cells b apart, and its input as a kernel:

    y[n, k-1-j, o] = sum over m, c of w_o[j + b*m - (k-1-lo), c] * x_n[m, c]

This is a convolution of the O filters as examples with the N examples as filters, dilated by b. So
the kernel gradient of a transposed convolution is that of the strided convolution that it
transposes.

The swap is not supported if the kernel then needs padding: a cell of x would be multiplied by zeros
that are not in the outputs' sums, and an infinite cell would make the outputs NaN.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxcnn.convolve.algorithms.protocol import Rewrite, Solve, Work
from jaxcnn.convolve.algorithms.shared import no_base_dilation_reason, traffic

if TYPE_CHECKING:
    from jaxcnn.convolve.problem import Problem


def unsupported_reason(problem: Problem) -> str | None:
    """Not supported: no base dilation; groups, stride, dilation; small or padded kernels."""
    reason = no_base_dilation_reason(problem)
    if reason is None and problem.groups > 1:
        reason = "groups"
    if reason is None and (set(problem.stride) | set(problem.dilation)) != {1}:
        reason = "stride or dilation with base dilation"
    if reason is None and problem.taps < math.prod(problem.size):
        reason = "an input larger than the kernel"
    if reason is None and max(map(max, _swapped(problem).padding)) > 0:
        reason = "padding around the kernel"
    return reason


def _swapped(problem: Problem) -> Problem:
    """The problem with kernel and input exchanged."""
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
    """The swapped convolution, with its outputs reversed."""
    examples, filters = jnp.moveaxis(kernel, -1, 0), jnp.moveaxis(x, 0, -1)
    y = solve(_swapped(problem), examples, filters)
    return jnp.flip(jnp.swapaxes(y, 0, -1), tuple(range(1, problem.axes + 1)))


def work(problem: Problem) -> Work:
    """Both operands and the result rearranged; the convolution is a part."""
    return Work(0, 2 * traffic(problem))


def parts(problem: Problem) -> list[tuple[Problem, int]]:
    """The swapped problem."""
    return [(_swapped(problem), 1)]


SWAP_OPERANDS = Rewrite("swap_operands", unsupported_reason, work, parts, run)
