"""Transposed convolution, as its definition reads: every input cell is scattered."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.errors import error_prefix
from jaxcnn.geometry import Padding
from jaxcnn.keywords import suggest_keywords
from jaxcnn.reference.taps import of_rank
from jaxcnn.shapes import conv_transpose_shapes
from jaxcnn.shapes.arrays import Sharding, as_arrays, widened


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
    out_sharding: Sharding | None = None,
) -> jax.Array:
    """Each cell of x is multiplied by the whole filter and added where conv would have read.

        y_padded[n, i*stride + f*dilation, c] += x[n, i, o] * kernel[f, c, o]

    for every i, f, c and every o of c's group; then the padding is cut off (below 0: zeros are
    added) and the bias added.
    Shapes, arguments and errors are those of :func:`jaxcnn.conv_transpose`, its fast twin.

    >>> import jax.numpy as jnp
    >>> conv_transpose(jnp.array([[1.0], [10.0]]), jnp.array([[[1.0]], [[2.0]], [[3.0]]]))[:, 0]
    Array([ 1., 12., 23., 30.], dtype=float32)
    """
    del out_sharding  # how the numbers lie on devices changes none of them
    with error_prefix("conv_transpose"):
        x, kernel, bias = as_arrays(x=x, kernel=kernel, bias=bias)
        shapes = conv_transpose_shapes(
            x.shape,
            kernel.shape,
            None if bias is None else bias.shape,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            output_size=output_size,
            output_padding=output_padding,
        )
    dtype, x, kernel = x.dtype, widened(x), widened(kernel)
    batched = x if shapes.batch is not None else x[None]
    laid = shapes.windows
    by_group = batched.reshape(*batched.shape[:-1], groups, shapes.out_channels // groups)
    padded = jnp.zeros((len(batched), *(w.end for w in laid), shapes.in_channels), x.dtype)
    for tap in product(*(range(w.kernel_size) for w in laid)):
        weights = kernel[tap].reshape(-1, groups, shapes.out_channels // groups)
        given = jnp.einsum("n...go,cgo->n...gc", by_group, weights, precision=precision)
        places = [
            [i * w.stride + f * w.dilation for i in range(w.output)]
            for f, w in zip(tap, laid, strict=True)
        ]
        rows = jnp.ix_(jnp.arange(len(batched)), *(jnp.array(axis) for axis in places))
        padded = padded.at[rows].add(given.reshape(*given.shape[:-2], shapes.in_channels))
    around = [(-w.padding[0], w.size + w.padding[0] - w.end, 0) for w in laid]
    y = lax.pad(padded, jnp.zeros((), x.dtype), [(0, 0, 0), *around, (0, 0, 0)])
    y = y if shapes.batch is not None else y[0]
    return (y if bias is None else y + of_rank(widened(bias), y.ndim)).astype(dtype)
