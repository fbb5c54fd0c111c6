"""Convolution, as defined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn import shapes as edge
from jaxcnn.keywords import suggest_keywords
from jaxcnn.reference.pad import around, taps_by_real
from jaxcnn.reference.taps import add_bias, taps
from jaxcnn.shapes import sum_dtype

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.geometry import Padding
    from jaxcnn.shapes import Sharding


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
    precision: lax.PrecisionLike = None,
    preferred_element_type: jax.typing.DTypeLike | None = None,
    algorithm: str | None = None,
    out_sharding: Sharding | None = None,
) -> jax.Array:
    """The sum of input times weight over the kernel's taps f and the channels c of a group.

        y[n, i, o] = bias[o] + sum_f sum_c x_padded[n, i*stride + f*dilation, c] * kernel[f, c, o]

    A mask multiplies the kernel, which is 0 where the mask is 0. With the padding mode "partial"
    the sum is multiplied by taps/(taps on real cells).

    Shapes, arguments and errors are those of :func:`jaxcnn.conv`, its fast twin.
    ``algorithm`` and ``out_sharding`` change no numbers and are ignored.

    >>> import jax.numpy as jnp
    >>> conv(jnp.ones((7, 7, 3)), jnp.ones((3, 3, 3, 6)))[0, 0]
    Array([27., 27., 27., 27., 27., 27.], dtype=float32)
    """
    del algorithm, out_sharding
    x, kernel, bias, mask, shapes = edge.conv(
        x,
        kernel,
        bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        rounding=rounding,
        padding_mode=padding_mode,
        mask=mask,
        preferred_element_type=preferred_element_type,
    )
    x, kernel = (array.astype(sum_dtype(shapes.dtype)) for array in (x, kernel))
    if mask is not None:
        kernel = jnp.where(mask == 0, 0, kernel) * mask.astype(kernel.dtype)
    out_shape = (x.shape[0], *shapes.spatial, groups, shapes.out_channels // groups)
    y = jnp.zeros(out_shape, x.dtype)
    for tap, cells in taps(around(x, shapes.windows, padding_mode), shapes.windows):
        by_group = cells.reshape(*cells.shape[:-1], groups, shapes.in_channels // groups)
        weights = kernel[tap].reshape(-1, *out_shape[-2:])
        y = y + jnp.einsum("n...gc,cgo->n...go", by_group, weights, precision=precision)
    y = y.reshape(*y.shape[:-2], shapes.out_channels)
    if padding_mode == "partial":
        y = y * taps_by_real(shapes.windows, y.dtype)
    return shapes.restore(add_bias(y, bias))
