"""Tap by tap: y is the sum over the filter's taps of shifted x times the tap's weights.

For filters that see few channels each (depthwise above all) the products vectorise over channels,
and XLA makes one loop of the whole sum. Any stride and dilation: a tap is a strided slice.
"""

from __future__ import annotations

from functools import reduce
from operator import add

import jax
from jax import lax

from jaxcnn.convolve.algorithms.algorithm import (
    Algorithm,
    Solve,
    Work,
    accumulator,
    over_batch,
    padded,
    refuse_unplain,
    tap_slices,
    traffic,
)
from jaxcnn.convolve.layout import split_groups
from jaxcnn.convolve.problem import Problem

MOST_PRODUCTS = 96  # unrolled; beyond that XLA's compile time grows out of hand
BARRIER_EVERY = 9  # products in one fused expression


def unsupported_reason(problem: Problem) -> str | None:
    """More than a handful of channels in a group, or more taps than one would unroll."""
    reason = refuse_unplain(problem)
    if reason is None and problem.taps * problem.group_channels[0] > MOST_PRODUCTS:
        reason = f"more than {MOST_PRODUCTS} products for one output"
    if reason is None and problem.group_channels[0] > 4:
        reason = "more than 4 channels in a group"
    return reason


def run(problem: Problem, x: jax.Array, kernel: jax.Array, solve: Solve) -> jax.Array:
    """The sum over taps, in an accumulator of float32 at least."""
    del solve
    c, filters = problem.group_channels
    wide = accumulator(problem.dtype)
    weights = split_groups(kernel.reshape(problem.taps, c, -1), problem.groups).astype(wide)
    places = (1,) * (problem.axes + 1)

    def each(problem: Problem, x: jax.Array) -> jax.Array:
        problem, x = padded(problem, x)
        total, pending = None, []
        for tap, cells in enumerate(tap_slices(problem, x)):
            for channel in range(c):
                seen = cells if c == 1 else cells[..., channel::c]
                if filters == 1:
                    own = weights[tap, channel, :, 0]
                else:
                    seen, own = seen[..., None], weights[tap, channel]
                pending.append(seen.astype(wide) * own.reshape(*places, *own.shape))
            if len(pending) >= BARRIER_EVERY:
                total = reduce(add, pending if total is None else [total, *pending])
                total, pending = lax.optimization_barrier(total), []
        total = reduce(add, pending if total is None else [total, *pending])
        return total.astype(problem.dtype).reshape(problem.output_shape)

    size = problem.itemsize * max(
        problem.places * problem.out_channels,
        x.size / problem.batch,
    )
    return over_batch(problem, x, size, each)


def work(problem: Problem) -> Work:
    """The definition's multiply-adds, in vector lanes; each tap reads x once more from cache."""
    kind = "one" if problem.group_channels == (1, 1) else "many"
    return Work(problem.multiply_adds, traffic(problem), kind=kind)


def written(problem: Problem) -> int:
    """A fused expression for every few products."""
    return -(-problem.taps * problem.group_channels[0] // BARRIER_EVERY)


ALGORITHM = Algorithm("taps", unsupported_reason, work, run, written=written)
