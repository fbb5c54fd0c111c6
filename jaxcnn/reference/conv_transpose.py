"""Transposed convolution, as defined: every input cell is scattered."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn import shapes as edge
from jaxcnn.keywords import suggest_keywords
from jaxcnn.reference.taps import add_bias
from jaxcnn.shapes import sum_dtype

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.geometry import Padding
    from jaxcnn.shapes import Sharding


@suggest_keywords
def conv_transpose(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    output_size: int | Sequence[int] | None = None,
    output_padding: int | Sequence[int] = 0,
    precision: lax.PrecisionLike = None,
    preferred_element_type: jax.typing.DTypeLike | None = None,
    out_sharding: Sharding | None = None,
) -> jax.Array:
    """Each cell of x, times the whole kernel, added to the cells that conv would have read.

        y_padded[n, i*stride + f*dilation, c] += x[n, i, o] * kernel[f, c, o]

    for every i, f, c and every o of c's group. Then the padding is cut off (negative padding adds
    zeros) and the bias is added.

    Shapes, arguments and errors are those of :func:`jaxcnn.conv_transpose`, its fast twin.

    >>> import jax.numpy as jnp
    >>> conv_transpose(jnp.array([[1.0], [10.0]]), jnp.array([[[1.0]], [[2.0]], [[3.0]]]))[:, 0]
    Array([ 1., 12., 23., 30.], dtype=float32)
    """
    del out_sharding  # changes no numbers
    x, kernel, bias, shapes = edge.conv_transpose(
        x,
        kernel,
        bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        output_size=output_size,
        output_padding=output_padding,
        preferred_element_type=preferred_element_type,
    )
    x, kernel = (array.astype(sum_dtype(shapes.dtype)) for array in (x, kernel))
    windows = shapes.windows
    by_group = x.reshape(*x.shape[:-1], groups, shapes.out_channels // groups)
    padded = jnp.zeros((len(x), *(w.end for w in windows), shapes.in_channels), x.dtype)
    for tap in product(*(range(w.kernel_size) for w in windows)):
        weights = kernel[tap].reshape(-1, groups, shapes.out_channels // groups)
        given = jnp.einsum("n...go,cgo->n...gc", by_group, weights, precision=precision)
        places = [
            [i * w.stride + f * w.dilation for i in range(w.output)]
            for f, w in zip(tap, windows, strict=True)
        ]
        rows = jnp.ix_(jnp.arange(len(x)), *(jnp.array(axis) for axis in places))
        padded = padded.at[rows].add(given.reshape(*given.shape[:-2], shapes.in_channels))
    around = [(-w.padding[0], w.size + w.padding[0] - w.end, 0) for w in windows]
    y = lax.pad(padded, jnp.zeros((), x.dtype), [(0, 0, 0), *around, (0, 0, 0)])
    return shapes.restore(add_bias(y, bias))
