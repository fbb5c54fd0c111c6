"""Local convolution, as its definition reads."""

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
from jaxcnn.shapes import local_shapes
from jaxcnn.shapes.arrays import Sharding, as_arrays, require_floating, widened


@suggest_keywords
def local_conv(
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
    """A convolution whose weights depend on the place i too.

        y[n, i, o] = bias[i, o]
                     + sum_f sum_c x_padded[n, i*stride + f*dilation, c] * kernel[i, f, c, o]

    Shapes, arguments and errors are those of :func:`jaxcnn.local_conv`, its fast twin.

    >>> import jax.numpy as jnp
    >>> local_conv(jnp.array([[1.0], [1.0]]), jnp.array([[[[2.0]]], [[[3.0]]]]))[:, 0]
    Array([2., 3.], dtype=float32)
    """
    del out_sharding  # how the numbers lie on devices changes none of them
    with error_prefix("local_conv"):
        x, kernel, bias = as_arrays(x=x, kernel=kernel, bias=bias)
        shapes = local_shapes(
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
    dtype, x, kernel = x.dtype, widened(x), widened(kernel)
    laid = shapes.windows
    batched = x if shapes.batch is not None else x[None]
    everywhere = (slice(None),) * len(laid)
    y = jnp.zeros((len(batched), *shapes.spatial, shapes.out_channels), x.dtype)
    for tap, cells in taps(around(batched, laid, padding_mode), laid):
        weights = kernel[(*everywhere, *tap)]
        y = y + jnp.einsum("n...c,...co->n...o", cells, weights, precision=precision)
    y = y if shapes.batch is not None else y[0]
    if padding_mode == "partial":
        y = y * taps_by_real(laid, y)
    return (y if bias is None else y + of_rank(widened(bias), y.ndim)).astype(dtype)
