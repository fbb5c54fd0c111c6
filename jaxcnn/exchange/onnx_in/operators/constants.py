"""Constants, and arrays made from sizes; casts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.exchange.onnx_in.node import Operator, plain
from jaxcnn.exchange.onnx_in.values import DTYPES, canonical, integers

if TYPE_CHECKING:
    from jaxcnn.exchange.onnx_in.node import Node
    from jaxcnn.exchange.onnx_in.values import Array


def _constant(node: Node) -> np.ndarray:
    for name in ("value", "value_int", "value_ints", "value_float", "value_floats"):
        value = node.get(name)
        if value is not None:
            return np.asarray(value, {"i": "int64", "f": "float32"}.get(name[6:7]))
    raise InputError(f"its value, {', '.join(node.attributes)}, is not an array of numbers")


def _constant_of_shape(node: Node, shape: np.ndarray) -> Array:
    value = np.asarray(node.get("value", np.zeros(1, np.float32)))
    sizes = integers(shape) if shape.size else ()
    known = all(isinstance(size, int) for size in sizes)
    return (np if known else jnp).full(sizes, value.reshape(()), value.dtype)


def _cast(x: Array, dtype: np.dtype) -> Array:
    """x in ``dtype``. Symbolic sizes stay as they are."""
    if x.dtype == object:
        return x
    return x.astype(dtype if isinstance(x, np.ndarray) else canonical(dtype))


def _range(start: np.ndarray, limit: np.ndarray, delta: np.ndarray) -> np.ndarray:
    first, last, step = start.item(), limit.item(), delta.item()
    return np.arange(first, last, step).astype(start.dtype)


OPERATORS = {
    "Cast": Operator(lambda node, x: _cast(x, DTYPES[node.get("to")]), accepts={"to": (*DTYPES,)}),
    "CastLike": Operator(plain(lambda x, like: _cast(x, like.dtype))),
    "Constant": Operator(_constant),
    "ConstantOfShape": Operator(_constant_of_shape, settings=(0,)),
    "Range": Operator(plain(_range), settings=(0, 1, 2)),
}
