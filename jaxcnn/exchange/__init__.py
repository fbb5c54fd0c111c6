"""Models in the formats of other programs.

``export.py`` writes a model as a file: ``source.py`` makes a function of a batch of it,
``onnx_out/`` writes its program as ONNX, ``stablehlo.py`` as StableHLO, and ``vectors.py`` compares
the file's outputs with the model's. ``onnx_in/`` reads an ONNX graph as a function. Imports the
tracing of :mod:`jaxcnn.inspect`, geometry, shapes, operations, and the programs of jaxcnn's
primitives in :mod:`jaxcnn.convolve`.
"""

from jaxcnn.exchange.export import Exported, export

__all__ = ["Exported", "export"]
