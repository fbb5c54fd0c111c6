"""ONNX files for tests, and what ONNX Runtime computes for them."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime


def model_of(nodes, inputs, outputs, initializers=None, opset=18, dtype="float32"):
    """A model of nodes in ONNX's text, such as ``y = Relu(x)``.

    ``inputs`` maps names to shapes, ``outputs`` names to their numbers of axes, and
    ``initializers`` names to arrays. A node's name is that of its first output.
    """
    text = '<ir_version: 8, opset_import: ["": 18]> g () => () {' + nodes + "}"
    graph = onnx.parser.parse_model(text).graph
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph.input.extend(
        onnx.helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()
    )
    graph.output.extend(
        onnx.helper.make_tensor_value_info(name, kind, [None] * rank)
        for name, rank in outputs.items()
    )
    graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(array), name)
        for name, array in (initializers or {}).items()
    )
    imports = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_model(graph, opset_imports=imports, ir_version=8)


def saved(model, folder):
    """The path of the model's file."""
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def reference(model, *inputs):
    """The first output by ONNX Runtime."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [each.name for each in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=True)))[0]
