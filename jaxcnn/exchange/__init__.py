"""Models in the formats of other programs.

``export.py`` writes a model as a file: ``source.py`` makes a function of a batch of it,
``onnx_out/`` writes its program as ONNX, ``stablehlo.py`` as StableHLO, and ``vectors.py`` compares
the file's outputs with the model's. ``onnx_in/`` reads an ONNX graph as a function. Imports the
tracing of :mod:`jaxcnn.inspect`, geometry, shapes, operations, and the programs of jaxcnn's
primitives in :mod:`jaxcnn.convolve`.

The exporter is our own. jax2onnx 0.17.1, tried on four models, wrote ``nnx.ConvTranspose`` of
stride 2 and a 3-D ``nnx.Conv`` correctly. It stopped at ``jaxcnn_conv``, for which it has no
plugin, and at a convolution in batch groups of a batch of any size.
"""

from jaxcnn.exchange.export import Exported, export

__all__ = ["Exported", "export"]
