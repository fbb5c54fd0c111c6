"""Cells picked and written by index; sorting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.exchange.onnx_in.node import Operator
from jaxcnn.exchange.onnx_in.values import canonical, integers, namespace

if TYPE_CHECKING:
    from jaxcnn.exchange.onnx_in.node import Node
    from jaxcnn.exchange.onnx_in.values import Array


def _gather(node: Node, x: Array, indices: Array) -> Array:
    return namespace(x, indices).take(x, indices, node.get("axis", 0))


def _gather_elements(node: Node, x: Array, indices: Array) -> Array:
    axis = node.get("axis", 0) % x.ndim
    # Each index array is smaller than x on the other axes, or as large.
    others = tuple(slice(n if axis != i else None) for i, n in enumerate(indices.shape))
    return jnp.take_along_axis(jnp.asarray(x)[others], jnp.asarray(indices), axis)


def _gather_nd(node: Node, x: Array, indices: Array) -> jax.Array:
    def pick(x: jax.Array, indices: jax.Array) -> jax.Array:
        return x[tuple(jnp.moveaxis(indices, -1, 0))]

    for _ in range(node.get("batch_dims", 0)):
        pick = jax.vmap(pick)
    return pick(jnp.asarray(x), jnp.asarray(indices))


def _scatter_nd(node: Node, x: Array, indices: Array, updates: Array) -> jax.Array:
    places = tuple(jnp.moveaxis(jnp.asarray(indices), -1, 0))
    return _write(node, x, places, updates)


def _scatter_elements(node: Node, x: Array, indices: Array, updates: Array) -> jax.Array:
    axis = node.get("axis", 0) % x.ndim
    indices = jnp.asarray(indices)
    places = [
        jnp.arange(n, dtype=indices.dtype).reshape((1,) * i + (-1,) + (1,) * (x.ndim - i - 1))
        for i, n in enumerate(indices.shape)
    ]
    places[axis] = indices
    return _write(node, x, tuple(jnp.broadcast_to(p, indices.shape) for p in places), updates)


_WRITES = {"none": "set", "add": "add", "mul": "multiply", "max": "max", "min": "min"}


def _write(node: Node, x: Array, places: tuple[jax.Array, ...], updates: Array) -> jax.Array:
    cells = jnp.asarray(x).at[places]
    return getattr(cells, _WRITES[node.get("reduction", "none")])(jnp.asarray(updates))


def _top_k(node: Node, x: Array, k: np.ndarray) -> tuple[jax.Array, jax.Array]:
    axis = node.get("axis", -1) % x.ndim
    order = jnp.argsort(jnp.asarray(x), axis, descending=bool(node.get("largest", 1)))
    kept = jax.lax.slice_in_dim(order, 0, integers(k)[0], axis=axis)
    return jnp.take_along_axis(jnp.asarray(x), kept, axis), kept.astype(canonical(np.int64))


_REDUCTIONS = {"reduction": tuple(_WRITES)}

OPERATORS = {
    "Gather": Operator(_gather),
    "GatherElements": Operator(_gather_elements),
    "GatherND": Operator(_gather_nd),
    "ScatterElements": Operator(_scatter_elements, accepts=_REDUCTIONS),
    "ScatterND": Operator(_scatter_nd, accepts=_REDUCTIONS),
    "TopK": Operator(_top_k, settings=(1,)),
}
