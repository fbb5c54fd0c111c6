"""Integers with a scale and a zero point: real = (integer - zero point) * scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxcnn.exchange.onnx_in.node import Operator, plain
from jaxcnn.exchange.onnx_in.operators.convolution import CONV, window_attributes
from jaxcnn.exchange.onnx_in.operators.matrix import matmul
from jaxcnn.exchange.onnx_in.values import DTYPES
from jaxcnn.geometry.conventions import onnx as conventions
from jaxcnn.ops import conv as convolve
from jaxcnn.ops import kernel_from_torch

if TYPE_CHECKING:
    import numpy as np

    from jaxcnn.exchange.onnx_in.node import Node
    from jaxcnn.exchange.onnx_in.values import Array


def _quantize(node: Node, x: Array, scale: Array, zero: Array | None = None) -> jax.Array:
    given = node.get("output_dtype", 0)
    dtype = DTYPES[given or 2] if zero is None else zero.dtype
    real = jnp.asarray(x).astype(jnp.float32)
    # The barrier keeps XLA from a product with the reciprocal, which is less exact.
    divisor = jnp.broadcast_to(_along(node, x, scale).astype(jnp.float32), real.shape)
    quotient = real / jax.lax.optimization_barrier(divisor)
    return _saturated(quotient, zero if zero is None else _along(node, x, zero), dtype)


def _dequantize(node: Node, x: Array, scale: Array, zero: Array | None = None) -> jax.Array:
    shifted = _less_zero(x, zero if zero is None else _along(node, x, zero))
    factor = _along(node, x, scale).astype(jnp.float32)
    return (shifted.astype(jnp.float32) * factor).astype(scale.dtype)


def _along(node: Node, x: Array, array: Array) -> jax.Array:
    """A scale or zero point in the shape in which it broadcasts with x.

    It is one number, one for each place on an axis, or one for each block of an axis.
    """
    if array.size == 1:
        return jnp.asarray(array).reshape((1,) * x.ndim)
    axis = node.get("axis", 1) % x.ndim
    if array.ndim == 1:
        return jnp.asarray(array).reshape((-1,) + (1,) * (x.ndim - axis - 1))[(None,) * axis]
    repeated = jnp.repeat(jnp.asarray(array), node.get("block_size"), axis)
    return jax.lax.slice_in_dim(repeated, 0, x.shape[axis], axis=axis)


def _saturated(x: jax.Array, zero: jax.Array | None, dtype: np.dtype) -> jax.Array:
    """x rounded, halves to the even neighbour, plus the zero point, within the dtype's range."""
    rounded = jnp.rint(x)
    if zero is not None:
        rounded = rounded + zero.astype(x.dtype)
    about = jnp.iinfo(dtype)
    return jnp.clip(rounded, about.min, about.max).astype(dtype)


def _less_zero(x: Array, zero: Array | None) -> jax.Array:
    """x - zero, as int32."""
    wide = jnp.asarray(x).astype(jnp.int32)
    return wide if zero is None else wide - jnp.asarray(zero).astype(jnp.int32)


def _for_filters(array: Array | None, rank: int) -> Array | None:
    """One number, or one for each filter, to broadcast with a weight (C_out, C_in, *F)."""
    return None if array is None else array.reshape((-1,) + (1,) * (rank - 1))


def _convolve(
    node: Node, x: Array, weight: Array, x_zero: Array | None, weight_zero: Array | None
) -> jax.Array:
    """The convolution in int32. Its padding counts as zero, so the zero points come off first."""
    kernel = kernel_from_torch(_less_zero(weight, _for_filters(weight_zero, weight.ndim)))
    arguments = conventions.conv(kernel.shape[:-2], **window_attributes(node, *CONV))
    zero = None if x_zero is None else x_zero.reshape((1,) * x.ndim)
    return convolve(_less_zero(x, zero), kernel, **arguments)


def _conv_integer(
    node: Node,
    x: jax.Array,
    weight: Array,
    x_zero: Array | None = None,
    weight_zero: Array | None = None,
) -> jax.Array:
    return _convolve(node, x, weight, x_zero, weight_zero)


def _qlinear_conv(
    node: Node,
    x: jax.Array,
    x_scale: Array,
    x_zero: Array,
    weight: Array,
    weight_scale: Array,
    weight_zero: Array,
    y_scale: Array,
    y_zero: Array,
    bias: Array | None = None,
) -> jax.Array:
    total = _convolve(node, x, weight, x_zero, weight_zero)
    last = (1,) * (x.ndim - 1) + (-1,)
    if bias is not None:
        total = total + jnp.asarray(bias).reshape(last)
    scale = (x_scale.reshape(()) * weight_scale / y_scale.reshape(())).reshape(last)
    zero = jnp.asarray(y_zero).reshape((1,) * x.ndim)
    return _saturated(total.astype(jnp.float32) * scale, zero, y_zero.dtype)


def _matmul_integer(
    a: Array, b: Array, a_zero: Array | None = None, b_zero: Array | None = None
) -> jax.Array:
    if a_zero is not None and a_zero.ndim == 1:  # one for each row
        a_zero = a_zero[:, None]
    zeros = (
        None if z is None else jnp.asarray(z).reshape((1,) * (n.ndim - z.ndim) + z.shape)
        for z, n in ((a_zero, a), (b_zero, b))
    )
    return matmul(_less_zero(a, next(zeros)), _less_zero(b, next(zeros)))


def _qlinear_matmul(
    a: Array,
    a_scale: Array,
    a_zero: Array,
    b: Array,
    b_scale: Array,
    b_zero: Array,
    y_scale: Array,
    y_zero: Array,
) -> jax.Array:
    total = _matmul_integer(a, b, a_zero, b_zero)
    rows = a_scale[:, None] if a_scale.ndim == 1 and a_scale.size > 1 else a_scale.reshape(())
    columns = b_scale if b_scale.size > 1 else b_scale.reshape(())
    scale = (rows * columns / y_scale.reshape(())).astype(jnp.float32)
    zero = jnp.asarray(y_zero).reshape((1,) * total.ndim)
    scale = jnp.asarray(scale).reshape((1,) * (total.ndim - scale.ndim) + scale.shape)
    return _saturated(total.astype(jnp.float32) * scale, zero, y_zero.dtype)


_INTEGERS = {"output_dtype": (0, 2, 3, 4, 5, 6, 12)}

OPERATORS = {
    "ConvInteger": Operator(_conv_integer, "maps"),
    "DequantizeLinear": Operator(_dequantize),
    "MatMulInteger": Operator(plain(_matmul_integer)),
    "QLinearConv": Operator(_qlinear_conv, "maps"),
    "QLinearMatMul": Operator(plain(_qlinear_matmul)),
    "QuantizeLinear": Operator(_quantize, accepts=_INTEGERS),
}
