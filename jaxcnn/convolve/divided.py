"""Kernel gradients of convolutions in groups, for programs that are divided among devices.

XLA divides lax's call for them wrongly (:mod:`.known_faults`, "divided groups"). Put as one matrix
product for each tap of the filter, each group's cells under the tap times the group's output
gradient, it divides them rightly, examples and places included.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve.algorithms.algorithm import (
    FLOATS,
    accumulator,
    padded,
    tap_slices,
    trimmed,
)
from jaxcnn.convolve.layout import Operation, split_groups

MOST_TAPS = 128  # products in one program


def serves(operation: Operation) -> bool:
    """Whether a call of lax's is one of these gradients, and its program not too large."""
    problem, _ = operation.problem.trimmed()
    if operation.batch_groups == 1 or operation.batch_groups != problem.groups:
        return False
    if problem.is_empty or problem.dtype not in FLOATS:
        return False
    forward = problem.kernel_gradient()
    return problem.is_plain and forward.is_plain and forward.taps <= MOST_TAPS


def kernel_gradient(operation: Operation, x: jax.Array, g: jax.Array) -> jax.Array:
    """What lax's call computes, from its operands as lax has them."""
    x, g = operation.of_forward(x, g)  # x (N, *size, C) and output gradient (N, *k, O)
    problem, x = trimmed(operation.problem, x)
    forward = problem.kernel_gradient()
    bare, x = padded(forward, x)
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
        for cells in tap_slices(bare, x)
    ]
    y = jnp.stack(products)  # (taps, groups, c, filters)
    y = lax.transpose(y, (2, 0, 1, 3)).astype(problem.out_dtype)
    return operation.restored(y.reshape(problem.output_shape))
