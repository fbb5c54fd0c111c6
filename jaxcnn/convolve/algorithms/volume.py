"""A depthwise kernel gradient as one convolution of an axis more: the batch.

The gradient of tap f of channel c is a sum over places and over examples,

    y[f, c] = sum over n, m of x[n, s*m + d*f - lo, c] * g[n, m, c],

which is a depthwise convolution of the single volume x (N, *size, C) with the single filter
g (N, *k, C), its stride d and its dilation s. On the batch's axis filter and volume are of the same
length, so it has one output there. Where the arrays are large, a few examples at a time are summed
in a loop: oneDNN lays the filter out anew, in memory that is fresh every time.
"""

from __future__ import annotations

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve.algorithms.algorithm import (
    Algorithm,
    Solve,
    Work,
    accumulator,
    refuse_unplain,
    traffic,
)
from jaxcnn.convolve.layout import from_kernel_gradient
from jaxcnn.convolve.problem import Problem

MOST_AXES = 2
WHOLE = 16 * 2**20
"""Bytes of x and of the output gradient up to which all examples are taken together."""

PORTION = 10 * 2**20
"""Bytes of what is taken together otherwise; two examples at least."""


def refuses(problem: Problem) -> str | None:
    """All but kernel gradients of depthwise convolutions with one filter a channel."""
    reason = refuse_unplain(problem)
    if reason is None:
        forward = problem.exchanged()
        if forward.group_channels != (1, 1) or forward.groups == 1:
            reason = "not the kernel gradient of a depthwise convolution, one filter a channel"
        elif not forward.is_plain:
            reason = "a forward convolution that is not plain"
        elif forward.axes > MOST_AXES:
            reason = f"more than {MOST_AXES} axes"
        elif forward.batch == 1:
            reason = "one example: a depthwise convolution as it is"
    return reason


def _together(forward: Problem) -> int:
    """How many examples are taken together: a divisor of the batch."""
    numbers = max(math.prod(forward.x_shape), math.prod(forward.output_shape))
    size, batch = numbers * forward.itemsize, forward.batch
    # Slices of bfloat16 in a loop are no help: XLA makes whole arrays of float32 first.
    if size <= WHOLE or forward.itemsize < 4:
        return batch
    divisors = [m for m in range(2, batch + 1) if batch % m == 0]
    return max((m for m in divisors if m * size <= PORTION * batch), default=divisors[0])


def _volume(forward: Problem, together: int) -> Problem:
    """The convolution that sums over so many examples."""
    other = replace(
        forward,
        batch=1,
        size=(together, *forward.size),
        filter=(together, *forward.output),
        stride=(1, *forward.dilation),
        padding=((0, 0), *forward.padding),
        base_dilation=(),
        dilation=(1, *forward.stride),
    )
    return other.with_padding_for((1, *forward.filter))


def run(problem: Problem, x: jax.Array, kernel: jax.Array, solve: Solve) -> jax.Array:
    """The volume's convolution, or the sum of those of its portions."""
    forward = problem.exchanged()
    x, g = from_kernel_gradient(forward, x, kernel)
    together = _together(forward)
    volume = _volume(forward, together)

    def portion(x: jax.Array, g: jax.Array) -> jax.Array:
        return solve(volume, x[None], g[..., None, :])[0, 0]

    if together == forward.batch:
        y = portion(x, g)
    else:
        wide = accumulator(problem.dtype)

        def add(total: jax.Array, both: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
            return total + portion(*both).astype(wide), None

        start = jnp.zeros((*forward.filter, forward.out_channels), wide)
        portions = [a.reshape(-1, together, *a.shape[1:]) for a in (x, g)]
        y = lax.scan(add, start, tuple(portions))[0].astype(problem.dtype)
    return y.reshape(problem.output_shape)


def work(problem: Problem) -> Work:
    """What a loop slices out; the convolutions are parts."""
    forward = problem.exchanged()
    turns = forward.batch // _together(forward)
    return Work(0, 2 * traffic(problem) if turns > 1 else 0, turns)


def parts(problem: Problem) -> list[tuple[Problem, int]]:
    """The volume of one portion, as often as there are portions."""
    forward = problem.exchanged()
    together = _together(forward)
    return [(_volume(forward, together), forward.batch // together)]


ALGORITHM = Algorithm("volume", refuses, work, run, parts)
