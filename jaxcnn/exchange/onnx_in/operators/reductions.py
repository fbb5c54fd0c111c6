"""Reductions along axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.exchange.onnx_in.node import Operator
from jaxcnn.exchange.onnx_in.values import (
    canonical,
    integers,
    layout_of,
    namespace,
    onnx_order,
)
from jaxcnn.shapes import widened

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxcnn.exchange.onnx_in.node import Node
    from jaxcnn.exchange.onnx_in.values import Array, Value


def _extreme(name: str) -> Callable[..., Any]:
    """``max`` or ``min``; of no cells, the smallest or the largest number."""

    def extreme(x: Array, **at: Any) -> Any:
        xp = namespace(x)
        if np.prod(x.shape):
            return getattr(xp, name)(x, **at)
        if x.dtype == bool:
            limit = name == "min"
        elif jnp.issubdtype(x.dtype, jnp.floating):
            limit = -np.inf if name == "max" else np.inf
        else:
            about = jnp.iinfo(x.dtype)
            limit = about.min if name == "max" else about.max
        return getattr(xp, name)(x, initial=np.asarray(limit, x.dtype), **at)

    return extreme


def _sum(x: Array, **at: Any) -> Any:
    return namespace(x).sum(x, **at)


def _l2(x: Array, **at: Any) -> Any:
    """The root of the sum of squares; its gradient at zeros is 0."""
    square = jnp.sum(jnp.square(x), **at)
    known = square > 0
    root = jnp.sqrt(jnp.where(known, square, jnp.ones((), square.dtype)).astype(square.dtype))
    return jnp.where(known, root, jnp.sqrt(jax.lax.stop_gradient(square)))


_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceL1": lambda x, **at: _sum(abs(x), **at),
    "ReduceL2": _l2,
    "ReduceLogSum": lambda x, **at: jnp.log(_sum(x, **at)),
    "ReduceLogSumExp": lambda x, **at: jax.scipy.special.logsumexp(x, **at),
    "ReduceMax": _extreme("max"),
    "ReduceMean": lambda x, **at: namespace(x).mean(x, **at),
    "ReduceMin": _extreme("min"),
    "ReduceProd": lambda x, **at: namespace(x).prod(x, **at),
    "ReduceSum": _sum,
    "ReduceSumSquare": lambda x, **at: _sum(x * x, **at),
}


def _reduce(node: Node, x: Value, axes: np.ndarray | None = None) -> Value:
    """The axes are an attribute in older opsets, an input since opset 13 or 18."""
    array, axis_of, back = layout_of(x)
    given = node.get("axes") if axes is None else integers(axes) if axes.size else None
    if given is None and node.get("noop_with_empty_axes", 0):
        given = ()
    places = range(array.ndim) if given is None else given
    along = tuple(axis_of(axis) for axis in places)
    wide = array if isinstance(array, np.ndarray) else widened(array)
    result = _REDUCTIONS[node.op_type](wide, axis=along, keepdims=True).astype(array.dtype)
    if node.get("keepdims", 1):
        return back(result)
    return onnx_order(back(result)).squeeze(tuple(axis % array.ndim for axis in places))


def _arg_extreme(node: Node, x: Value) -> Value:
    array, axis_of, back = layout_of(x)
    axis, array = axis_of(node.get("axis", 0)), jnp.asarray(array)
    pick = jnp.argmax if node.op_type == "ArgMax" else jnp.argmin
    if node.get("select_last_index", 0):
        found = array.shape[axis] - 1 - pick(jnp.flip(array, axis), axis, keepdims=True)
    else:
        found = pick(array, axis, keepdims=True)
    result = back(found.astype(canonical(np.int64)))
    if node.get("keepdims", 1):
        return result
    return onnx_order(result).squeeze(node.get("axis", 0) % array.ndim)


def _cumulative(node: Node, x: Array, axis: np.ndarray) -> jax.Array:
    """CumSum and CumProd; ``exclusive`` leaves each cell out of its own result."""
    where = int(axis.item()) % x.ndim
    x = jnp.flip(x, where) if node.get("reverse", 0) else jnp.asarray(x)
    add = node.op_type == "CumSum"
    if node.get("exclusive", 0):
        first = jax.lax.slice_in_dim(x, 0, 1, axis=where)
        start = jnp.zeros_like(first) if add else jnp.ones_like(first)
        x = jnp.concatenate(
            [start, jax.lax.slice_in_dim(x, 0, x.shape[where] - 1, axis=where)], where
        )
    y = (jnp.cumsum if add else jnp.cumprod)(x, where).astype(x.dtype)
    return jnp.flip(y, where) if node.get("reverse", 0) else y


OPERATORS = {
    **dict.fromkeys(_REDUCTIONS, Operator(_reduce, "values", settings=(1,))),
    "ArgMax": Operator(_arg_extreme, "values"),
    "ArgMin": Operator(_arg_extreme, "values"),
    "CumProd": Operator(_cumulative, settings=(1,)),
    "CumSum": Operator(_cumulative, settings=(1,)),
}
