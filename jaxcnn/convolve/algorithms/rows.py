"""A depthwise kernel gradient, tap by tap: the products of shifted x with the output gradient.

For each tap the products are summed over all spatial axes but the last in one vectorised expression
over (N, last axis, C), whose last two axes lie side by side in memory; what is left is summed as a
product with a row of ones.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

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
    refuse_unplain,
    traffic,
)
from jaxcnn.convolve.layout import from_kernel_gradient
from jaxcnn.convolve.problem import Problem

MOST_TAPS = 64
MOST_PRODUCTS = 3000  # unrolled: beyond that compiling takes seconds
TOGETHER = 28  # products in one expression


def refuses(problem: Problem) -> str | None:
    """All but kernel gradients of depthwise convolutions with one filter a channel."""
    reason = refuse_unplain(problem)
    if reason is None:
        forward = problem.exchanged()
        if forward.group_channels != (1, 1) or forward.groups == 1:
            reason = "not the kernel gradient of a depthwise convolution, one filter a channel"
        elif forward.axes == 1:
            reason = "one axis: nothing to sum before the last"
        elif not forward.is_plain:
            reason = "a forward convolution that is not plain"
        elif forward.taps > MOST_TAPS:
            reason = f"more than {MOST_TAPS} taps"
        elif forward.taps * forward.places // forward.output[-1] > MOST_PRODUCTS:
            reason = f"more than {MOST_PRODUCTS} products to unroll"
    return reason


def run(problem: Problem, x: jax.Array, kernel: jax.Array, solve: Solve) -> jax.Array:
    """One example at a time where all of them together would not stay in cache."""
    del solve
    forward = problem.exchanged()
    x, g = from_kernel_gradient(forward, x, kernel)
    if forward.batch == 1 or 2 * traffic(forward) <= LARGEST_TEMPORARY:
        y = _sums(forward, x, g)
    else:
        single = replace(forward, batch=1)

        def add(total: jax.Array, both: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
            x, g = both
            return total + _sums(single, x[None], g[None]), None

        start = jnp.zeros((forward.taps, forward.out_channels), accumulator(problem.dtype))
        y = lax.scan(add, start, (x, g))[0]
    return y.astype(problem.dtype).reshape(problem.output_shape)


def _sums(forward: Problem, x: jax.Array, g: jax.Array) -> jax.Array:
    """The kernel gradient (taps, C) in the accumulator's dtype."""
    bare, x = padded(forward, x)
    wide, channels = accumulator(forward.dtype), forward.out_channels
    phases = _phases(bare, x)
    *across, width = bare.output
    g = g.reshape(*g.shape[:-2], width * channels)
    ones = jnp.ones((1, forward.batch * width), wide)
    sums = []
    for tap in product(*map(range, bare.filter)):
        total: jax.Array | None = None
        for number, place in enumerate(product(*map(range, across))):
            cells = _row(bare, phases, tap, place)
            term = cells.astype(wide) * g[(slice(None), *place)].astype(wide)
            total = term if total is None else total + term
            if number % TOGETHER == TOGETHER - 1:
                total = lax.optimization_barrier(total)
        total = lax.optimization_barrier(total)
        sums.append(ones @ total.reshape(-1, channels))
    return jnp.concatenate(sums)


def _phases(problem: Problem, x: jax.Array) -> list[jax.Array]:
    """On the last axis, for each remainder modulo the stride the cells (N, ..., cells * C)."""
    stride, phases = problem.stride[-1], []
    for first in range(stride):
        cells = x[..., first::stride, :]
        phases.append(cells.reshape(*cells.shape[:-2], -1))
    return phases if stride == 1 else list(lax.optimization_barrier(tuple(phases)))


def _row(
    problem: Problem, phases: list[jax.Array], tap: tuple[int, ...], place: tuple[int, ...]
) -> jax.Array:
    """The cells (N, k*C) that a tap meets at the outputs of one row."""
    at = tuple(
        p * s + t * d
        for p, s, t, d in zip(place, problem.stride, tap, problem.dilation, strict=False)
    )
    quotient, phase = divmod(tap[-1] * problem.dilation[-1], problem.stride[-1])
    row, channels = phases[phase][(slice(None), *at)], problem.out_channels
    return row[:, quotient * channels : (quotient + problem.output[-1]) * channels]


def work(problem: Problem) -> Work:
    """The definition's multiply-adds, in vector lanes."""
    forward = problem.exchanged()
    large = 2 * traffic(forward) > LARGEST_TEMPORARY
    return Work(
        problem.multiply_adds,
        traffic(problem),
        turns=forward.batch if large else 1,
        kind="loop" if large else "",
    )


ALGORITHM = Algorithm("rows", refuses, work, run)
