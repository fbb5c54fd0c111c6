"""A grouped kernel gradient as dense ones: groups merged into blocks, the diagonal kept.

The kernel gradient of several groups merged into one is a matrix of kernel gradients, of each
group's channels with each group's filters. The gradients of the groups are its diagonal.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve import tuning
from jaxcnn.convolve.algorithms.protocol import Rewrite, Solve, Work
from jaxcnn.convolve.algorithms.shared import not_plain_gradient_reason, traffic
from jaxcnn.convolve.layout import split_groups

if TYPE_CHECKING:
    from jaxcnn.convolve.problem import Problem


def unsupported_reason(problem: Problem) -> str | None:
    """Not supported: no groups, or too many blocks."""
    reason, most = not_plain_gradient_reason(problem), tuning.BLOCK_DIAGONAL_MOST_BLOCKS
    if reason is None and problem.groups == 1:
        reason = "no groups"
    if reason is None and problem.groups // _merged(problem) > most:
        reason = f"more than {most} blocks"
    return reason


def _merged(problem: Problem) -> int:
    """The number of groups in a block of about the right width for a matrix product."""
    width = max(problem.batch, problem.group_channels[1])  # channels and filters of a group
    wanted = max(1, tuning.BLOCK_DIAGONAL_WIDTH // width)
    return max(n for n in range(1, problem.groups + 1) if problem.groups % n == 0 and n <= wanted)


def _block(problem: Problem) -> Problem:
    """The dense kernel gradient of one block."""
    together = _merged(problem)
    examples, filters = problem.group_channels
    return replace(
        problem,
        batch=problem.batch * together,
        in_channels=examples,
        out_channels=filters * together,
        groups=1,
    )


def run(problem: Problem, x: jax.Array, kernel: jax.Array, solve: Solve) -> jax.Array:
    """The diagonals of the blocks' dense kernel gradients, concatenated."""
    block, together = _block(problem), _merged(problem)
    examples, filters = problem.group_channels
    axes, count = problem.axes, problem.groups // together
    # (c, *size, blocks, groups, N) to (blocks, groups, c, *size, N)
    x = x.reshape(*x.shape[:-1], count, together, examples)
    spatial = tuple(range(1, axes + 1))
    x = lax.transpose(x, (axes + 1, axes + 2, 0, *spatial, axes + 3))
    weights = jnp.moveaxis(split_groups(kernel, count), -2, 0)  # (blocks, *k, N, O of a block)
    diagonal = jnp.arange(together)
    outputs = []
    for number in range(count):
        y = solve(block, x[number].reshape(block.x_shape), weights[number])
        y = y.reshape(together, problem.batch, *problem.output, together, filters)
        own = jnp.moveaxis(y, -2, 1)[diagonal, diagonal]  # (groups, c, *F, filters)
        outputs.append(jnp.moveaxis(own, 0, -2).reshape(*own.shape[1:-1], -1))
    return jnp.concatenate(outputs, axis=-1)


def work(problem: Problem) -> Work:
    """x rearranged by blocks; the convolutions are parts."""
    return Work(0, 2 * traffic(problem))


def parts(problem: Problem) -> list[tuple[Problem, int]]:
    """One dense kernel gradient per block."""
    return [(_block(problem), problem.groups // _merged(problem))]


BLOCK_DIAGONAL = Rewrite("block_diagonal", unsupported_reason, work, parts, run)
