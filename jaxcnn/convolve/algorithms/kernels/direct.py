"""The direct call: lax's own convolution, which supports every problem."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from jaxcnn.convolve.algorithms.protocol import Kernel, Work
from jaxcnn.convolve.algorithms.shared import lane_operations, traffic
from jaxcnn.convolve.layout import Operation, channels_last
from jaxcnn.convolve.primitive import direct_p

if TYPE_CHECKING:
    import jax

    from jaxcnn.convolve.problem import Problem


def run(problem: Problem, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """lax's convolution of a canonical problem."""
    return call(Operation(problem, channels_last(problem.axes), 1), x, kernel)


def call(operation: Operation, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """lax's convolution of operands in any layout."""
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

    XLA's CPU compiler calls Eigen for dense problems. With base dilation Eigen tests cell by cell
    which entries of its patches are zeros. For groups XLA emits a plain loop, up to a thousand
    times slower.
    """
    dilated = math.prod(problem.base_dilation)
    moved = traffic(problem)
    if problem.groups > 1:
        kind = "groups"
    elif dilated > 1:
        kind = "spread"
        patches = problem.batch * problem.output_cells * problem.taps * problem.in_channels
        moved += patches * problem.itemsize / dilated
    else:
        kind = "image" if problem.axes <= 2 else "volume"
    if problem.is_thin:
        kind = f"thin {kind}"
    return Work(lane_operations(problem) / dilated, moved, kind=kind)


DIRECT = Kernel("direct", lambda _: None, work, run)
