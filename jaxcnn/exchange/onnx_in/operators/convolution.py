"""Convolutions: Conv, ConvTranspose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from jaxcnn.exchange.onnx_in.node import Operator
from jaxcnn.geometry.conventions import onnx as conventions
from jaxcnn.ops import conv as convolve
from jaxcnn.ops import conv_transpose as convolve_transposed
from jaxcnn.ops import kernel_from_torch

if TYPE_CHECKING:
    import jax

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
    return convolve(x, kernel, bias, **conventions.conv(kernel.shape[:-2], **attributes))


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
    return convolve_transposed(x, kernel, bias, **arguments)


OPERATORS = {
    "Conv": Operator(_conv, "maps"),
    "ConvTranspose": Operator(_conv_transpose, "maps"),
}
