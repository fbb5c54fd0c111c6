"""Convolutions of 8-bit integers, as defined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxcnn import shapes as edge
from jaxcnn.keywords import suggest_keywords
from jaxcnn.reference.conv import conv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jax.typing import ArrayLike

    from jaxcnn.geometry import Padding


@suggest_keywords
def conv_integer(
    x: jax.Array,
    kernel: jax.Array,
    *,
    x_zero_point: ArrayLike = 0,
    kernel_zero_point: ArrayLike = 0,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    rounding: str = "exact",
) -> jax.Array:
    """The convolution, in int32, of what x and kernel have above their zero points.

    Shapes, arguments and errors are those of :func:`jaxcnn.conv_integer`, its fast twin.

    >>> x, kernel = jnp.array([[2], [3], [4]], "uint8"), jnp.ones((2, 1, 1), "int8")
    >>> conv_integer(x, kernel, x_zero_point=1)[:, 0]
    Array([3, 5], dtype=int32)
    """
    arguments = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "rounding": rounding,
    }
    x, kernel, x_zero_point, kernel_zero_point, shapes = edge.conv_integer(
        x, kernel, x_zero_point=x_zero_point, kernel_zero_point=kernel_zero_point, **arguments
    )
    x, kernel = x.astype("int32") - x_zero_point, kernel.astype("int32") - kernel_zero_point
    return shapes.restore(conv(x, kernel, **arguments))


@suggest_keywords
def quantized_conv(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    x_scale: ArrayLike,
    kernel_scale: ArrayLike,
    y_scale: ArrayLike,
    x_zero_point: ArrayLike = 0,
    kernel_zero_point: ArrayLike = 0,
    y_zero_point: ArrayLike = 0,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    rounding: str = "exact",
) -> jax.Array:
    """The convolution in int32, scaled, rounded to a whole number and cut to 8 bits.

    Shapes, arguments and errors are those of :func:`jaxcnn.quantized_conv`, its fast twin.

    >>> x, kernel = jnp.array([[2], [3], [4]], "int8"), jnp.ones((2, 1, 1), "int8")
    >>> quantized_conv(x, kernel, x_scale=1.0, kernel_scale=1.0, y_scale=2.0)[:, 0]
    Array([2, 4], dtype=int8)
    """
    arguments = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "rounding": rounding,
    }
    x, kernel, bias, x_zero_point, kernel_zero_point, y_zero_point, scale, shapes = (
        edge.quantized_conv(
            x,
            kernel,
            bias,
            x_scale=x_scale,
            kernel_scale=kernel_scale,
            y_scale=y_scale,
            x_zero_point=x_zero_point,
            kernel_zero_point=kernel_zero_point,
            y_zero_point=y_zero_point,
            **arguments,
        )
    )
    x, kernel = x.astype("int32") - x_zero_point, kernel.astype("int32") - kernel_zero_point
    y = conv(x, kernel, bias, **arguments)
    real = y.astype("float32") * scale
    y = jnp.rint(real) + y_zero_point.astype("float32")
    bounds = jnp.iinfo(shapes.dtype)
    return shapes.restore(jnp.minimum(jnp.maximum(y, bounds.min), bounds.max))
