"""A depthwise kernel gradient as one convolution of an axis more: the batch.

The gradient of tap f of channel c is a sum over places and over examples,

    y[f, c] = sum over n, m of x[n, s*m + d*f - lo, c] * g[n, m, c],

which is a depthwise convolution of the single volume x (N, *size, C) with the single filter
g (N, *k, C), its stride d and its dilation s. On the batch's axis filter and volume are of the same
length, so it has one output there.
"""

from __future__ import annotations

import math
from dataclasses import replace

import jax

from jaxcnn.convolve.algorithms.algorithm import (
    Algorithm,
    Solve,
    Work,
    refuse_no_depthwise_gradient,
)
from jaxcnn.convolve.problem import Problem

MOST_AXES = 2
LARGEST = 20 * 2**20
"""Bytes of x and of the output gradient: oneDNN lays the filter out anew, in fresh memory, and what
that costs grows faster than the size. In a loop over parts of the batch XLA copies them first."""


def refuses(problem: Problem) -> str | None:
    """All but depthwise kernel gradients, on one axis or two, over several examples, not large."""
    reason = refuse_no_depthwise_gradient(problem)
    if reason is not None:
        return reason
    forward = problem.exchanged()
    if forward.axes > MOST_AXES:
        return f"more than {MOST_AXES} axes"
    if forward.batch == 1:
        return "one example: a depthwise convolution as it is"
    numbers = max(math.prod(forward.x_shape), math.prod(forward.output_shape))
    if numbers * forward.itemsize > LARGEST:
        return f"arrays of more than {LARGEST / 2**20:.0f} MiB"
    return None


def _volume(problem: Problem) -> Problem:
    """The convolution of one volume with one filter."""
    forward = problem.exchanged()
    other = replace(
        forward,
        batch=1,
        size=(forward.batch, *forward.size),
        filter=(forward.batch, *forward.output),
        stride=(1, *forward.dilation),
        padding=((0, 0), *forward.padding),
        base_dilation=(),
        dilation=(1, *forward.stride),
    )
    return other.with_padding_for((1, *forward.filter))


def run(problem: Problem, x: jax.Array, g: jax.Array, solve: Solve) -> jax.Array:
    """The volume's convolution; nothing is moved."""
    return solve(_volume(problem), x[None], g[..., None, :]).reshape(problem.output_shape)


def work(problem: Problem) -> Work:
    """None but the convolution, which is a part."""
    del problem
    return Work(0, 0)


def parts(problem: Problem) -> list[tuple[Problem, int]]:
    """The volume's convolution."""
    return [(_volume(problem), 1)]


ALGORITHM = Algorithm("volume", refuses, work, run, parts, of_forward=True)
