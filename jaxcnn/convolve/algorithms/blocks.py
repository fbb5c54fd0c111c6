"""Groups merged into blocks: a few dense convolutions whose kernels are block-diagonal.

A group of 4 channels is too narrow for a matrix unit; eight of them side by side, with zeros where
a filter does not see a channel, are one dense convolution of 32.
"""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp

from jaxcnn.convolve.algorithms.algorithm import (
    Algorithm,
    Solve,
    Work,
    refuse_unusual,
    traffic,
)
from jaxcnn.convolve.layout import split_groups
from jaxcnn.convolve.problem import Problem

WIDTH = 16  # channels that a block should have, where there are so many
MOST_BLOCKS = 32  # convolutions in one program


def refuses(problem: Problem) -> str | None:
    """No groups, or so many channels that the blocks would be too many."""
    reason = refuse_unusual(problem)
    if reason is None and problem.groups == 1:
        reason = "no groups"
    if reason is None and problem.groups // merged(problem) > MOST_BLOCKS:
        reason = f"more than {MOST_BLOCKS} blocks"
    return reason


def merged(problem: Problem) -> int:
    """How many groups make a block: the divisor of them that comes closest to the width."""
    c, filters = problem.group_channels
    wanted = max(1, WIDTH // max(c, filters))
    return max(n for n in range(1, problem.groups + 1) if problem.groups % n == 0 and n <= wanted)


def _block(problem: Problem) -> Problem:
    c, filters = problem.group_channels
    together = merged(problem)
    return replace(problem, in_channels=c * together, out_channels=filters * together, groups=1)


def run(problem: Problem, x: jax.Array, kernel: jax.Array, solve: Solve) -> jax.Array:
    """Each block's dense convolution, side by side."""
    block, together = _block(problem), merged(problem)
    filters = problem.group_channels[1]
    weights = split_groups(kernel, problem.groups)  # (*F, c, groups, filters)
    weights = weights.reshape(*weights.shape[:-2], -1, together, filters)
    diagonal = jnp.eye(together, dtype=kernel.dtype)
    # (*F, blocks, group in, c, group out, filters)
    weights = jnp.einsum("...cbgo,hg->...bhcgo", weights, diagonal)
    outputs = []
    for number in range(problem.groups // together):
        part = x[..., number * block.in_channels : (number + 1) * block.in_channels]
        own = weights[(..., number, *(slice(None),) * 4)].reshape(block.kernel_shape)
        outputs.append(solve(block, part, own))
    return jnp.concatenate(outputs, axis=-1)


def work(problem: Problem) -> Work:
    """x taken apart and y put together; the convolutions are parts."""
    return Work(0, 2 * traffic(problem))


def parts(problem: Problem) -> list[tuple[Problem, int]]:
    """One dense problem a block."""
    return [(_block(problem), problem.groups // merged(problem))]


ALGORITHM = Algorithm("blocks", refuses, work, run, parts)
