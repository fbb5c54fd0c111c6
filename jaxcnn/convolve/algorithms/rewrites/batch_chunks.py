"""A kernel gradient summed over chunks of the batch, in a loop.

A kernel gradient sums over the batch: the examples are the channels of the problem. With a few
examples at a time the operands stay in cache.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve import tuning
from jaxcnn.convolve.algorithms.protocol import Rewrite, Solve, Work
from jaxcnn.convolve.algorithms.shared import not_plain_gradient_reason, traffic
from jaxcnn.convolve.dtypes import accumulator
from jaxcnn.convolve.layout import kernel_gradient_operands

if TYPE_CHECKING:
    from jaxcnn.convolve.problem import Problem


def _chunk(problem: Problem) -> tuple[int, Problem]:
    """The number of examples in a chunk, and the problem of one chunk."""
    examples, _ = problem.group_channels
    at_once = tuning.BATCH_CHUNK
    while examples % at_once:
        at_once //= 2
    return at_once, replace(problem, in_channels=problem.groups * at_once)


def unsupported_reason(problem: Problem) -> str | None:
    """Not supported: depthwise convolutions, and a batch of one chunk."""
    reason = not_plain_gradient_reason(problem)
    if reason is None and problem.kernel_gradient().is_depthwise:
        reason = "the kernel gradient of a depthwise convolution"
    if reason is None and problem.group_channels[0] == _chunk(problem)[0]:
        reason = "a batch of one chunk"
    return reason


def run(problem: Problem, x: jax.Array, g: jax.Array, solve: Solve) -> jax.Array:
    """The sum over chunks, in an accumulator of float32 at least."""
    at_once, chunk = _chunk(problem)
    forward = chunk.kernel_gradient()

    def add(total: jax.Array, both: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        y = solve(chunk, *kernel_gradient_operands(forward, *both))
        return total + y.astype(total.dtype), None

    turns = problem.group_channels[0] // at_once
    both = (x.reshape(turns, at_once, *x.shape[1:]), g.reshape(turns, at_once, *g.shape[1:]))
    start = jnp.zeros(problem.output_shape, accumulator(problem.dtype))
    return lax.scan(add, start, both)[0].astype(problem.dtype)


def work(problem: Problem) -> Work:
    """The operands rearranged chunk by chunk; the convolutions are parts."""
    turns = problem.group_channels[0] // _chunk(problem)[0]
    totals = 8 * math.prod(problem.output_shape) * turns
    return Work(0, 2 * traffic(problem) + totals, turns=turns)


def parts(problem: Problem) -> list[tuple[Problem, int]]:
    """One convolution per chunk."""
    at_once, chunk = _chunk(problem)
    return [(chunk, problem.group_channels[0] // at_once)]


BATCH_CHUNKS = Rewrite(
    "batch_chunks", unsupported_reason, work, parts, run, takes_forward_operands=True, loops=True
)
