"""Activations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxcnn.exchange.onnx_in.node import Operator, plain
from jaxcnn.exchange.onnx_in.values import layout_of, onnx_order
from jaxcnn.shapes import widened

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxcnn.exchange.onnx_in.node import Node
    from jaxcnn.exchange.onnx_in.values import Array, Value


def _leaky_relu(node: Node, x: Array) -> jax.Array:
    return jnp.where(x >= 0, x, x * jnp.asarray(node.get("alpha", 0.01), x.dtype))


def _elu(node: Node, x: Array) -> jax.Array:
    return jax.nn.elu(x, jnp.asarray(node.get("alpha", 1.0), x.dtype))


def _celu(node: Node, x: Array) -> jax.Array:
    return jax.nn.celu(x, jnp.asarray(node.get("alpha", 1.0), x.dtype))


def _selu(node: Node, x: Array) -> jax.Array:
    alpha = jnp.asarray(node.get("alpha", 1.67326319217681884765625), x.dtype)
    gamma = jnp.asarray(node.get("gamma", 1.05070102214813232421875), x.dtype)
    return gamma * jax.nn.elu(x, alpha)


def _gelu(node: Node, x: Array) -> jax.Array:
    return jax.nn.gelu(x, approximate=node.get("approximate", "none") == "tanh")


def _hard_sigmoid(node: Node, x: Array) -> jax.Array:
    alpha, beta = node.get("alpha", 0.2), node.get("beta", 0.5)
    return jnp.clip(x * jnp.asarray(alpha, x.dtype) + jnp.asarray(beta, x.dtype), 0, 1)


def _swish(node: Node, x: Array) -> Array:
    return x * jax.nn.sigmoid(x * jnp.asarray(node.get("alpha", 1.0), x.dtype))


def _thresholded_relu(node: Node, x: Array) -> jax.Array:
    return jnp.where(x > node.get("alpha", 1.0), x, jnp.zeros((), x.dtype))


def _shrink(node: Node, x: Array) -> jax.Array:
    edge, bias = node.get("lambd", 0.5), jnp.asarray(node.get("bias", 0.0)).astype(x.dtype)
    zero = jnp.zeros((), x.dtype)
    return jnp.where(x < -edge, x + bias, jnp.where(x > edge, x - bias, zero))


def _softmax(node: Node, x: Value) -> Value:
    return _along_axis(node, x, jax.nn.softmax)


def _log_softmax(node: Node, x: Value) -> Value:
    return _along_axis(node, x, jax.nn.log_softmax)


def _along_axis(node: Node, x: Value, compute: Callable[..., jax.Array]) -> Value:
    """``compute(x, axis=axis)``; before opset 13, along the axis and all later ones together."""
    if node.opset >= 13:
        array, axis_of, back = layout_of(x)
        return back(_narrowed(jnp.asarray(array), axis_of(node.get("axis", -1)), compute))
    array = jnp.asarray(onnx_order(x))
    axis = node.get("axis", 1) % max(array.ndim, 1)
    flat = array.reshape(*array.shape[:axis], -1)
    return _narrowed(flat, -1, compute).reshape(array.shape)


def _narrowed(x: jax.Array, axis: int, compute: Callable[..., jax.Array]) -> jax.Array:
    """Computed in float32 if x is narrower, and in the dtype of x in the end."""
    return compute(widened(x), axis=axis).astype(x.dtype)


_PLAIN = {
    "HardSwish": jax.nn.hard_swish,
    "Mish": jax.nn.mish,
    "PRelu": lambda x, slope: jnp.where(x >= 0, x, x * slope),
    "Relu": jax.nn.relu,
    "Sigmoid": jax.nn.sigmoid,
    "Softplus": jax.nn.softplus,
    "Softsign": jax.nn.soft_sign,
}

OPERATORS = {
    **{name: Operator(plain(function), "broadcast") for name, function in _PLAIN.items()},
    "Celu": Operator(_celu, "broadcast"),
    "Elu": Operator(_elu, "broadcast"),
    "Gelu": Operator(_gelu, "broadcast", accepts={"approximate": ("none", "tanh")}),
    "HardSigmoid": Operator(_hard_sigmoid, "broadcast"),
    "LeakyRelu": Operator(_leaky_relu, "broadcast"),
    "LogSoftmax": Operator(_log_softmax, "values"),
    "Selu": Operator(_selu, "broadcast"),
    "Shrink": Operator(_shrink, "broadcast"),
    "Softmax": Operator(_softmax, "values"),
    "Swish": Operator(_swish, "broadcast"),
    "ThresholdedRelu": Operator(_thresholded_relu, "broadcast"),
}
