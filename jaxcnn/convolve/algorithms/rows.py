"""A depthwise kernel gradient, tap by tap: the products of shifted x with the output gradient.

For each tap the products of a few rows of outputs are summed in one vectorised expression over
(N, ..., row of rows, last axis, C), whose last two axes lie side by side in memory; what is left is
summed as a product with a row of ones. Of a single axis, a few stretches are the rows.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from itertools import product
from operator import add

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve.algorithms.algorithm import (
    LARGEST_TEMPORARY,
    Algorithm,
    Solve,
    Work,
    accumulator,
    padded,
    refuse_no_depthwise_gradient,
    traffic,
)
from jaxcnn.convolve.problem import Problem

MOST_TAPS = 64
TOGETHER = range(10, 3, -1)  # rows summed in one expression


def unsupported_reason(problem: Problem) -> str | None:
    """All but depthwise kernel gradients of few taps."""
    reason = refuse_no_depthwise_gradient(problem)
    if reason is None and problem.places > MOST_TAPS:
        reason = f"more than {MOST_TAPS} taps"
    return reason


def run(problem: Problem, x: jax.Array, g: jax.Array, solve: Solve) -> jax.Array:
    """One example at a time where all of them together would not stay in cache."""
    del solve
    forward = problem.kernel_gradient()
    if forward.batch == 1 or 2 * traffic(forward) <= LARGEST_TEMPORARY:
        y = _sums(forward, x, g)
    else:
        single = replace(forward, batch=1)

        def one_more(total: jax.Array, both: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
            x, g = both
            return total + _sums(single, x[None], g[None]), None

        start = jnp.zeros((forward.taps, forward.out_channels), accumulator(problem.dtype))
        y = lax.scan(one_more, start, (x, g))[0]
    return y.astype(problem.dtype).reshape(problem.output_shape)


def _sums(forward: Problem, x: jax.Array, g: jax.Array) -> jax.Array:
    """The kernel gradient (taps, C) in the accumulator's dtype."""
    wide, channels = accumulator(forward.dtype), forward.out_channels
    summed = max(0, forward.axes - 2)  # the axis whose rows, or stretches, are summed
    rows = forward.output[summed]
    together = next((n for n in TOGETHER if rows % n == 0), rows if rows < 16 else 8)
    bare, x = padded(forward, x)
    phases = _phases(bare, x)
    g = g.reshape(*g.shape[:-2], -1)
    sums = []
    for tap in product(*map(range, bare.kernel_size)):
        cells = _cells(bare, phases, tap)
        *terms, rest = (
            a.astype(wide) * b.astype(wide)
            for a, b in zip(
                _parts(cells, together, channels), _parts(g, together, channels), strict=True
            )
        )
        total = lax.optimization_barrier(reduce(add, terms)).reshape(-1, channels)
        if rest.size:
            total = jnp.concatenate([total, rest.reshape(-1, channels)])
        sums.append(jnp.ones((1, len(total)), wide) @ total)
    return jnp.concatenate(sums)


def _parts(cells: jax.Array, together: int, channels: int) -> list[jax.Array]:
    """What is summed, and last the rows that are left over.

    Every ``together``-th row of (N, ..., rows, k*C); stretches of (N, k*C).
    """
    if cells.ndim == 2:
        stretch = cells.shape[1] // (together * channels) * channels
        ends = [stretch * count for count in range(1, together + 1)]
        return jnp.split(cells, ends, axis=1)
    whole = cells.shape[-2] // together * together
    parts = [cells[..., first:whole:together, :] for first in range(together)]
    return [*parts, cells[..., whole:, :]]


def _phases(problem: Problem, x: jax.Array) -> list[jax.Array]:
    """On the last axis, for each remainder modulo the stride the cells (N, ..., cells * C)."""
    stride, phases = problem.stride[-1], []
    for first in range(stride):
        cells = x[..., first::stride, :]
        phases.append(cells.reshape(*cells.shape[:-2], -1))
    return phases if stride == 1 else list(lax.optimization_barrier(tuple(phases)))


def _cells(problem: Problem, phases: list[jax.Array], tap: tuple[int, ...]) -> jax.Array:
    """What a tap meets at all outputs: (N, ..., k*C)."""
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
    large = 2 * traffic(forward) > LARGEST_TEMPORARY
    return Work(
        problem.multiply_adds,
        traffic(problem),
        turns=forward.batch if large else 1,
        kind="loop" if large else "",
    )


def written(problem: Problem) -> int:
    """Two programs a tap."""
    return 2 * problem.places


ALGORITHM = Algorithm("rows", unsupported_reason, work, run, of_forward=True, written=written)
