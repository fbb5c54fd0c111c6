"""ONNX files: a model's graph as a file, and its outputs by ONNX Runtime."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxcnn import __version__
from jaxcnn.errors import InputError
from jaxcnn.exchange.onnx_out.fold import fold
from jaxcnn.exchange.onnx_out.graph import Graph
from jaxcnn.exchange.onnx_out.value import TYPES, Value, carrier, constant
from jaxcnn.exchange.onnx_out.walk import Walk
from jaxcnn.extra import requires_extra

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np

    from jaxcnn.exchange.source import Source

OPSET, IR_VERSION = 19, 9
"""The first opset whose pools have dilations and whose Pad has bounds for all types; and the first
version of the file format for it."""

_MOST_BYTES = 2**31 - 2**20
_LAYERS = ("Conv", "ConvInteger", "ConvTranspose", "MatMul")


def graph_of(source: Source, images: str, *, folded: bool) -> Graph:
    """The graph of a model, whose outputs have the names of ``source``.

    Raises:
      InputError: if a primitive of the model's program has no form in ONNX.
    """
    for type_ in (source.images, *source.outputs, *source.arrays):
        if not jnp.issubdtype(type_.dtype, jax.dtypes.prng_key):
            _require_type(type_.dtype)
    program = jax.make_jaxpr(source.call)(source.arrays, source.images)
    graph = Graph(images, source.names, source.batch)
    shape = tuple(source.images.shape)
    x = Value(shape, source.images.dtype, shape, tuple(range(len(shape))), images)
    weights = [
        constant(array, path) for array, path in zip(source.arrays, source.paths, strict=True)
    ]
    walk = Walk(graph)
    found = walk.run(program.jaxpr, program.consts, [*weights, x])
    outputs = dict(zip(source.names, map(walk.output, found), strict=True))
    if folded:
        fold(graph, outputs.values())
    graph.finish(outputs)
    return graph


def _require_type(dtype: Any) -> None:
    if dtype == jnp.float64 or carrier(dtype).name not in TYPES:
        raise InputError(
            f"ONNX Runtime does not compute a network in {dtype}; use float32, or export to "
            f".stablehlo"
        )


def write(graph: Graph, source: Source, metadata: Mapping[str, str], path: Path) -> None:
    """Writes the graph as an ONNX file.

    Raises:
      InputError: if it is larger than an ONNX file can be.
    """
    with requires_extra("jaxcnn.export"):
        from onnx import helper, numpy_helper

    def info(name: str, type_: Any) -> Any:
        sizes = [size if isinstance(size, int) else str(size) for size in type_.shape]
        number = helper.np_dtype_to_tensor_dtype(carrier(type_.dtype))
        return helper.make_tensor_value_info(name, number, sizes)

    count = sum(array.nbytes for array in graph.arrays.values())
    if count > _MOST_BYTES:
        raise InputError(
            f"the arrays have {count:,} bytes, and an ONNX file at most {_MOST_BYTES:,}; export to "
            f".stablehlo"
        )
    nodes = [
        helper.make_node(
            node.operator,
            node.inputs,
            node.outputs,
            name=name,
            **{key: _attribute(key, value) for key, value in node.attributes.items()},
        )
        for node, name in zip(graph.nodes, _names(graph), strict=True)
    ]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "model",
            [info(graph.images, source.images)],
            [info(name, type_) for name, type_ in zip(source.names, source.outputs, strict=True)],
            [numpy_helper.from_array(array, name) for name, array in graph.arrays.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="jaxcnn",
        producer_version=__version__,
    )
    helper.set_model_props(model, dict(metadata))
    path.write_bytes(model.SerializeToString())


def _names(graph: Graph) -> list[str]:
    """The names of the nodes: that of the layer whose parameter is multiplied, or of the output."""
    taken: Counter[str] = Counter()
    found = []
    for node in graph.nodes:
        name = node.outputs[0]
        if node.operator in _LAYERS and node.inputs[1] in graph.arrays:
            name = node.inputs[1].rpartition(".")[0] or name
        number, taken[name] = taken[name], taken[name] + 1
        found.append(f"{name}_{number}" if number else name)
    return found


def _attribute(key: str, value: Any) -> Any:
    from onnx import TensorProto

    return TensorProto.DataType.Value(TYPES[value]) if key == "to" else value


def runner(path: Path) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """The outputs of a file for images, by name, computed by ONNX Runtime on the CPU.

    Raises:
      InputError: if ONNX Runtime cannot run the file.
    """
    with requires_extra("jaxcnn.export"):
        import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common class
        raise _cannot_run(error) from None
    name = session.get_inputs()[0].name
    names = [output.name for output in session.get_outputs()]

    def run(images: np.ndarray) -> dict[str, Any]:
        try:
            outputs: Any = session.run(names, {name: images.astype(carrier(images.dtype))})
        except Exception as error:
            raise _cannot_run(error) from None
        return dict(zip(names, outputs, strict=True))

    return run


def _cannot_run(error: Exception) -> InputError:
    reason = " ".join(str(error).split()).partition(". ")[0]
    return InputError(
        f"ONNX Runtime cannot run the exported program: {reason}; nothing was written. Export to "
        f".stablehlo"
    )
