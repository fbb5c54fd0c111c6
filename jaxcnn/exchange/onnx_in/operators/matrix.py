"""Products of matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from jaxcnn.exchange.onnx_in.node import Operator, plain
from jaxcnn.exchange.onnx_in.values import with_rank

if TYPE_CHECKING:
    import jax

    from jaxcnn.exchange.onnx_in.node import Node
    from jaxcnn.exchange.onnx_in.values import Array


def _gemm(node: Node, a: Array, b: Array, c: Array | None = None) -> Array:
    """alpha*A'B' + beta*C."""
    a = a.T if node.get("transA", 0) else a
    b = b.T if node.get("transB", 0) else b
    y = _scaled(jnp.matmul(a, b), node.get("alpha", 1.0))
    return y if c is None else y + with_rank(_scaled(c, node.get("beta", 1.0)), 2)


def _scaled(x: Array, factor: float) -> Array:
    return x if factor == 1 else (x * jnp.asarray(factor, jnp.float32)).astype(x.dtype)


def matmul(a: Array, b: Array) -> jax.Array:
    """The product of the last two axes; the others broadcast."""
    rank = max(a.ndim, b.ndim)
    if min(a.ndim, b.ndim) > 1:
        a, b = with_rank(a, rank), with_rank(b, rank)
    return jnp.matmul(a, b)


def _einsum(node: Node, *arrays: Array) -> jax.Array:
    return jnp.einsum(node.get("equation"), *arrays)


OPERATORS = {
    "Einsum": Operator(_einsum),
    "Gemm": Operator(_gemm),
    "MatMul": Operator(plain(matmul)),
}
