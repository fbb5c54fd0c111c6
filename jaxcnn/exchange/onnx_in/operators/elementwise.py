"""Arithmetic, comparisons and functions, cell by cell."""

from __future__ import annotations

from functools import partial, reduce
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.exchange.onnx_in.node import Operator, plain
from jaxcnn.exchange.onnx_in.values import namespace

if TYPE_CHECKING:
    from jaxcnn.exchange.onnx_in.node import Node
    from jaxcnn.exchange.onnx_in.values import Array

_FUNCTIONS = {  # NumPy's names, and JAX's
    "Abs": "abs",
    "Acos": "arccos",
    "Acosh": "arccosh",
    "Add": "add",
    "And": "logical_and",
    "Asin": "arcsin",
    "Asinh": "arcsinh",
    "Atan": "arctan",
    "Atanh": "arctanh",
    "BitwiseAnd": "bitwise_and",
    "BitwiseNot": "bitwise_not",
    "BitwiseOr": "bitwise_or",
    "BitwiseXor": "bitwise_xor",
    "Ceil": "ceil",
    "Cos": "cos",
    "Cosh": "cosh",
    "Equal": "equal",
    "Exp": "exp",
    "Floor": "floor",
    "Greater": "greater",
    "GreaterOrEqual": "greater_equal",
    "IsNaN": "isnan",
    "Less": "less",
    "LessOrEqual": "less_equal",
    "Log": "log",
    "Mul": "multiply",
    "Neg": "negative",
    "Not": "logical_not",
    "Or": "logical_or",
    "Round": "rint",  # halves to the even neighbour
    "Sign": "sign",
    "Sin": "sin",
    "Sinh": "sinh",
    "Sqrt": "sqrt",
    "Sub": "subtract",
    "Tan": "tan",
    "Tanh": "tanh",
    "Where": "where",
    "Xor": "logical_xor",
}


def _function(node: Node, *arrays: Array) -> Array:
    return getattr(namespace(*arrays), _FUNCTIONS[node.op_type])(*arrays)


def _div(x: Array, y: Array) -> Array:
    """The quotient; of integers rounded towards zero, as in C."""
    if jnp.issubdtype(x.dtype, jnp.inexact):
        return x / y
    quotient = x // y
    if quotient.dtype == object:  # symbolic sizes, which are positive
        return quotient
    inexact = quotient * y != x
    return quotient + (inexact & ((x < 0) != (y < 0))).astype(quotient.dtype)


def _mod(node: Node, x: Array, y: Array) -> Array:
    return (namespace(x, y).fmod if node.get("fmod", 0) else namespace(x, y).mod)(x, y)


def _power(x: Array, y: Array) -> Array:
    """x**y in the dtype of x."""
    if isinstance(y, np.ndarray) and y.size == 1 and float(y.item()).is_integer():
        whole = int(y.item())
        if jnp.issubdtype(x.dtype, jnp.inexact) or whole >= 0:
            return x**whole  # its derivative is exact at every x
    wide = jnp.float32 if jnp.issubdtype(y.dtype, jnp.floating) else x.dtype
    base = x if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.asarray(x).astype(wide)
    return jnp.power(base, jnp.asarray(y).astype(base.dtype)).astype(x.dtype)


def _fold(node: Node, *arrays: Array) -> Array:
    """Sum, Mean, Max and Min of any number of arrays."""
    names = {"Sum": "add", "Mean": "add", "Max": "maximum", "Min": "minimum"}
    total = reduce(getattr(namespace(*arrays), names[node.op_type]), arrays)
    return total / len(arrays) if node.op_type == "Mean" else total


def _is_inf(node: Node, x: Array) -> Array:
    found = namespace(x).isinf(x)
    if not node.get("detect_negative", 1):
        found = found & (x > 0)
    return found if node.get("detect_positive", 1) else found & (x < 0)


def _clip(node: Node, x: Array, low: Array | None = None, high: Array | None = None) -> Array:
    """min(max(x, low), high); before opset 11 the bounds were attributes."""
    xp = namespace(x)
    low = node.get("min") if low is None else low
    high = node.get("max") if high is None else high
    x = x if low is None else xp.maximum(x, xp.asarray(low, x.dtype))
    return x if high is None else xp.minimum(x, xp.asarray(high, x.dtype))


_broadcast = partial(Operator, layout="broadcast")

OPERATORS = {
    **dict.fromkeys(_FUNCTIONS, _broadcast(_function)),
    **dict.fromkeys(("Max", "Mean", "Min", "Sum"), _broadcast(_fold)),
    "Clip": _broadcast(_clip),
    "Div": _broadcast(plain(_div)),
    "Erf": _broadcast(plain(lambda x: jax.scipy.special.erf(jnp.asarray(x)))),
    "Identity": Operator(plain(lambda value: value), "values"),
    "IsInf": _broadcast(_is_inf),
    "Mod": _broadcast(_mod),
    "Pow": _broadcast(plain(_power)),
    "Reciprocal": _broadcast(plain(lambda x: np.ones((), x.dtype) / x)),
}
