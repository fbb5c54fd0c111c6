"""Handlers that describe what each JAX primitive does to the arrays of a program.

They support the primitives of JAX, and by name those of jaxcnn (``jaxcnn_conv``,
``jaxcnn_window_max``, ...), whose parameters are those of the lax primitives they replace.
The outputs of a primitive without a handler are unknown; nothing is guessed.
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
"""Primitives that may continue to combine slices into a window; others complete the window."""

KEEP_STATISTICS = KEEP_PARTIAL_WINDOWS | {"reduce_sum"}
"""Primitives that may be part of a normalisation; for others its statistics count as read."""
