"""The direct call: lax's own convolution, of which nothing is refused."""

from __future__ import annotations

import math

import jax

from jaxcnn.convolve.algorithms.algorithm import Algorithm, Solve, Work, in_lanes, traffic
from jaxcnn.convolve.layout import Operation, channels_last
from jaxcnn.convolve.primitive import direct_p
from jaxcnn.convolve.problem import Problem


def run(problem: Problem, x: jax.Array, kernel: jax.Array, solve: Solve) -> jax.Array:
    """lax's convolution of a canonical problem."""
    del solve
    return direct(Operation(problem, channels_last(problem.axes), 1), x, kernel)


def direct(operation: Operation, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """lax's convolution of operands as they lie."""
    problem, numbers, batch_groups = operation
    return direct_p.bind(
        x,
        kernel,
        window_strides=problem.stride,
        padding=problem.padding,
        lhs_dilation=problem.base_dilation,
        rhs_dilation=problem.dilation,
        dimension_numbers=numbers,
        feature_group_count=1 if batch_groups > 1 else problem.groups,
        batch_group_count=batch_groups,
        precision=problem.precision,
        preferred_element_type=None if problem.out_dtype == problem.dtype else problem.out_dtype,
        out_sharding=None,
    )


def work(problem: Problem) -> Work:
    """The definition's multiply-adds; at best x and kernel are read and y is written once.

    XLA's CPU compiler hands dense problems to Eigen, which with base dilation works out cell by
    cell which of its patches' entries are zeros; with groups it writes a plain loop, up to a
    thousand times slower.
    """
    spread = math.prod(problem.base_dilation)
    moved = traffic(problem)
    if problem.groups > 1:
        kind = "groups"
    elif spread > 1:
        kind = "spread"
        patches = problem.batch * problem.places * problem.taps * problem.in_channels
        moved += patches * problem.itemsize / spread
    else:
        kind = "image" if problem.axes <= 2 else "volume"
    if problem.is_thin:
        kind = f"thin {kind}"
    return Work(in_lanes(problem) / spread, moved, kind=kind)


ALGORITHM = Algorithm("direct", lambda problem: None, work, run)
