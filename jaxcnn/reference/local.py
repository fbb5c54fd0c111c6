"""Local convolution, as defined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn import shapes as edge
from jaxcnn.keywords import suggest_keywords
from jaxcnn.reference.pad import around, taps_by_real
from jaxcnn.reference.taps import add_bias, taps
from jaxcnn.shapes import Sharding, widened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.geometry import Padding


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
    """A convolution whose weights also depend on the position i.

        y[n, i, o] = bias[i, o]
                     + sum_f sum_c x_padded[n, i*stride + f*dilation, c] * kernel[i, f, c, o]

    Shapes, arguments and errors are those of :func:`jaxcnn.local_conv`, its fast twin.

    >>> import jax.numpy as jnp
    >>> local_conv(jnp.array([[1.0], [1.0]]), jnp.array([[[[2.0]]], [[[3.0]]]]))[:, 0]
    Array([2., 3.], dtype=float32)
    """
    del out_sharding  # changes no numbers
    x, kernel, bias, shapes = edge.local_conv(
        x,
        kernel,
        bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        rounding=rounding,
        padding_mode=padding_mode,
    )
    x, kernel = widened(x), widened(kernel)
    windows = shapes.windows
    everywhere = (slice(None),) * len(windows)
    y = jnp.zeros((len(x), *shapes.spatial, shapes.out_channels), x.dtype)
    for tap, cells in taps(around(x, windows, padding_mode), windows):
        weights = kernel[(*everywhere, *tap)]
        y = y + jnp.einsum("n...c,...co->n...o", cells, weights, precision=precision)
    if padding_mode == "partial":
        y = y * taps_by_real(windows, y.dtype)
    return shapes.restore(add_bias(y, bias))
