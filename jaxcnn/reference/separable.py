"""Depthwise and separable convolution, as defined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn import shapes as edge
from jaxcnn.keywords import suggest_keywords
from jaxcnn.reference.pad import around, taps_by_real
from jaxcnn.reference.taps import add_bias, of_rank, taps
from jaxcnn.shapes import Sharding, widened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.geometry import Padding
    from jaxcnn.shapes import ConvShapes


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
    """The sum over the kernel's taps f, with M filters for each channel c.

        y[n, i, c*M + m] = bias[c*M + m]
                           + sum_f x_padded[n, i*stride + f*dilation, c] * kernel[f, c, m]

    Shapes, arguments and errors are those of :func:`jaxcnn.depthwise_conv`, its fast twin.

    >>> import jax.numpy as jnp
    >>> depthwise_conv(jnp.ones((3, 2)), jnp.array([[[1.0, 2.0], [3.0, 4.0]]]))[0]
    Array([1., 2., 3., 4.], dtype=float32)
    """
    del precision, out_sharding  # sums go tap by tap; shardings change no numbers
    x, kernel, bias, shapes = edge.depthwise_conv(
        x,
        kernel,
        bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        rounding=rounding,
        padding_mode=padding_mode,
    )
    y = _depthwise(widened(x), widened(kernel), shapes)
    return shapes.restore(add_bias(y, bias))


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
    """The depthwise feature maps, mixed at each position by one matrix: y = bias + maps @ mix.

    Shapes, arguments and errors are those of :func:`jaxcnn.separable_conv`, its fast twin.

    >>> import jax.numpy as jnp
    >>> separable_conv(jnp.ones((3, 2)), jnp.ones((1, 2, 1)), jnp.array([[[1.0], [2.0]]]))[0]
    Array([3.], dtype=float32)
    """
    del out_sharding  # changes no numbers
    x, depthwise_kernel, pointwise_kernel, bias, shapes = edge.separable_conv(
        x,
        depthwise_kernel,
        pointwise_kernel,
        bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        rounding=rounding,
        padding_mode=padding_mode,
    )
    maps = _depthwise(widened(x), widened(depthwise_kernel), shapes.depthwise)
    mix = widened(pointwise_kernel).reshape(maps.shape[-1], -1)
    y = jnp.einsum("...c,co->...o", maps, mix, precision=precision)
    return shapes.restore(add_bias(y, bias))


def _depthwise(x: jax.Array, kernel: jax.Array, shapes: ConvShapes) -> jax.Array:
    windows = shapes.windows
    y = jnp.zeros((len(x), *shapes.spatial, *kernel.shape[-2:]), x.dtype)
    for tap, cells in taps(around(x, windows, shapes.padding_mode), windows):
        y = y + cells[..., None] * of_rank(kernel[tap], y.ndim)
    y = y.reshape(*y.shape[:-2], shapes.out_channels)
    return y * taps_by_real(windows, y.dtype) if shapes.padding_mode == "partial" else y
