"""Constants, and arrays made from sizes; casts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.exchange.onnx_in.node import Operator
from jaxcnn.exchange.onnx_in.values import canonical, integers, namespace

if TYPE_CHECKING:
    import jax

    from jaxcnn.exchange.onnx_in.node import Node
    from jaxcnn.exchange.onnx_in.values import Array

DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    16: "bfloat16",
}
"""Dtypes by the number that ONNX gives them."""


def constant(node: Node) -> np.ndarray:
    for name in ("value", "value_int", "value_ints", "value_float", "value_floats"):
        value = node.get(name)
        if value is not None:
            return np.asarray(value, {"i": "int64", "f": "float32"}.get(name[6:7]))
    raise InputError(f"its value, {', '.join(node.attributes)}, is not an array of numbers")


def constant_of_shape(node: Node, shape: np.ndarray) -> Array:
    value = np.asarray(node.get("value", np.zeros(1, np.float32)))
    sizes = integers(shape) if shape.size else ()
    known = all(isinstance(size, int) for size in sizes)
    return (np if known else jnp).full(sizes, value.reshape(()), value.dtype)


def cast(node: Node, x: Array) -> Array:
    return _cast(x, np.dtype(jnp.dtype(DTYPES[node.get("to")])))


def cast_like(node: Node, x: Array, like: Array) -> Array:
    return _cast(x, like.dtype)


def _cast(x: Array, dtype: np.dtype) -> Array:
    """x in ``dtype``. Symbolic sizes stay as they are."""
    if x.dtype == object:
        return x
    return x.astype(dtype if isinstance(x, np.ndarray) else canonical(dtype))


def eye_like(node: Node, x: Array) -> jax.Array:
    rows, columns = x.shape
    dtype = DTYPES[node.get("dtype")] if node.get("dtype") else x.dtype
    return jnp.eye(rows, columns, node.get("k", 0), dtype=canonical(dtype))


def range_(node: Node, start: np.ndarray, limit: np.ndarray, delta: np.ndarray) -> np.ndarray:
    first, last, step = start.item(), limit.item(), delta.item()
    return np.arange(first, last, step).astype(start.dtype)


def one_hot(node: Node, indices: Array, depth: np.ndarray, values: Array) -> jax.Array:
    size = int(depth.item())
    axis = node.get("axis", -1) % (indices.ndim + 1)
    wrapped = jnp.expand_dims(jnp.asarray(indices), axis).astype(jnp.int32)
    wrapped = jnp.where(wrapped < 0, wrapped + size, wrapped)
    places = jnp.arange(size, dtype=jnp.int32)
    places = places.reshape(-1, *(1,) * (indices.ndim - axis))
    places = places.reshape((1,) * axis + places.shape)
    off, on = jnp.asarray(values)
    return jnp.where(wrapped == places, on, off)


def trilu(node: Node, x: Array, k: np.ndarray | None = None) -> Array:
    xp = namespace(x)
    return (xp.triu if node.get("upper", 1) else xp.tril)(x, 0 if k is None else int(k.item()))


OPERATORS = {
    "Cast": Operator(cast, accepts={"to": tuple(DTYPES)}),
    "CastLike": Operator(cast_like),
    "Constant": Operator(constant),
    "ConstantOfShape": Operator(constant_of_shape, settings=(0,)),
    "EyeLike": Operator(eye_like),
    "OneHot": Operator(one_hot, settings=(1,)),
    "Range": Operator(range_, settings=(0, 1, 2)),
    "Trilu": Operator(trilu, settings=(1,)),
}
