"""A depthwise kernel gradient, tap by tap: the products of shifted x with the output gradient.

For each tap the products of a few rows of outputs are summed in one vectorised expression over
(N, ..., row of rows, last axis, C), whose last two axes are neighbours in memory. A product with a
row of ones sums the rest. With a single axis, stretches of that axis are the rows.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from itertools import product
from operator import add
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve import tuning
from jaxcnn.convolve.algorithms.protocol import Kernel, Work
from jaxcnn.convolve.algorithms.shared import (
    not_plain_gradient_reason,
    pad_input,
    traffic,
)
from jaxcnn.convolve.dtypes import accumulator

if TYPE_CHECKING:
    from jaxcnn.convolve.problem import Problem


def unsupported_reason(problem: Problem) -> str | None:
    """Supported: kernel gradients of plain depthwise problems, one filter per channel, few taps."""
    reason = not_plain_gradient_reason(problem)
    if reason is None:
        forward = problem.kernel_gradient()
        if forward.group_channels != (1, 1) or forward.groups == 1:
            reason = "not the kernel gradient of a depthwise convolution, one filter per channel"
    if reason is None and problem.output_cells > tuning.DEPTHWISE_GRADIENT_MOST_TAPS:
        reason = f"more than {tuning.DEPTHWISE_GRADIENT_MOST_TAPS} taps"
    return reason


def run(problem: Problem, x: jax.Array, g: jax.Array) -> jax.Array:
    """The gradient from all examples together, or one at a time if they would not fit in cache."""
    forward = problem.kernel_gradient()
    if forward.batch == 1 or 2 * traffic(forward) <= tuning.LARGEST_TEMPORARY:
        y = _sums(forward, x, g)
    else:
        single = replace(forward, batch=1)

        def add_example(
            total: jax.Array, both: tuple[jax.Array, jax.Array]
        ) -> tuple[jax.Array, None]:
            x, g = both
            return total + _sums(single, x[None], g[None]), None

        start = jnp.zeros((forward.taps, forward.out_channels), accumulator(problem.dtype))
        y = lax.scan(add_example, start, (x, g))[0]
    return y.astype(problem.dtype).reshape(problem.output_shape)


def _sums(forward: Problem, x: jax.Array, g: jax.Array) -> jax.Array:
    """The kernel gradient (taps, C) in the accumulator's dtype."""
    wide, channels = accumulator(forward.dtype), forward.out_channels
    summed = max(0, forward.axes - 2)  # the axis whose rows, or stretches, are summed
    rows = forward.output[summed]
    divisors = (n for n in tuning.DEPTHWISE_GRADIENT_ROWS if rows % n == 0)
    together = next(divisors, rows if rows < 16 else 8)
    bare, x = pad_input(forward, x)
    phases = _phases(bare, x)
    g = g.reshape(*g.shape[:-2], -1)
    sums = []
    for tap in product(*map(range, bare.kernel_size)):
        cells = _cells(bare, phases, tap)
        *terms, rest = (
            a.astype(wide) * b.astype(wide)
            for a, b in zip(
                _row_parts(cells, together, channels),
                _row_parts(g, together, channels),
                strict=True,
            )
        )
        total = lax.optimization_barrier(reduce(add, terms)).reshape(-1, channels)
        if rest.size:
            total = jnp.concatenate([total, rest.reshape(-1, channels)])
        sums.append(jnp.ones((1, len(total)), wide) @ total)
    return jnp.concatenate(sums)


def _row_parts(cells: jax.Array, together: int, channels: int) -> list[jax.Array]:
    """The parts to sum, and last the rows that are left over.

    A part is every ``together``-th row of (N, ..., rows, k*C), or a stretch of (N, k*C).
    """
    if cells.ndim == 2:
        stretch = cells.shape[1] // (together * channels) * channels
        ends = [stretch * count for count in range(1, together + 1)]
        return jnp.split(cells, ends, axis=1)
    whole = cells.shape[-2] // together * together
    parts = [cells[..., first:whole:together, :] for first in range(together)]
    return [*parts, cells[..., whole:, :]]


def _phases(problem: Problem, x: jax.Array) -> list[jax.Array]:
    """The cells (N, ..., cells * C) of each remainder modulo the stride, on the last axis."""
    stride, phases = problem.stride[-1], []
    for first in range(stride):
        cells = x[..., first::stride, :]
        phases.append(cells.reshape(*cells.shape[:-2], -1))
    return phases if stride == 1 else list(lax.optimization_barrier(tuple(phases)))


def _cells(problem: Problem, phases: list[jax.Array], tap: tuple[int, ...]) -> jax.Array:
    """The cells that a tap reads, one for each output: (N, ..., k*C)."""
    quotient, phase = divmod(tap[-1] * problem.dilation[-1], problem.stride[-1])
    ranges = []
    for axis, k in enumerate(problem.output[:-1]):
        stride, start = problem.stride[axis], tap[axis] * problem.dilation[axis]
        ranges.append(slice(start, start + (k - 1) * stride + 1, stride))
    channels = problem.out_channels
    ends = slice(quotient * channels, (quotient + problem.output[-1]) * channels)
    return phases[phase][(slice(None), *ranges, ends)]


def work(problem: Problem) -> Work:
    """The definition's multiply-adds, in vector lanes."""
    forward = problem.kernel_gradient()
    large = 2 * traffic(forward) > tuning.LARGEST_TEMPORARY
    return Work(
        problem.multiply_adds,
        traffic(problem),
        turns=forward.batch if large else 1,
        kind="loop" if large else "",
    )


def programs(problem: Problem) -> int:
    """Two programs per tap."""
    return 2 * problem.output_cells


DEPTHWISE_KERNEL_GRADIENT = Kernel(
    "depthwise_kernel_gradient",
    unsupported_reason,
    work,
    run,
    programs,
    takes_forward_operands=True,
)
