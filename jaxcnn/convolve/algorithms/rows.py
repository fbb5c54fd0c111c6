"""A depthwise kernel gradient, tap by tap: the products of shifted x with the output gradient.

For each tap the products of one example are summed over all axes but the last spatial one, whose
sum comes once, at the end: the inner loop adds vectors of (last axis, channels) in place.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve.algorithms.algorithm import (
    Algorithm,
    Solve,
    Work,
    accumulator,
    padded,
    refuse_unplain,
    tap_slices,
    traffic,
)
from jaxcnn.convolve.layout import from_kernel_gradient
from jaxcnn.convolve.problem import Problem

MOST_TAPS = 64


def refuses(problem: Problem) -> str | None:
    """All but kernel gradients of convolutions with one filter a channel."""
    reason = refuse_unplain(problem)
    if reason is None and not problem.is_kernel_gradient:
        reason = "no kernel gradient"
    if reason is None:
        forward = problem.exchanged()
        if forward.group_channels != (1, 1):
            reason = "not depthwise with one filter a channel"
        elif forward.taps > MOST_TAPS:
            reason = f"more than {MOST_TAPS} taps"
    return reason


def run(problem: Problem, x: jax.Array, kernel: jax.Array, solve: Solve) -> jax.Array:
    """Accumulators (taps, last axis, C) over the examples, then summed over the last axis."""
    del solve
    forward = problem.exchanged()
    x, g = from_kernel_gradient(forward, x, kernel)
    bare, x = padded(forward, x)
    wide = accumulator(problem.dtype)
    across = tuple(range(1, forward.axes))

    def add(totals: list[jax.Array], both: tuple[jax.Array, jax.Array]) -> tuple[list, None]:
        x, g = both
        cells = tap_slices(bare, x[None])
        products = [tap.astype(wide) * g.astype(wide) for tap in cells]
        return [
            total + product.sum(axis=(0, *across))
            for total, product in zip(totals, products, strict=True)
        ], None

    start = [jnp.zeros((forward.output[-1], forward.out_channels), wide)] * forward.taps
    totals = lax.scan(add, start, (x, g))[0]
    y = jnp.stack([total.sum(0) for total in totals]).astype(problem.dtype)
    return y.reshape(problem.output_shape)


def work(problem: Problem) -> Work:
    """The definition's multiply-adds, in vector lanes."""
    return Work(problem.multiply_adds, traffic(problem), turns=problem.exchanged().batch)


ALGORITHM = Algorithm("rows", refuses, work, run)
