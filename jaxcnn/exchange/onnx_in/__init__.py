"""ONNX graphs as functions: ``from_onnx``.

``read.py`` makes a :class:`Graph` from a file, ``graph.py`` computes it, and ``operators`` has a
function for each operator. Source: https://onnx.ai/onnx/operators, opsets 7 to 28.
"""

from jaxcnn.exchange.onnx_in.graph import Graph, Input
from jaxcnn.exchange.onnx_in.read import from_onnx

__all__ = ["Graph", "Input", "from_onnx"]
