"""Elementwise primitives: each entry of the result depends on the same entries of the inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from jaxcnn.exchange.onnx_out.value import Value, carrier, widened

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxcnn.exchange.onnx_out.operation import Operation

_OPERATORS = {
    "abs": "Abs",
    "acos": "Acos",
    "acosh": "Acosh",
    "add": "Add",
    "add_any": "Add",
    "asin": "Asin",
    "asinh": "Asinh",
    "atan": "Atan",
    "atanh": "Atanh",
    "ceil": "Ceil",
    "cos": "Cos",
    "cosh": "Cosh",
    "div": "Div",
    "eq": "Equal",
    "erf": "Erf",
    "exp": "Exp",
    "floor": "Floor",
    "ge": "GreaterOrEqual",
    "gt": "Greater",
    "le": "LessOrEqual",
    "log": "Log",
    "logistic": "Sigmoid",
    "lt": "Less",
    "max": "Max",
    "min": "Min",
    "mul": "Mul",
    "neg": "Neg",
    "pow": "Pow",
    "sign": "Sign",
    "sin": "Sin",
    "sinh": "Sinh",
    "sqrt": "Sqrt",
    "sub": "Sub",
    "tan": "Tan",
    "tanh": "Tanh",
}
_OF_BOOLEANS = {
    "and": "And",
    "or": "Or",
    "xor": "Xor",
    "not": "Not",
    "eq": "Equal",
    "ne": "Xor",
    "max": "Or",
    "min": "And",
    "mul": "And",
    "add": "Or",
}
_OF_BITS = {"and": "BitwiseAnd", "or": "BitwiseOr", "xor": "BitwiseXor", "not": "BitwiseNot"}


def elementwise(op: Operation) -> Value:
    """One output, in the order of axes of the largest input."""
    axes = _order(op.values)
    names = _tensors(op, axes)
    stored = _stored(op)
    dtype = op.values[0].dtype
    if dtype.kind == "b":
        if op.name not in _OF_BOOLEANS:
            op.refuse("of booleans has no rule for ONNX")
        return op.result(op.node(_OF_BOOLEANS[op.name], *names), axes, stored)
    if op.name in _OF_BITS:
        return op.result(op.node(_OF_BITS[op.name], *names), axes, stored)
    wide = widened(dtype)
    names = [op.cast(name, value.dtype, wide) for name, value in zip(names, op.values, strict=True)]
    name = (
        _COMPOSED[op.name](op, *names)
        if op.name in _COMPOSED
        else op.node(_OPERATORS[op.name], *names)
    )
    if op.dtype == dtype:
        name = op.cast(name, wide, dtype)
    return op.result(name, axes, stored)


def _order(values: list[Value]) -> tuple[int, ...]:
    """The order of axes of the tensor with the most axes that do not repeat an entry."""
    rank = max(len(value.shape) for value in values)
    tensors = [v for v in values if not v.is_constant and len(v.shape) == rank]
    if not tensors:
        return tuple(range(rank))
    return max(tensors, key=lambda v: sum(size != 1 for size in v.stored)).axes


def _tensors(op: Operation, axes: tuple[int, ...]) -> list[str]:
    """The tensors of the inputs; a number without axes is broadcast by ONNX as by JAX.

    One input at least has the rank of the result.
    """
    whole = [value for value in op.values if len(value.shape) == len(axes)]
    ranked = next((value for value in whole if value.scalar is None), whole[0])
    return [
        op.tensor(value, axes if value.shape else ())
        if value is ranked or value.scalar is None
        else op.graph.array(
            np.asarray(value.scalar).astype(carrier(value.dtype)), value.origin or "constant"
        )
        for value in op.values
    ]


def _stored(op: Operation) -> tuple[Any, ...]:
    """What the output stores: an axis is not repeated if it is whole in one of the inputs."""
    rank = len(op.shape)
    found = [1] * rank
    for value in op.values:
        if len(value.shape) == rank:
            found = [a if b == 1 else b for a, b in zip(found, value.stored, strict=True)]
    return tuple(found)


def _expm1(op: Operation, x: str) -> str:
    """exp(x) - 1 = tanh(x/2) * (exp(x) + 1), which loses no digits near zero."""
    half = op.node("Tanh", op.node("Mul", x, op.number(0.5)))
    return op.node("Mul", half, op.node("Add", op.node("Exp", x), op.number(1)))


def _log1p(op: Operation, x: str) -> str:
    """log(1 + x) = 2 artanh(x/(2 + x)), which loses no digits near zero."""
    quotient = op.node("Div", x, op.node("Add", x, op.number(2)))
    near = op.node("Mul", op.node("Atanh", quotient), op.number(2))
    far = op.node("Log", op.node("Add", x, op.number(1)))
    return op.node("Where", op.node("Less", op.node("Abs", x), op.number(0.5)), near, far)


def _clamp(op: Operation, low: str, x: str, high: str) -> str:
    if all(op.values[i].scalar is not None for i in (0, 2)):
        return op.node("Clip", x, low, high)
    return op.node("Min", op.node("Max", x, low), high)


def _power(op: Operation, x: str) -> str:
    exponent = op.params["y"]
    if exponent == 2:
        return op.node("Mul", x, x)
    if exponent == -1:
        return op.node("Reciprocal", x)
    return op.node("Pow", x, op.number(exponent))


def _round(op: Operation, x: str) -> str:
    if op.params["rounding_method"].name == "TO_NEAREST_EVEN":
        return op.node("Round", x)
    size = op.node("Abs", x)
    down = op.node("Floor", size)
    is_half = op.node("GreaterOrEqual", op.node("Sub", size, down), op.number(0.5))
    up = op.node("Add", down, op.cast(is_half, np.dtype(bool), op.dtype))
    return op.node("Mul", op.node("Sign", x), up)


def _maximum(op: Operation, x: str, y: str) -> str:
    """Max, or Relu if one of the inputs is zero."""
    is_float = jnp.issubdtype(op.dtype, jnp.floating)
    for value, other in zip(op.values, (y, x), strict=True):
        if value.scalar is not None and value.scalar == 0 and is_float:
            return op.node("Relu", other)
    return op.node("Max", x, y)


def _minimum(op: Operation, x: str, y: str) -> str:
    """Min, or Clip if one of the inputs is a number: runtimes join it with Relu before it."""
    for value, high, other in zip(op.values, (x, y), (y, x), strict=True):
        if value.scalar is not None and jnp.issubdtype(op.dtype, jnp.floating):
            return op.node("Clip", other, "", high)
    return op.node("Min", x, y)


def _cbrt(op: Operation, x: str) -> str:
    root = op.node("Pow", op.node("Abs", x), op.number(1 / 3))
    return op.node("Mul", op.node("Sign", x), root)


_COMPOSED: dict[str, Callable[..., str]] = {
    "cbrt": _cbrt,
    "clamp": _clamp,
    "erfc": lambda op, x: op.node("Sub", op.number(1), op.node("Erf", x)),
    "exp2": lambda op, x: op.node("Pow", op.number(2), x),
    "expm1": _expm1,
    "integer_pow": _power,
    "is_finite": lambda op, x: op.node(
        "Not", op.node("Or", op.node("IsNaN", x), op.node("IsInf", x))
    ),
    "log1p": _log1p,
    "max": _maximum,
    "min": _minimum,
    "ne": lambda op, x, y: op.node("Not", op.node("Equal", x, y)),
    "rem": lambda op, x, y: op.node("Mod", x, y, fmod=1),
    "round": _round,
    "rsqrt": lambda op, x: op.node("Reciprocal", op.node("Sqrt", x)),
    "square": lambda op, x: op.node("Mul", x, x),
}


def convert(op: Operation) -> Value:
    """``convert_element_type``."""
    (x,) = op.values
    return op.result(op.cast(op.tensor(x, x.axes), x.dtype, op.dtype), x.axes, x.stored)


def select(op: Operation) -> Value:
    """``select_n``: the number of the case, then the cases."""
    which, *cases = op.values
    if which.scalar is not None:
        return cases[int(which.scalar)]
    axes = _order(op.values)
    chosen_by, *names = _tensors(op, axes)
    wide = np.dtype("uint8") if op.dtype.kind == "b" else widened(op.dtype)
    names = [op.cast(name, op.dtype, wide) for name in names]
    name = names[0]
    for number, case in enumerate(names[1:], 1):
        chosen = chosen_by
        if which.dtype.kind != "b":
            chosen = op.node("Equal", chosen, op.number(number))
        name = op.node("Where", chosen, case, name)
    return op.result(op.cast(name, wide, op.dtype), axes, _stored(op))


def identity(op: Operation) -> list[Value]:
    """What returns its inputs."""
    return op.values


def reduce_precision(op: Operation) -> Value:
    """``reduce_precision``: rounds to the numbers of a narrower dtype."""
    (x,) = op.values
    bits = op.params["exponent_bits"], op.params["mantissa_bits"]
    formats = {(5, 10): "float16", (8, 7): "bfloat16", (8, 23): "float32", (11, 52): "float64"}
    if bits not in formats:
        op.refuse("rounds to a format that ONNX lacks")
    name = op.tensor(x, x.axes)
    if jnp.finfo(formats[bits]).nmant < jnp.finfo(x.dtype).nmant:
        rounded = op.node("Cast", name, to=formats[bits])
        name = op.node("Cast", rounded, to=carrier(x.dtype).name)
    return op.result(name, x.axes, x.stored)


RULES = {
    **dict.fromkeys((*_OPERATORS, *_COMPOSED, *_OF_BITS, "ne"), elementwise),
    **dict.fromkeys(("copy", "copy_p", "name", "jaxcnn_materialize"), identity),
    **dict.fromkeys(("optimization_barrier", "sharding_constraint", "stop_gradient"), identity),
    "convert_element_type": convert,
    "reduce_precision": reduce_precision,
    "select_n": select,
}
ELEMENTWISE = frozenset(RULES) - {"jaxcnn_materialize", "optimization_barrier"}
"""Primitives of constants that are computed entry by entry."""
