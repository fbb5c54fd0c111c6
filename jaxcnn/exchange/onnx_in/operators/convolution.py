"""Convolutions of floating-point numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxcnn import ops
from jaxcnn.exchange.onnx_in.node import Operator
from jaxcnn.exchange.onnx_in.values import channels_last
from jaxcnn.geometry.conventions import onnx as conventions
from jaxcnn.ops import kernel_from_torch

if TYPE_CHECKING:
    from jaxcnn.exchange.onnx_in.node import Node
    from jaxcnn.exchange.onnx_in.values import Array


def window_attributes(node: Node, *names: str) -> dict[str, Any]:
    """The attributes of these names, of a convolution or pool, that the node has.

    Exporters write zeros as ``pads`` beside an ``auto_pad``, which excludes them.
    """
    found = {name: node.get(name) for name in names if node.get(name) is not None}
    if found.get("auto_pad", "NOTSET") != "NOTSET" and not any(found.get("pads", ())):
        found.pop("pads", None)
    return found


CONV = ("auto_pad", "dilations", "group", "pads", "strides")


def _conv(node: Node, x: jax.Array, weight: Array, bias: jax.Array | None = None) -> jax.Array:
    kernel = kernel_from_torch(jnp.asarray(weight))
    attributes = window_attributes(node, *CONV)
    return ops.conv(x, kernel, bias, **conventions.conv(kernel.shape[:-2], **attributes))


def _conv_transpose(
    node: Node, x: jax.Array, weight: Array, bias: jax.Array | None = None
) -> jax.Array:
    kernel = kernel_from_torch(jnp.asarray(weight))
    attributes = window_attributes(node, *CONV, "output_padding", "output_shape")
    arguments = conventions.conv_transpose(
        kernel.shape[:-2],
        **attributes,
        sizes=x.shape[1:-1] if "output_shape" in attributes else None,
    )
    return ops.conv_transpose(x, kernel, bias, **arguments)


def _deform_conv(
    node: Node,
    x: jax.Array,
    weight: Array,
    offset: Array,
    bias: jax.Array | None = None,
    mask: Array | None = None,
) -> jax.Array:
    kernel = kernel_from_torch(jnp.asarray(weight))
    arguments = conventions.conv(kernel.shape[:-2], **window_attributes(node, *CONV))
    mask = None if mask is None else channels_last(mask)
    return ops.deform_conv(x, channels_last(offset), kernel, bias, mask=mask, **arguments)


def _causal_conv(
    node: Node,
    x: jax.Array,
    weight: Array,
    bias: jax.Array | None = None,
    past: Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """A depthwise convolution of the past and x, and the end of both, the next past."""
    kernel = kernel_from_torch(jnp.asarray(weight))
    batch, _, channels = x.shape
    cells = len(kernel) - 1
    zeros = jnp.zeros((batch, cells, channels), x.dtype)
    x = jnp.concatenate([zeros if past is None else jnp.moveaxis(past, 1, -1), x], axis=1)
    y = ops.conv(x, kernel, bias, groups=channels)
    y = y if node.get("activation", "none") == "none" else jax.nn.silu(y)
    return y, x[:, x.shape[1] - cells :]


OPERATORS = {
    "CausalConvWithState": Operator(
        _causal_conv, "maps", accepts={"activation": ("none", "silu", "swish")}
    ),
    "Conv": Operator(_conv, "maps"),
    "ConvTranspose": Operator(_conv_transpose, "maps"),
    "DeformConv": Operator(_deform_conv, "maps"),
}
