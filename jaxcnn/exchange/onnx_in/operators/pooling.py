"""Pools: MaxPool, AveragePool, LpPool, the global pools; MaxUnpool and Col2Im."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn import ops
from jaxcnn.exchange.onnx_in.node import Operator, plain
from jaxcnn.exchange.onnx_in.operators.convolution import window_attributes
from jaxcnn.exchange.onnx_in.values import canonical, integers
from jaxcnn.geometry import conventions, output_size

if TYPE_CHECKING:
    from jaxcnn.exchange.onnx_in.node import Node
    from jaxcnn.exchange.onnx_in.values import Array

POOL = ("auto_pad", "ceil_mode", "dilations", "pads", "strides")


def _max_pool(node: Node, x: jax.Array) -> jax.Array | tuple[jax.Array, jax.Array]:
    attributes = window_attributes(node, *POOL)
    arguments = conventions.onnx.max_pool(node.get("kernel_shape"), **attributes)
    if len(node.outputs) < 2 or not node.outputs[1]:
        return ops.max_pool(x, **arguments)
    order = "column_major" if node.get("storage_order", 0) else "row_major"
    values, indices = ops.max_pool_with_indices(x, **arguments, index_order=order)
    # ONNX counts the cells of the feature maps before, too.
    batch, *sizes, channels = x.shape
    maps = jnp.arange(batch * channels, dtype=jnp.int32).reshape(
        batch, *(1,) * len(sizes), channels
    )
    return values, (indices + maps * prod(sizes)).astype(canonical(np.int64))


def _avg_pool(node: Node, x: jax.Array) -> jax.Array:
    attributes = window_attributes(node, *POOL, "count_include_pad")
    return ops.avg_pool(x, **conventions.onnx.avg_pool(node.get("kernel_shape"), **attributes))


def _lp_pool(node: Node, x: jax.Array) -> jax.Array:
    attributes = window_attributes(node, *POOL, "p")
    return ops.lp_pool(x, **conventions.onnx.lp_pool(node.get("kernel_shape"), **attributes))


def _global_lp_pool(node: Node, x: jax.Array) -> jax.Array:
    return ops.global_lp_pool(x, node.get("p", 2), keepdims=True)


def _max_unpool(
    node: Node, x: jax.Array, indices: Array, output_shape: np.ndarray | None = None
) -> jax.Array:
    """An output_shape adds zeros at the end."""
    arguments = conventions.onnx.max_unpool(
        node.get("kernel_shape"), **window_attributes(node, "pads", "strides"), sizes=x.shape[1:-1]
    )
    sizes = arguments["output_size"]
    cells = jnp.moveaxis(jnp.asarray(indices), 1, -1) % prod(sizes)
    y = ops.max_unpool(x, cells, **arguments)
    if output_shape is None:
        return y
    wanted = integers(output_shape)[2:]
    return ops.pad(y, [(0, want - size) for want, size in zip(wanted, sizes, strict=True)])


def _col2im(
    node: Node, columns: Array, image_shape: np.ndarray, block_shape: np.ndarray
) -> jax.Array:
    """Columns (N, C*prod(F), prod(k)) become patches (N, *k, prod(F)*C), which are folded."""
    block = integers(block_shape)
    attributes = window_attributes(node, "dilations", "pads", "strides")
    arguments = conventions.onnx.fold(integers(image_shape), block, **attributes)
    windows = zip(
        arguments["output_size"],
        *(arguments[name] for name in ("kernel_size", "stride", "padding", "dilation")),
        strict=True,
    )
    positions = [
        output_size(size, f, stride=s, padding=pair, dilation=d, rounding="floor")
        for size, f, s, pair, d in windows
    ]
    batch, taps = columns.shape[0], prod(block)
    patches = jnp.asarray(columns).reshape(batch, -1, taps, *positions)
    patches = jnp.moveaxis(patches, (2, 1), (-2, -1))
    y = ops.fold(patches.reshape(batch, *positions, -1), **arguments)
    return jnp.moveaxis(y, -1, 1)


OPERATORS = {
    "AveragePool": Operator(_avg_pool, "maps"),
    "Col2Im": Operator(_col2im, settings=(1, 2)),
    "GlobalAveragePool": Operator(plain(partial(ops.global_avg_pool, keepdims=True)), "maps"),
    "GlobalLpPool": Operator(_global_lp_pool, "maps"),
    "GlobalMaxPool": Operator(plain(partial(ops.global_max_pool, keepdims=True)), "maps"),
    "LpPool": Operator(_lp_pool, "maps"),
    "MaxPool": Operator(_max_pool, "maps"),
    "MaxUnpool": Operator(_max_unpool, "maps", settings=(2,)),
}
