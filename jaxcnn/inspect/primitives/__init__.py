"""What each JAX primitive does to the arrays of a program: a handler for each, in files by kind.

Knows the primitives of JAX, and those of jaxcnn by their names alone (``jaxcnn_conv``,
``jaxcnn_window_max``, ...), whose parameters are those of the lax primitives they stand for.
A primitive that has no handler makes its outputs unknown, so that nothing is guessed.
"""

from jaxcnn.inspect.operation import Handler
from jaxcnn.inspect.primitives import (
    concatenation,
    control_flow,
    convolution,
    cumulative,
    data_movement,
    elementwise,
    gather,
    pooling,
    products,
    reductions,
)

HANDLERS: dict[str, Handler] = {
    **concatenation.HANDLERS,
    **control_flow.HANDLERS,
    **convolution.HANDLERS,
    **cumulative.HANDLERS,
    **data_movement.HANDLERS,
    **elementwise.HANDLERS,
    **gather.HANDLERS,
    **pooling.HANDLERS,
    **products.HANDLERS,
    **reductions.HANDLERS,
}

KEEP_PARTIAL_WINDOWS = frozenset(elementwise.HANDLERS)
"""Primitives that may go on combining slices into a window; for others the window is complete."""

KEEP_STATISTICS = KEEP_PARTIAL_WINDOWS | {"reduce_sum"}
"""Primitives that may be part of a normalisation; for others its statistics count as read."""
