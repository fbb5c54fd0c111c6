"""Normalisations. Sums of 16-bit numbers are computed in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxcnn.exchange.onnx_in.node import Operator
from jaxcnn.exchange.onnx_in.values import with_rank
from jaxcnn.shapes import widened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.exchange.onnx_in.node import Node
    from jaxcnn.exchange.onnx_in.values import Array


def _batch_norm(
    node: Node, x: jax.Array, scale: Array, bias: Array, mean: Array, variance: Array
) -> tuple[jax.Array, ...]:
    """With training_mode, by the statistics of x; then also the new running ones."""
    epsilon = node.get("epsilon", 1e-5)
    mean, variance = _per_channel(x, mean), _per_channel(x, variance)
    if not node.get("training_mode", 0):
        return (_affine(x, _standardized(x, mean, variance, epsilon), scale, bias),)
    axes = tuple(range(x.ndim - 1))
    now = _moments(x, axes)
    y = _affine(x, _standardized(x, *now, epsilon), scale, bias)
    keep = node.get("momentum", 0.9)
    running = (
        (old * keep + new * (1 - keep)).reshape(-1).astype(old.dtype)
        for old, new in zip((mean, variance), now, strict=True)
    )
    return (y, *running)


def _instance_norm(node: Node, x: jax.Array, scale: Array, bias: Array) -> jax.Array:
    moments = _moments(x, tuple(range(1, x.ndim - 1)))
    return _affine(x, _standardized(x, *moments, node.get("epsilon", 1e-5)), scale, bias)


def _group_norm(node: Node, x: jax.Array, scale: Array, bias: Array) -> jax.Array:
    """Before opset 21 scale and bias have an entry for each group, since then for each channel."""
    groups, channels = node.get("num_groups"), x.shape[-1]
    parts = x.reshape(*x.shape[:-1], groups, channels // groups)
    moments = _moments(parts, (*range(1, x.ndim - 1), x.ndim))
    y = _standardized(parts, *moments, node.get("epsilon", 1e-5)).reshape(x.shape)
    if node.opset < 21:
        scale, bias = (jnp.repeat(each, channels // groups) for each in (scale, bias))
    return _affine(x, y, scale, bias)


def _layer_norm(
    node: Node, x: Array, scale: Array, bias: Array | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The result, the means, and the inverse standard deviations."""
    x = jnp.asarray(x)
    mean, variance = _moments(x, tuple(range(node.get("axis", -1) % x.ndim, x.ndim)))
    inverse = jax.lax.rsqrt(variance + node.get("epsilon", 1e-5))
    y = ((widened(x) - mean) * inverse).astype(x.dtype) * with_rank(scale, x.ndim)
    return (y if bias is None else y + with_rank(bias, x.ndim)), mean, inverse


def _rms_norm(node: Node, x: Array, scale: Array) -> jax.Array:
    x = jnp.asarray(x)
    axes = tuple(range(node.get("axis", -1) % x.ndim, x.ndim))
    wide = widened(x)
    square = jnp.mean(wide * wide, axes, keepdims=True)
    y = wide * jax.lax.rsqrt(square + node.get("epsilon", 1e-5))
    return y.astype(x.dtype) * with_rank(scale, x.ndim)


def _lrn(node: Node, x: jax.Array) -> jax.Array:
    """x / (bias + alpha/size * sum of the squares of ``size`` channels around)**beta."""
    size, wide = node.get("size"), widened(x)
    before, after = (size - 1) // 2, size // 2
    squares = jnp.pad(wide * wide, [(0, 0)] * (x.ndim - 1) + [(before, after)])
    channels = x.shape[-1]
    total = sum((squares[..., i : i + channels] for i in range(size)), jnp.zeros((), squares.dtype))
    base = node.get("bias", 1.0) + node.get("alpha", 1e-4) / size * total
    return (wide / base ** node.get("beta", 0.75)).astype(x.dtype)


def _lp_norm(node: Node, x: Array) -> jax.Array:
    """x over its 1-norm or 2-norm along an axis; 0 where the norm is 0."""
    wide, axis = widened(jnp.asarray(x)), node.get("axis", -1)
    if node.get("p", 2) == 1:
        norm = jnp.sum(jnp.abs(wide), axis, keepdims=True)
        scale = 1 / jnp.where(norm == 0, 1, norm)
    else:
        square = jnp.sum(wide * wide, axis, keepdims=True)
        scale = jax.lax.rsqrt(jnp.where(square == 0, 1, square))
    return (wide * scale).astype(x.dtype)


def _mean_variance_norm(node: Node, x: Array) -> jax.Array:
    x = jnp.asarray(x)
    moments = _moments(x, tuple(axis % x.ndim for axis in node.get("axes", [0, 2, 3])))
    return _standardized(x, *moments, 1e-9).astype(x.dtype)


def _moments(x: jax.Array, axes: Sequence[int]) -> tuple[jax.Array, jax.Array]:
    """The mean and the variance, at least in float32, with axes of size 1."""
    wide = widened(x)
    mean = jnp.mean(wide, axes, keepdims=True)
    return mean, jnp.mean((wide - mean) ** 2, axes, keepdims=True)


def _standardized(x: jax.Array, mean: jax.Array, variance: jax.Array, epsilon: float) -> jax.Array:
    return (widened(x) - widened(mean)) * jax.lax.rsqrt(widened(variance) + epsilon)


def _per_channel(x: jax.Array, array: Array) -> jax.Array:
    """(C,) as an array that broadcasts with the maps x."""
    return with_rank(jnp.asarray(array), x.ndim)


def _affine(x: jax.Array, y: jax.Array, scale: Array, bias: Array) -> jax.Array:
    """y * scale + bias, in the dtype of x."""
    scaled = y * widened(_per_channel(x, scale)) + widened(_per_channel(x, bias))
    return scaled.astype(x.dtype)


OPERATORS = {
    "BatchNormalization": Operator(_batch_norm, "maps", accepts={"spatial": (1,)}),
    "GroupNormalization": Operator(_group_norm, "maps"),
    "InstanceNormalization": Operator(_instance_norm, "maps"),
    "LRN": Operator(_lrn, "maps"),
    "LayerNormalization": Operator(_layer_norm, accepts={"stash_type": (1,)}),
    "LpNormalization": Operator(_lp_norm, accepts={"p": (2, 1)}),
    "MeanVarianceNormalization": Operator(_mean_variance_norm),
    "RMSNormalization": Operator(_rms_norm, accepts={"stash_type": (1,)}),
}
