"""A kernel gradient whose channels are laid along the width.

As a convolution, a kernel gradient has as many examples as the forward one had channels (c), and
few outputs on each: on the last axis as many as the filter has columns, too few to fill a matrix
unit. Laid side by side, cell by cell, the c examples are one image c times as wide,

    x'[w*c + j] = x_j[w],    taps c times as far apart,    y'[f*c + j] = y_j[f],

whose last axis has c times as many outputs. The rows of the matrix product inside are then f*c
instead of f; everything else is as before.
"""

from __future__ import annotations

from dataclasses import replace

import jax
from jax import lax

from jaxcnn.convolve.algorithms.algorithm import (
    Algorithm,
    Solve,
    Work,
    refuse_unplain,
    traffic,
)
from jaxcnn.convolve.problem import Problem


def refuses(problem: Problem) -> str | None:
    """Groups; one example, one output of each, or a last axis whose outputs are cells apart."""
    reason = refuse_unplain(problem)
    if reason is None and problem.groups > 1:
        reason = "groups"
    if reason is None and problem.batch == 1:
        reason = "one example"
    if reason is None and problem.places == 1:
        reason = "one output: a plain product"
    if reason is None and problem.stride[-1] > 1:
        reason = "outputs more than a cell apart on the last axis"
    return reason


def _wide(problem: Problem) -> Problem:
    """The problem of one example, c times as wide."""
    c = problem.batch
    lo, hi = problem.padding[-1]
    return replace(
        problem,
        batch=1,
        size=(*problem.size[:-1], problem.size[-1] * c),
        padding=(*problem.padding[:-1], (lo * c, hi * c)),
        dilation=(*problem.dilation[:-1], problem.dilation[-1] * c),
    )


def run(problem: Problem, x: jax.Array, kernel: jax.Array, solve: Solve) -> jax.Array:
    """The wide convolution, and its last axis taken apart again."""
    axes, wide = problem.axes, _wide(problem)
    x = lax.transpose(x, (*range(1, axes + 1), 0, axes + 1)).reshape(wide.x_shape)
    y = solve(wide, x, kernel)
    y = y.reshape(*problem.output, problem.batch, problem.out_channels)
    return lax.transpose(y, (axes, *range(axes), axes + 1))


def work(problem: Problem) -> Work:
    """x laid out anew; the convolution is a part."""
    return Work(0, traffic(problem))


def parts(problem: Problem) -> list[tuple[Problem, int]]:
    """The wide problem."""
    return [(_wide(problem), 1)]


ALGORITHM = Algorithm("wide", refuses, work, run, parts)
