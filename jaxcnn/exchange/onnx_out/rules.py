"""The rule of each primitive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxcnn.exchange.onnx_out import (
    control_flow,
    convolution,
    data_movement,
    elementwise,
    gather,
    pooling,
    products,
    reductions,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxcnn.exchange.onnx_out.operation import Operation
    from jaxcnn.exchange.onnx_out.value import Value

RULES: dict[str, Callable[[Operation], Value | list[Value]]] = {
    **elementwise.RULES,
    **data_movement.RULES,
    **convolution.RULES,
    **pooling.RULES,
    **reductions.RULES,
    **products.RULES,
    **gather.RULES,
    **control_flow.RULES,
}
