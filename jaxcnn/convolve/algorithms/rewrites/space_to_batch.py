"""Dilation as images in the batch: the cells that are d apart form one image.

Output d*q + r of a window with dilation d reads the cells d*(q + f) + r, all with residue r modulo
d:

    y[d*q + r] = sum over f of x_r[q + f] * w[f],    x_r[m] = x[d*m + r].

So one convolution without dilation computes them all, with d times as many images for each axis.
TensorFlow calls this step ``tf.space_to_batch``.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve.algorithms.protocol import Rewrite, Solve, Work
from jaxcnn.convolve.algorithms.shared import large_temporary_reason, not_plain_reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxcnn.convolve.problem import Problem


class _Axis(NamedTuple):
    """One axis: the number of residues; cells, outputs and padding of each image."""

    dilation: int
    residues: int
    cells: int
    outputs: int
    padding: tuple[int, int]


def unsupported_reason(problem: Problem) -> str | None:
    """Supported: dilation in groups, without stride; without groups dilation is free elsewhere."""
    reason = not_plain_reason(problem)
    if reason is None and problem.groups == 1:
        reason = "no groups"
    if reason is not None:
        return reason
    axes = list(_axes(problem))
    if all(axis.dilation == 1 for axis in axes):
        return "no dilation"
    if any(axis.dilation > 1 < stride for axis, stride in zip(axes, problem.stride, strict=True)):
        return "dilation and stride on one axis"
    return large_temporary_reason(problem, problem.itemsize * math.prod(_images(problem).x_shape))


def _axes(problem: Problem) -> Iterator[_Axis]:
    for n, f, d, padding, k in zip(
        problem.size,
        problem.kernel_size,
        problem.dilation,
        problem.padding,
        problem.output,
        strict=True,
    ):
        if d == 1 or f == 1:
            yield _Axis(1, 1, n, k, padding)
        else:
            outputs = -(-k // d)
            # With fewer outputs than residues, the residues beyond the last output are not needed.
            yield _Axis(d, min(d, k), outputs + f - 1, outputs, (0, 0))


def _images(problem: Problem) -> Problem:
    """The convolution of the images of all residues."""
    axes = list(_axes(problem))
    return replace(
        problem,
        batch=problem.batch * math.prod(axis.residues for axis in axes),
        size=tuple(axis.cells for axis in axes),
        padding=tuple(axis.padding for axis in axes),
        dilation=(),
    )


def run(problem: Problem, x: jax.Array, kernel: jax.Array, solve: Solve) -> jax.Array:
    """The convolution of the images, with its outputs interleaved."""
    axes, images = list(_axes(problem)), _images(problem)
    sides = [
        (lo, axis.dilation * axis.cells - n - lo, 0) if axis.dilation > 1 else (0, 0, 0)
        for axis, n, (lo, _) in zip(axes, problem.size, problem.padding, strict=True)
    ]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *sides, (0, 0, 0)])
    x = lax.optimization_barrier(x)
    split = [n for axis in axes for n in (axis.cells, axis.dilation)]
    x = x.reshape(problem.batch, *split, problem.in_channels)
    x = x[(slice(None), *(s for axis in axes for s in (slice(None), slice(axis.residues))))]
    count = len(axes)
    residues, cells = range(2, 2 * count + 1, 2), range(1, 2 * count + 1, 2)
    x = lax.transpose(x, (*residues, 0, *cells, 2 * count + 1)).reshape(images.x_shape)
    y = solve(images, x, kernel)
    y = y.reshape(*(axis.residues for axis in axes), problem.batch, *y.shape[1:])
    order = [i for axis in range(count) for i in (count + 1 + axis, axis)]
    y = lax.transpose(y, (count, *order, 2 * count + 1))
    wide = (axis.outputs * axis.residues for axis in axes)
    y = y.reshape(problem.batch, *wide, problem.out_channels)
    return y[(slice(None), *(slice(k) for k in problem.output))]


def work(problem: Problem) -> Work:
    """The images written and the outputs interleaved; the convolution is a part."""
    images = _images(problem)
    moved = 2 * math.prod(images.x_shape) + 2 * math.prod(images.output_shape)
    return Work(0, problem.itemsize * moved)


def parts(problem: Problem) -> list[tuple[Problem, int]]:
    """The convolution of the images."""
    return [(_images(problem), 1)]


SPACE_TO_BATCH = Rewrite("space_to_batch", unsupported_reason, work, parts, run)
