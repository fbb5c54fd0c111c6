"""Integers with a scale and a zero point: real = (integer - zero point) * scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxcnn import ops
from jaxcnn.exchange.onnx_in.node import Operator, plain
from jaxcnn.exchange.onnx_in.operators.convolution import CONV, window_attributes
from jaxcnn.exchange.onnx_in.operators.matrix import matmul
from jaxcnn.exchange.onnx_in.values import DTYPES, with_rank
from jaxcnn.geometry.conventions import onnx as conventions
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
    zero = jnp.asarray(_point(zero)).astype(jnp.int32)
    return jnp.asarray(x).astype(jnp.int32) - with_rank(zero, x.ndim)


def _point(array: Array | None) -> Any:
    """One number () or one for each filter (C_out,); 0 if there is none."""
    if array is None:
        return 0
    return array.reshape(()) if array.size == 1 else array


def _conv_integer(
    node: Node,
    x: jax.Array,
    weight: Array,
    x_zero: Array | None = None,
    weight_zero: Array | None = None,
) -> jax.Array:
    kernel = kernel_from_torch(jnp.asarray(weight))
    arguments = conventions.conv(kernel.shape[:-2], **window_attributes(node, *CONV))
    points = {"x_zero_point": _point(x_zero), "kernel_zero_point": _point(weight_zero)}
    return ops.conv_integer(x, kernel, **points, **arguments)


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
    kernel = kernel_from_torch(jnp.asarray(weight))
    return ops.quantized_conv(
        x,
        kernel,
        None if bias is None else jnp.asarray(bias),
        x_scale=_point(x_scale),
        kernel_scale=_point(weight_scale),
        y_scale=_point(y_scale),
        x_zero_point=_point(x_zero),
        kernel_zero_point=_point(weight_zero),
        y_zero_point=_point(y_zero),
        **conventions.conv(kernel.shape[:-2], **window_attributes(node, *CONV)),
    )


def _matmul_integer(
    a: Array, b: Array, a_zero: Array | None = None, b_zero: Array | None = None
) -> jax.Array:
    return matmul(_less_zero(a, _by_row(a_zero)), _less_zero(b, b_zero))


def _by_row(array: Any) -> Any:
    """Numbers (M,), one for each row of a matrix, as a column."""
    return array[:, None] if array is not None and array.ndim == 1 and array.size > 1 else array


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
    a_scale, b_scale, y_scale, zero = (
        with_rank(_point(each), total.ndim) for each in (_by_row(a_scale), b_scale, y_scale, y_zero)
    )
    scale = (a_scale * b_scale / y_scale).astype(jnp.float32)
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
