"""Depthwise and separable convolution, as their definitions read."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.errors import error_prefix
from jaxcnn.geometry import Padding
from jaxcnn.keywords import suggest_keywords
from jaxcnn.reference.pad import around, taps_by_real
from jaxcnn.reference.taps import of_rank, taps
from jaxcnn.shapes import ConvShapes, depthwise_shapes, separable_shapes
from jaxcnn.shapes.arrays import Sharding, as_arrays, require_floating, widened


@suggest_keywords
def depthwise_conv(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
    padding_mode: str = "zeros",
    precision: lax.PrecisionLike = None,
    out_sharding: Sharding | None = None,
) -> jax.Array:
    """The sum over the filter's taps f, with M filters for each channel c by itself.

        y[n, i, c*M + m] = bias[c*M + m]
                           + sum_f x_padded[n, i*stride + f*dilation, c] * kernel[f, c, m]

    Shapes, arguments and errors are those of :func:`jaxcnn.depthwise_conv`, its fast twin.

    >>> import jax.numpy as jnp
    >>> depthwise_conv(jnp.ones((3, 2)), jnp.array([[[1.0, 2.0], [3.0, 4.0]]]))[0]
    Array([1., 2., 3., 4.], dtype=float32)
    """
    del out_sharding  # how the numbers lie on devices changes none of them
    with error_prefix("depthwise_conv"):
        x, kernel, bias = as_arrays(x=x, kernel=kernel, bias=bias)
        shapes = depthwise_shapes(
            x.shape,
            kernel.shape,
            None if bias is None else bias.shape,
            stride=stride,
            padding=padding,
            dilation=dilation,
            rounding=rounding,
            padding_mode=padding_mode,
        )
        if padding_mode == "partial":
            require_floating(x)
    y = _depthwise(widened(x), widened(kernel), shapes)
    return (y if bias is None else y + of_rank(widened(bias), y.ndim)).astype(x.dtype)


@suggest_keywords
def separable_conv(
    x: jax.Array,
    depthwise_kernel: jax.Array,
    pointwise_kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
    padding_mode: str = "zeros",
    precision: lax.PrecisionLike = None,
    out_sharding: Sharding | None = None,
) -> jax.Array:
    """The depthwise feature maps, mixed at each place by one matrix: y = bias + maps @ mix.

    Shapes, arguments and errors are those of :func:`jaxcnn.separable_conv`, its fast twin.

    >>> import jax.numpy as jnp
    >>> separable_conv(jnp.ones((3, 2)), jnp.ones((1, 2, 1)), jnp.array([[[1.0], [2.0]]]))[0]
    Array([3.], dtype=float32)
    """
    del out_sharding  # how the numbers lie on devices changes none of them
    with error_prefix("separable_conv"):
        x, depthwise_kernel, pointwise_kernel, bias = as_arrays(
            x=x, depthwise_kernel=depthwise_kernel, pointwise_kernel=pointwise_kernel, bias=bias
        )
        first, second = separable_shapes(
            x.shape,
            depthwise_kernel.shape,
            pointwise_kernel.shape,
            None if bias is None else bias.shape,
            stride=stride,
            padding=padding,
            dilation=dilation,
            rounding=rounding,
            padding_mode=padding_mode,
        )
        if padding_mode == "partial":
            require_floating(x)
    maps = _depthwise(widened(x), widened(depthwise_kernel), first)
    mix = widened(pointwise_kernel).reshape(second.in_channels, second.out_channels)
    y = jnp.einsum("...c,co->...o", maps, mix, precision=precision)
    return (y if bias is None else y + of_rank(widened(bias), y.ndim)).astype(x.dtype)


def _depthwise(x: jax.Array, kernel: jax.Array, shapes: ConvShapes) -> jax.Array:
    laid = shapes.windows
    batched = x if shapes.batch is not None else x[None]
    y = jnp.zeros((len(batched), *shapes.spatial, *kernel.shape[-2:]), x.dtype)
    for tap, cells in taps(around(batched, laid, shapes.padding_mode), laid):
        y = y + cells[..., None] * of_rank(kernel[tap], y.ndim)
    y = y.reshape(*y.shape[:-2], shapes.out_channels)
    y = y if shapes.batch is not None else y[0]
    return y * taps_by_real(laid, y) if shapes.padding_mode == "partial" else y
