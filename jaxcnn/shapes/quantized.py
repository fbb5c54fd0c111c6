"""Checks and shapes of convolutions of 8-bit integers.

Zero points and scales become arrays with the rank of x and kernel, so that they fit both: NumPy's
if they are given as numbers or by NumPy, and then a program contains them as constants.
"""

from __future__ import annotations

from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.errors import InputError, error_prefix
from jaxcnn.shapes.arrays import as_arrays
from jaxcnn.shapes.conv import ConvShapes, conv_shapes
from jaxcnn.shapes.operation import Edge

if TYPE_CHECKING:
    from jax.typing import ArrayLike, DTypeLike

    Array = jax.Array | np.ndarray

BYTES = ("int8", "uint8")

_conv_integer = Edge("conv_integer", conv_shapes)
_quantized_conv = Edge("quantized_conv", conv_shapes)


def conv_integer(
    x: jax.Array,
    kernel: jax.Array,
    *,
    x_zero_point: ArrayLike = 0,
    kernel_zero_point: ArrayLike = 0,
    **arguments: Any,
) -> tuple[jax.Array, jax.Array, Array, Array, ConvShapes]:
    """The checked arrays of :func:`jaxcnn.conv_integer`, the zero points in int32, and the shapes.

    >>> x, kernel = np.ones((7, 7, 3), "uint8"), np.ones((3, 3, 3, 6), "int8")
    >>> _, _, x_zero_point, kernel_zero_point, shapes = conv_integer(x, kernel, x_zero_point=128)
    >>> x_zero_point.shape, x_zero_point.dtype, shapes.output, shapes.dtype
    ((1, 1, 1, 1), dtype('int32'), (5, 5, 6), dtype('int32'))
    """
    with error_prefix("conv_integer"):
        x, kernel = _bytes("x", x), _bytes("kernel", kernel)
    x, shapes = _conv_integer(x, kernel.shape, preferred_element_type="int32", **arguments)
    with error_prefix("conv_integer"):
        zero_points = _zero_points(x, x_zero_point, kernel, kernel_zero_point)
    return x, kernel, *zero_points, shapes


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
    **arguments: Any,
) -> tuple[jax.Array, jax.Array, jax.Array | None, Array, Array, Array, Array, ConvShapes]:
    """The checked arrays of :func:`jaxcnn.quantized_conv`, and the shapes.

    Between bias and shapes are the zero points of x, of the kernel and of the result, in int32, and
    x_scale * kernel_scale / y_scale in float32.

    >>> x, kernel = np.ones((7, 7, 3), "uint8"), np.ones((3, 3, 3, 6), "int8")
    >>> scales = {"x_scale": 0.5, "kernel_scale": np.ones(6), "y_scale": 0.25}
    >>> *_, scale, shapes = quantized_conv(x, kernel, **scales)
    >>> scale.shape, scale[0, 0, 0, 0], shapes.dtype
    ((1, 1, 1, 6), np.float32(2.0), dtype('uint8'))
    """
    with error_prefix("quantized_conv"):
        x, kernel = _bytes("x", x), _bytes("kernel", kernel)
        (bias,), dtype = as_arrays({"bias": bias}) if bias is not None else ((None,), np.int32)
        if dtype != np.int32:
            raise TypeError(f"bias is {dtype}, not int32; use bias.astype(jnp.int32)")
    shape = None if bias is None else bias.shape
    x, shapes = _quantized_conv(x, kernel.shape, shape, **arguments)
    with error_prefix("quantized_conv"):
        zero_points = _zero_points(x, x_zero_point, kernel, kernel_zero_point)
        dtype = np.dtype(getattr(y_zero_point, "dtype", x.dtype))
        if dtype.name not in BYTES:
            raise TypeError(f"y_zero_point is {dtype}, not int8 or uint8, the dtypes of results")
        y_zero_point = _zero_point("y_zero_point", y_zero_point, dtype, 1, x.ndim)
        channels = kernel.shape[-1]
        scale = _scale("x_scale", x_scale, 1, x.ndim)
        scale = scale * _scale("kernel_scale", kernel_scale, channels, x.ndim)
        scale = scale / _scale("y_scale", y_scale, 1, x.ndim)
    return x, kernel, bias, *zero_points, y_zero_point, scale, replace(shapes, dtype=dtype)


def _bytes(name: str, array: Any) -> jax.Array:
    (array,), dtype = as_arrays({name: array})
    if dtype.name not in BYTES:
        raise TypeError(
            f"{name} is {dtype}, not int8 or uint8; use {name}.astype(jnp.int8) if its numbers are "
            f"whole and fit, or jaxcnn.conv"
        )
    return array


def _zero_points(
    x: jax.Array, x_zero_point: ArrayLike, kernel: jax.Array, kernel_zero_point: ArrayLike
) -> tuple[Array, Array]:
    channels = kernel.shape[-1]
    return (
        _zero_point("x_zero_point", x_zero_point, x.dtype, 1, x.ndim),
        _zero_point("kernel_zero_point", kernel_zero_point, kernel.dtype, channels, x.ndim),
    )


def _zero_point(name: str, value: Any, dtype: DTypeLike, channels: int, rank: int) -> Array:
    """A zero point: an integer in the dtype's range, or an array of that dtype."""
    dtype = np.dtype(dtype)
    if not hasattr(value, "dtype"):
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"{name} must be an integer or an array of {dtype}, got {value!r}")
        bounds = np.iinfo(dtype)
        if not bounds.min <= value <= bounds.max:
            raise InputError(
                f"{name} must be in {dtype}, {bounds.min} to {bounds.max}, got {value}"
            )
        value = np.asarray(value, dtype)
    if value.dtype != dtype:
        raise TypeError(f"{name} is {value.dtype}, not {dtype}; use {name}.astype(jnp.{dtype})")
    return _by_channel(name, value, channels, rank).astype(np.int32)


def _scale(name: str, value: Any, channels: int, rank: int) -> Array:
    """A scale in float32."""
    if not hasattr(value, "dtype"):
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"{name} must be a number or a floating array, got {value!r}")
        value = np.asarray(value, np.float32)
    if not jnp.issubdtype(value.dtype, jnp.floating):
        raise TypeError(f"{name} is {value.dtype}; use {name}.astype(jnp.float32)")
    if not isinstance(value, jax.Array) and not np.all(np.isfinite(value) & (value > 0)):
        raise InputError(f"{name} must be finite and above 0, got {value}")
    return _by_channel(name, value, channels, rank).astype(np.float32)


def _by_channel(name: str, value: Array, channels: int, rank: int) -> Array:
    """The value with ``rank`` axes, all of size 1 except perhaps the last."""
    if value.shape not in ((), (channels,), (1,)):
        several = f" or one for each of the {channels} filters, ({channels},)" * (channels > 1)
        raise InputError(f"{name} has shape {value.shape}; use one number{several}")
    return value.reshape((1,) * (rank - 1) + (-1,))
