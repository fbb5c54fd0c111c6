"""``from_onnx`` reads a file and checks it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxcnn.errors import InputError
from jaxcnn.exchange.onnx_in.graph import Graph, Input
from jaxcnn.exchange.onnx_in.node import Node
from jaxcnn.exchange.onnx_in.operators import OPERATORS
from jaxcnn.exchange.onnx_in.values import DTYPES
from jaxcnn.extra import requires_extra

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np

OLDEST = 7
"""The first version of ONNX's operators that broadcasts as NumPy does."""


def from_onnx(path: str | os.PathLike[str]) -> tuple[Graph, dict[str, jax.Array]]:
    """Reads a convolutional network from an ONNX file: a pure function and its parameters.

        apply, params = from_onnx(path)
        y = apply(params, x)        x: (N, C, *spatial), as in the file

    ``apply`` works under ``jax.jit``, ``jax.grad``, ``jax.vmap`` and ``jax.export``, and
    :func:`jaxcnn.lint` reads it. Convolutions and pools are those of jaxcnn; they drop cells where
    ONNX does. ``apply.inputs`` has the names, shapes and dtypes of the inputs. The batch size may
    differ from the file's unless a node fixes it. Resize computes its coordinates in float64 where
    ONNX Runtime has float32, so a nearest cell may differ where a coordinate lies between two.

    ``params`` maps the names of the file's floating-point initialisers to arrays; one that several
    nodes use is one parameter. Scalars and settings, such as the scales of Resize, are constants of
    the graph (``apply.constants``), and so are integers, the outputs of Constant nodes, and the
    running means and variances of batch normalisations, which are not learnt. Dropout does nothing.

    Args:
      path: the file. Weights in files beside it are read too, but only from its folder.

    Returns:
      (apply, params).

    Raises:
      InputError: (a ValueError) if the file is damaged, or has operators or attributes that are
        not supported; it names all of them with their nodes.

    Source: https://onnx.ai/onnx/operators, opsets 7 to 28.

    >>> import numpy as np, onnx, tempfile
    >>> text = '<ir_version: 8, opset_import: ["": 17]> net (float[n, 2] x) => (float[n, 2] y)'
    >>> model = onnx.parser.parse_model(text + "<float[2] bias = {1, 2}> { y = Add(x, bias) }")
    >>> with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
    ...     onnx.save(model, file.name)
    ...     apply, params = from_onnx(file.name)
    >>> params, apply(params, np.ones((1, 2), "float32"))
    ({'bias': Array([1., 2.], dtype=float32)}, Array([[2., 3.]], dtype=float32))
    """
    with requires_extra("jaxcnn.models.from_onnx"):
        import onnx
    path = Path(path)
    model = _load(onnx, path)
    opset = _opset(model, path)
    nodes = tuple(_node(onnx, node, opset, path) for node in model.graph.node)
    _refuse_unsupported(nodes, model, path)
    arrays = {each.name: _array(onnx, each, path) for each in model.graph.initializer}
    outputs = tuple(each.name for each in model.graph.output)
    nodes, statistics = _own_statistics(_without_aliases(nodes, arrays, outputs), arrays)
    settings = _settings(nodes)
    params = {
        name: array
        for name, array in arrays.items()
        if jnp.issubdtype(array.dtype, jnp.floating)
        and array.ndim
        and name not in settings | {*statistics}
    }
    inputs = [each for each in model.graph.input if each.name not in arrays]
    graph = Graph(
        inputs=tuple(_input(onnx, each, path) for each in inputs),
        outputs=outputs,
        params=tuple(params),
        constants={name: array for name, array in arrays.items() if name not in params}
        | statistics,
        settings=frozenset(each.name for each in inputs if each.name in settings),
        nodes=nodes,
    )
    return graph, {name: jnp.asarray(array) for name, array in params.items()}


def _load(onnx: Any, path: Path) -> Any:
    """The file's model, without the weights that are in other files."""
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except DecodeError:
        raise InputError(f"{path} is not an ONNX file, or is damaged or truncated") from None
    for tensor in _tensors(onnx, model):
        if onnx.external_data_helper.uses_external_data(tensor):
            _require_beside(tensor, path)
    try:
        onnx.checker.check_model(path)
        return onnx.inliner.inline_local_functions(model) if model.functions else model
    except (onnx.checker.ValidationError, RuntimeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a valid ONNX model: {_one_line(error)}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _tensors(onnx: Any, model: Any) -> Iterator[Any]:
    """All tensors of the main graph."""
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t


def _require_beside(tensor: Any, path: Path) -> None:
    """Refuses a tensor whose numbers are not in a file of the model's folder."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    folder = path.parent.resolve()
    file = (folder / location).resolve()
    if Path(location).is_absolute() or not file.is_relative_to(folder):
        raise InputError(
            f"{path}: the numbers of {tensor.name!r} are in {location!r}, outside of its folder; "
            f"such files are not read"
        )
    if not file.is_file():
        raise InputError(
            f"{path}: the numbers of {tensor.name!r} are in {location!r}, which is not beside it"
        )
    try:
        end = int(entries.get("offset", 0)) + int(entries.get("length", 0))
    except ValueError:
        raise InputError(
            f"{path}: the place of {tensor.name!r} in {location!r} is damaged"
        ) from None
    if file.stat().st_size < end:
        raise InputError(f"{path}: {location!r} is truncated: it ends before {tensor.name!r}")


def _opset(model: Any, path: Path) -> int:
    opset = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST:
        raise InputError(
            f"{path} has operators of opset {opset}; {OLDEST} is the oldest that is supported. "
            f"Convert it: onnx.version_converter.convert_version(model, 13)"
        )
    return opset


def _node(onnx: Any, node: Any, opset: int, path: Path) -> Node:
    official = node.domain in ("", "ai.onnx")
    return Node(
        op_type=node.op_type if official else f"{node.domain}.{node.op_type}",
        name=node.name or next(filter(None, node.output), ""),
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        attributes={each.name: _attribute(onnx, each, path) for each in node.attribute},
        opset=opset,
    )


def _attribute(onnx: Any, attribute: Any, path: Path) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return _array(onnx, value, path) if isinstance(value, onnx.TensorProto) else value


def _array(onnx: Any, tensor: Any, path: Path) -> np.ndarray:
    _require_numbers(onnx, f"tensor {tensor.name!r}", tensor.data_type, path)
    try:
        return onnx.numpy_helper.to_array(tensor, base_dir=str(path.parent))
    except Exception as error:  # a damaged tensor may raise anything
        raise InputError(f"{path}: tensor {tensor.name!r} is damaged: {_one_line(error)}") from None


def _input(onnx: Any, value: Any, path: Path) -> Input:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        raise InputError(f"{path}: input {value.name!r} is not an array")
    _require_numbers(onnx, f"input {value.name!r}", kind.elem_type, path)
    sizes = (
        size.dim_value if size.HasField("dim_value") else size.dim_param or None
        for size in kind.shape.dim
    )
    return Input(value.name, tuple(sizes), DTYPES[kind.elem_type])


def _require_numbers(onnx: Any, what: str, kind: int, path: Path) -> None:
    if kind not in DTYPES:
        names = onnx.TensorProto.DataType
        name = names.Name(kind) if kind in names.values() else f"numbers of an unknown type {kind}"
        raise InputError(
            f"{path}: {what} holds {name}; supported are {', '.join(map(str, DTYPES.values()))}"
        )


def _refuse_unsupported(nodes: Sequence[Node], model: Any, path: Path) -> None:
    """Raises one error that names all nodes that cannot be computed."""
    unknown: dict[str, list[str]] = {}
    wrong = []
    for node in nodes:
        if node.op_type not in OPERATORS:
            unknown.setdefault(node.op_type, []).append(repr(node.name))
        else:
            wrong += [f"{node} has {each}" for each in OPERATORS[node.op_type].refusals(node)]
    wrong = [f"{name} ({', '.join(at)})" for name, at in unknown.items()] + wrong
    if len(model.graph.sparse_initializer):
        wrong.append("sparse initializers")
    if wrong:
        raise InputError(f"{path} has what from_onnx does not support: {'; '.join(wrong)}")


def _settings(nodes: Sequence[Node]) -> frozenset[str]:
    """The names of values that must be known before the data."""
    names: set[str] = set()
    for node in reversed(nodes):
        if node.op_type in ("Shape", "Size"):  # they read no data
            continue
        if names & {*node.outputs}:
            names |= {*node.inputs}
        settings = OPERATORS[node.op_type].settings
        names |= {node.inputs[i] for i in settings if i < len(node.inputs)}
        names.discard("")  # an input or output that is left out
    return frozenset(names)


def _without_aliases(
    nodes: Sequence[Node], arrays: Mapping[str, np.ndarray], outputs: Sequence[str]
) -> list[Node]:
    """The nodes, which read initialisers by their own names and not through Identity."""
    source: dict[str, str] = {}
    kept = []
    for node in nodes:
        node = replace(node, inputs=tuple(source.get(name, name) for name in node.inputs))
        if node.op_type == "Identity" and node.inputs[0] in arrays:
            source[node.outputs[0]] = node.inputs[0]
            if node.outputs[0] not in outputs:
                continue
        kept.append(node)
    return kept


def _own_statistics(
    nodes: Sequence[Node], arrays: Mapping[str, np.ndarray]
) -> tuple[tuple[Node, ...], dict[str, np.ndarray]]:
    """The nodes, and by name the running means and variances, which no parameter shares.

    They are copies of arrays that something else reads as well.
    """
    counts = [3 if node.op_type == "BatchNormalization" else len(node.inputs) for node in nodes]
    parts = [(node.inputs[:n], node.inputs[n:]) for node, n in zip(nodes, counts, strict=True)]
    others = {name for learnt, _ in parts for name in learnt}
    own = {
        name: f"{name} (running)" if name in others else name
        for _, statistics in parts
        for name in statistics
        if name in arrays
    }
    rewired = tuple(
        replace(node, inputs=(*learnt, *(own.get(name, name) for name in statistics)))
        for node, (learnt, statistics) in zip(nodes, parts, strict=True)
    )
    return rewired, {copy: arrays[name] for name, copy in own.items()}
