"""Convolution, as its definition reads."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.activations import activation as named
from jaxcnn.errors import error_prefix
from jaxcnn.geometry import Padding
from jaxcnn.keywords import suggest_keywords
from jaxcnn.reference.pad import around, taps_by_real
from jaxcnn.reference.taps import of_rank, taps
from jaxcnn.shapes import conv_shapes
from jaxcnn.shapes.arrays import Sharding, as_arrays, require_floating, widened


@suggest_keywords
def conv(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    rounding: str = "exact",
    padding_mode: str = "zeros",
    mask: jax.typing.ArrayLike | None = None,
    activation: str = "linear",
    precision: lax.PrecisionLike = None,
    algorithm: str | None = None,
    out_sharding: Sharding | None = None,
) -> jax.Array:
    """The sum, over the filter's taps f and the channels c of a group, of input times weight.

        y[n, i, o] = bias[o] + sum_f sum_c x_padded[n, i*stride + f*dilation, c] * kernel[f, c, o]

    with kernel * mask for the kernel where there is a mask, 0 where that is 0, and, with the
    padding_mode "partial", the sum times taps/(taps on real cells); then the activation. ``algorithm``
    and ``out_sharding`` change nothing here.

    Shapes, arguments and errors are those of :func:`jaxcnn.conv`, its fast twin.

    >>> import jax.numpy as jnp
    >>> conv(jnp.ones((7, 7, 3)), jnp.ones((3, 3, 3, 6)))[0, 0]
    Array([27., 27., 27., 27., 27., 27.], dtype=float32)
    """
    with error_prefix("conv"):
        x, kernel, bias = as_arrays(x=x, kernel=kernel, bias=bias)
        shapes = conv_shapes(
            x.shape,
            kernel.shape,
            None if bias is None else bias.shape,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            rounding=rounding,
            padding_mode=padding_mode,
            mask=None if mask is None else jnp.shape(mask),
        )
        activate = named(activation).function
        if padding_mode == "partial":
            require_floating(x)
    del algorithm, out_sharding
    dtype, x, kernel = x.dtype, widened(x), widened(kernel)
    if mask is not None:
        mask = jnp.asarray(mask, kernel.dtype)
        kernel = jnp.where(mask == 0, 0, kernel) * mask
    batched = x if shapes.batch is not None else x[None]
    out_shape = (batched.shape[0], *shapes.spatial, groups, shapes.out_channels // groups)
    y = jnp.zeros(out_shape, x.dtype)
    for tap, cells in taps(around(batched, shapes.windows, padding_mode), shapes.windows):
        by_group = cells.reshape(*cells.shape[:-1], groups, shapes.in_channels // groups)
        weights = kernel[tap].reshape(-1, *out_shape[-2:])
        y = y + jnp.einsum("n...gc,cgo->n...go", by_group, weights, precision=precision)
    y = y.reshape(*y.shape[:-2], shapes.out_channels)
    y = y if shapes.batch is not None else y[0]
    if padding_mode == "partial":
        y = y * taps_by_real(shapes.windows, y)
    return activate((y if bias is None else y + of_rank(widened(bias), y.ndim)).astype(dtype))
