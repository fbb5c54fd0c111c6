"""``Graph``: an ONNX graph as a pure function of its parameters and inputs."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxcnn.errors import InputError, error_prefix
from jaxcnn.exchange.onnx_in.operators import OPERATORS
from jaxcnn.exchange.onnx_in.values import Maps, Value, aligned, channels_last, onnx_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jaxcnn.exchange.onnx_in.node import Node


@dataclass(frozen=True)
class Input:
    """What a file says about an input of its graph.

    Attributes:
      name: the input's name.
      shape: its sizes in ONNX's order; a name or None for a size that may vary.
      dtype: its dtype.
    """

    name: str
    shape: tuple[int | str | None, ...]
    dtype: np.dtype


@dataclass(frozen=True, eq=False)
class Graph:
    """An ONNX graph as a function: ``graph(params, *inputs)`` returns its output.

    Arrays have the shapes and the order of axes of the file: images are (N, C, H, W). Several
    outputs are a tuple. Batch sizes, and all sizes that the nodes do not fix, may differ from those
    in the file.

    Attributes:
      inputs: the inputs, in order.
      outputs: the names of the outputs.
      params: the names of the parameters.
      constants: the other arrays of the file: integers, scalars, settings such as sizes, and the
        running means and variances of batch normalisations.
      settings: names of the inputs that must be known before the data, because shapes depend on
        them.
      nodes: the nodes, in the order of computation.
    """

    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    params: tuple[str, ...]
    constants: Mapping[str, np.ndarray]
    settings: frozenset[str]
    nodes: tuple[Node, ...]

    def __call__(self, params: Mapping[str, Any], *inputs: Any) -> Any:
        values: dict[str, Any] = {"": None, **self.constants}
        values |= self._checked_params(params)
        values |= self._checked_inputs(inputs)
        for node in self.nodes:
            with _naming(node), jax.named_scope(node.name.strip("/") or node.op_type):
                outputs = _compute(node, [values[name] for name in node.inputs])
            values.update(zip(node.outputs, outputs, strict=False))
        # An output that no data reached is a NumPy array until here.
        results = tuple(jnp.asarray(onnx_order(values[name])) for name in self.outputs)
        return results[0] if len(results) == 1 else results

    def _checked_params(self, params: Mapping[str, Any]) -> dict[str, jax.Array]:
        missing = [name for name in self.params if name not in params]
        extra = [str(name) for name in params if name not in self.params]
        if missing or extra:
            raise InputError(
                f"params must have the graph's {len(self.params)} names; "
                f"missing: {', '.join(missing) or 'none'}; not in the graph: "
                f"{', '.join(extra) or 'none'}"
            )
        return {name: jnp.asarray(params[name]) for name in self.params}

    def _checked_inputs(self, inputs: Sequence[Any]) -> dict[str, Value]:
        names = [each.name for each in self.inputs]
        if len(inputs) != len(names):
            raise InputError(f"the graph has the inputs {', '.join(names)}; got {len(inputs)}")
        return {
            about.name: self._checked_input(about, value)
            for about, value in zip(self.inputs, inputs, strict=True)
        }

    def _checked_input(self, about: Input, value: Any) -> Value:
        if about.name in self.settings:
            if isinstance(value, Tracer):
                raise InputError(
                    f"input {about.name!r} must be known when the function is traced, because "
                    f"shapes depend on it; pass a NumPy array from outside of jax.jit"
                )
            return np.asarray(value)
        array = jnp.asarray(value)
        if array.ndim != len(about.shape):
            raise InputError(
                f"input {about.name!r} must have {len(about.shape)} axes, as in "
                f"{_shape_text(about.shape)}; got shape {array.shape}"
            )
        if array.dtype != jax.dtypes.canonicalize_dtype(about.dtype):
            raise TypeError(
                f"input {about.name!r} must be {about.dtype}, got {array.dtype}; use "
                f"x.astype(jnp.{about.dtype})"
            )
        return array


def _shape_text(shape: tuple[int | str | None, ...]) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"


def _compute(node: Node, inputs: Sequence[Any]) -> list[Value]:
    """The outputs of a node; an input that is left out is None."""
    operator = OPERATORS[node.op_type]
    for position in operator.settings:
        given = inputs[position] if position < len(inputs) else None
        if not (given is None or isinstance(given, np.ndarray)):
            raise InputError(
                f"its input {node.inputs[position]!r} depends on the data, but shapes and settings "
                f"must be known before"
            )
    maps = operator.layout == "maps"
    if operator.layout == "broadcast":
        maps, arrays = aligned(tuple(inputs))
    elif operator.layout == "values":
        arrays = list(inputs)
    else:
        arrays = [None if value is None else onnx_order(value) for value in inputs[maps:]]
        arrays = [channels_last(inputs[0]), *arrays] if maps else arrays
    found = operator.compute(node, *arrays)
    outputs = found if isinstance(found, tuple | list) else [found]
    absent = [repr(name) for name in node.outputs[len(outputs) :] if name]
    if absent:
        raise InputError(f"its output {', '.join(absent)} is not supported")
    return [Maps(each) if maps and each.ndim > 2 else _as_value(each) for each in outputs]


def _as_value(found: Any) -> Value:
    """An entry of a NumPy array, which may be a symbolic size, as an array again."""
    if isinstance(found, Maps | np.ndarray | jax.Array):
        return found
    return np.array(found, getattr(found, "dtype", object))


@contextmanager
def _naming(node: Node) -> Iterator[None]:
    """Errors raised inside name the node."""
    try:
        with error_prefix(str(node)):
            yield
    except InputError:
        raise
    except (ValueError, IndexError) as error:  # JAX's and NumPy's, of shapes that do not fit
        raise InputError(f"{node}: {str(error).strip().splitlines()[0]}") from error
