"""A depthwise convolution of a long filter: tap by tap, a few at a time, in a loop.

What :mod:`.taps` writes out for few taps, for any number of them: each turn adds the products of as
many shifted images as one fused expression holds. No image is laid out anew and no cell meets a
weight that is not its own.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn.convolve.algorithms.algorithm import (
    Algorithm,
    Solve,
    Work,
    accumulator,
    over_batch,
    padded,
    refuse_unplain,
    traffic,
)
from jaxcnn.convolve.algorithms.taps import MOST_PRODUCTS
from jaxcnn.convolve.problem import Problem

TOGETHER = 16  # taps in one turn
LANES = 16
"""Rows of outputs hold a multiple of so many numbers: of an odd length XLA's loops take ten times
as long. The extra outputs are cut off at the end."""


def unsupported_reason(problem: Problem) -> str | None:
    """All but depthwise convolutions, one filter a channel, of more taps than one would unroll."""
    reason = refuse_unplain(problem)
    if reason is None and problem.group_channels != (1, 1):
        reason = "not one filter a channel"
    if reason is None and problem.taps <= MOST_PRODUCTS:
        reason = f"at most {MOST_PRODUCTS} taps"
    return reason


def run(problem: Problem, x: jax.Array, kernel: jax.Array, solve: Solve) -> jax.Array:
    """The sum over taps, in an accumulator of float32 at least."""
    del solve
    columns, wide = problem.output[-1], accumulator(problem.dtype)
    step = LANES // math.gcd(LANES, problem.out_channels)
    problem = problem.with_padding_for((*problem.output[:-1], -(-columns // step) * step))
    weights = kernel.reshape(problem.taps, problem.out_channels).astype(wide)
    starts = np.indices(problem.kernel_size, np.int32).reshape(problem.axes, -1).T
    starts = starts * np.array(problem.dilation, np.int32)
    whole = problem.taps // TOGETHER * TOGETHER
    places = jnp.asarray(starts)
    turns = (
        places[:whole].reshape(-1, TOGETHER, problem.axes),
        weights[:whole].reshape(-1, TOGETHER, problem.out_channels),
    )
    rest = places[whole:], weights[whole:]

    def each(problem: Problem, x: jax.Array) -> jax.Array:
        problem, x = padded(problem, x)
        spans = [(k - 1) * s + 1 for k, s in zip(problem.output, problem.stride, strict=True)]
        zero = jnp.zeros((), jnp.int32)

        def some(total: jax.Array, taps: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
            for start, own in zip(*taps, strict=True):
                cells = lax.dynamic_slice(
                    x, (zero, *start, zero), (problem.batch, *spans, problem.in_channels)
                )
                cells = lax.slice(cells, (0,) * cells.ndim, cells.shape, (1, *problem.stride, 1))
                total += cells.astype(wide) * own.reshape(*(1,) * (cells.ndim - 1), -1)
            return total, None

        total, _ = lax.scan(some, jnp.zeros(problem.output_shape, wide), turns)
        return some(total, rest)[0].astype(problem.dtype)

    size = problem.itemsize * max(problem.places * problem.out_channels, x.size / problem.batch)
    return lax.slice_in_dim(over_batch(problem, x, size, each), 0, columns, axis=-2)


def work(problem: Problem) -> Work:
    """The definition's multiply-adds; every turn reads and writes the sum once more."""
    turns = -(-problem.taps // TOGETHER)
    return Work(problem.multiply_adds, traffic(problem), turns)


def written(problem: Problem) -> int:
    """A turn, and the taps that are left over."""
    del problem
    return 4


ALGORITHM = Algorithm("tap_loop", unsupported_reason, work, run, written=written)
