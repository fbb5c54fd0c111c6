"""Kernel gradients of grouped convolutions in programs that are partitioned among devices.

XLA partitions lax's call for them wrongly (:mod:`.known_faults`, "partitioned groups"). It
partitions one matrix product per tap of the kernel correctly: each group's cells under the tap,
times the group's output gradient. The batch and the spatial axes may then be partitioned too.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve import tuning
from jaxcnn.convolve.algorithms.shared import pad_input, trim_input, window
from jaxcnn.convolve.dtypes import FLOATS, accumulator
from jaxcnn.convolve.layout import Operation, split_groups
from jaxcnn.convolve.taps import tap_slices


def supports(operation: Operation) -> bool:
    """Whether lax's call is such a kernel gradient, and its program not too large."""
    problem, _ = operation.problem.trimmed()
    if operation.batch_groups == 1 or operation.batch_groups != problem.groups:
        return False
    if problem.is_empty or problem.dtype not in FLOATS:
        return False
    forward = problem.kernel_gradient()
    few = forward.taps <= tuning.PARTITIONED_MOST_TAPS
    return problem.is_plain and forward.is_plain and few


def kernel_gradient(operation: Operation, x: jax.Array, g: jax.Array) -> jax.Array:
    """The result of lax's call, from its operands in lax's layout."""
    x, g = operation.forward_operands(x, g)  # x (N, *size, C) and output gradient (N, *k, O)
    problem, x = trim_input(operation.problem, x)
    forward = problem.kernel_gradient()
    bare, x = pad_input(forward, x)
    g = split_groups(g, forward.groups)  # (N, *k, groups, filters)
    places = tuple(range(forward.axes + 1))
    group = (forward.axes + 1,)
    products = [
        lax.dot_general(
            split_groups(cells, forward.groups),
            g,
            ((places, places), (group, group)),
            precision=problem.precision,
            preferred_element_type=accumulator(problem.dtype),
        )
        for cells in tap_slices(x, window(bare))
    ]
    y = jnp.stack(products)  # (taps, groups, c, filters)
    y = lax.transpose(y, (2, 0, 1, 3)).astype(problem.out_dtype)
    return operation.lax_output(y.reshape(problem.output_shape))
