"""The operators by name: how their nodes are computed.

Each file has a family of them, and a table. Differences between opsets, such as axes that were an
attribute and are an input now, are handled where the operator is.
"""

from jaxcnn.exchange.onnx_in.node import Operator
from jaxcnn.exchange.onnx_in.operators import (
    activations,
    constants,
    convolution,
    elementwise,
    indexing,
    matrix,
    normalization,
    pooling,
    quantized,
    reductions,
    resize,
    shape,
)

OPERATORS: dict[str, Operator] = {
    **activations.OPERATORS,
    **constants.OPERATORS,
    **convolution.OPERATORS,
    **elementwise.OPERATORS,
    **indexing.OPERATORS,
    **matrix.OPERATORS,
    **normalization.OPERATORS,
    **pooling.OPERATORS,
    **quantized.OPERATORS,
    **reductions.OPERATORS,
    **resize.OPERATORS,
    **shape.OPERATORS,
}
