"""Pools: MaxPool, AveragePool, LpPool, the global pools, MaxUnpool."""

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
from jaxcnn.geometry import conventions

if TYPE_CHECKING:
    from jaxcnn.exchange.onnx_in.node import Node
    from jaxcnn.exchange.onnx_in.values import Array

POOL = ("auto_pad", "ceil_mode", "dilations", "pads", "strides")


def _max_pool(node: Node, x: jax.Array) -> jax.Array | tuple[jax.Array, jax.Array]:
    arguments = conventions.onnx.max_pool(
        node.get("kernel_shape"), **window_attributes(node, *POOL)
    )
    if len(node.outputs) < 2 or not node.outputs[1]:
        return ops.max_pool(x, **arguments)
    values, indices = ops.max_pool_with_indices(x, **arguments)
    sizes = x.shape[1:-1]
    if node.get("storage_order", 0):
        indices = _column_major(indices, sizes)
    indices = indices + _first_cells(x.shape[0], sizes, x.shape[-1])
    return values, indices.astype(canonical(np.int64))


def _column_major(indices: jax.Array, sizes: tuple[int, ...]) -> jax.Array:
    """Row-major indices of cells, counted with the first axis fastest."""
    places = jnp.unravel_index(indices, sizes)
    strides = (prod(sizes[:axis]) for axis in range(len(sizes)))
    return sum(
        (place * stride for place, stride in zip(places, strides, strict=True)),
        jnp.zeros_like(indices),
    )


def _first_cells(batch: int, sizes: tuple[int, ...], channels: int) -> jax.Array:
    """(N, 1, ..., 1, C): the number of cells before each feature map, in ONNX's order."""
    maps = jnp.arange(batch * channels, dtype=jnp.int32).reshape(batch, *(1,) * len(sizes), -1)
    return maps * prod(sizes)


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
    kernel = node.get("kernel_shape")
    strides = node.get("strides", [1] * len(kernel))
    pads = node.get("pads", [0] * 2 * len(kernel))
    totals = [
        low + high for low, high in zip(pads[: len(kernel)], pads[len(kernel) :], strict=True)
    ]
    sizes = tuple(
        (k - 1) * stride - total + f
        for k, f, stride, total in zip(x.shape[1:-1], kernel, strides, totals, strict=True)
    )
    cells = jnp.moveaxis(jnp.asarray(indices), 1, -1) % prod(sizes)
    y = ops.max_unpool(x, cells, output_size=sizes)
    if output_shape is None:
        return y
    wanted = integers(output_shape)[2:]
    return ops.pad(y, [(0, want - size) for want, size in zip(wanted, sizes, strict=True)])


OPERATORS = {
    "AveragePool": Operator(_avg_pool, "maps"),
    "GlobalAveragePool": Operator(plain(partial(ops.global_avg_pool, keepdims=True)), "maps"),
    "GlobalLpPool": Operator(_global_lp_pool, "maps"),
    "GlobalMaxPool": Operator(plain(partial(ops.global_max_pool, keepdims=True)), "maps"),
    "LpPool": Operator(_lp_pool, "maps"),
    "MaxPool": Operator(_max_pool, "maps"),
    "MaxUnpool": Operator(_max_unpool, "maps", settings=(2,)),
}
