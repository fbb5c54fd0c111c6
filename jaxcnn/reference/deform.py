"""Deformable convolution, as defined: tap by tap, over all cells of x."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn import shapes as edge
from jaxcnn.keywords import suggest_keywords
from jaxcnn.reference.taps import add_bias
from jaxcnn.shapes import Sharding, widened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.geometry import Padding, Window


@suggest_keywords
def deform_conv(
    x: jax.Array,
    offset: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    rounding: str = "exact",
    mask: jax.Array | None = None,
    precision: lax.PrecisionLike = None,
    out_sharding: Sharding | None = None,
) -> jax.Array:
    """A convolution of samples of x between its cells.

        y[n, i, o] = bias[o] + sum_f sum_c mask[n, i, f] * sample(x[n, :, c], p) * kernel[f, c, o]
        p = i*stride - low + f*dilation + offset[n, i, f]
        sample(x, p) = sum_q prod_axes max(0, 1 - |q - p|) * x[q], over all cells q

    Shapes, arguments and errors are those of :func:`jaxcnn.deform_conv`, its fast twin.

    >>> import jax.numpy as jnp
    >>> deform_conv(jnp.array([[0.0], [4.0]]), jnp.array([[0.5], [0.5]]), jnp.ones((1, 1, 1)))[:, 0]
    Array([2., 2.], dtype=float32)
    """
    del out_sharding  # changes no numbers
    x, offset, kernel, bias, mask, shapes = edge.deform_conv(
        x,
        offset,
        kernel,
        bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        rounding=rounding,
        mask=mask,
    )
    x, kernel = widened(x), widened(kernel)
    offset = offset.astype(x.dtype)
    windows, parts, places = shapes.windows, shapes.offset_groups, (len(x), *shapes.spatial)
    offset = offset.reshape(*places, parts, shapes.taps, len(windows))
    mask = None if mask is None else widened(mask).reshape(*places, parts, shapes.taps)
    divided = x.reshape(*x.shape[:-1], parts, -1)  # (N, *spatial, G, C_in/G)
    y = jnp.zeros((*places, shapes.out_channels), x.dtype)
    for number, tap in enumerate(product(*(range(w.kernel_size) for w in windows))):
        samples = _sample(divided, offset[..., number, :], windows, tap)
        if mask is not None:
            samples = samples * mask[..., number, None]
        samples = samples.reshape(*places, groups, -1)
        weights = kernel[tap].reshape(-1, groups, shapes.out_channels // groups)
        of_tap = jnp.einsum("n...gc,cgo->n...go", samples, weights, precision=precision)
        y = y + of_tap.reshape(y.shape)
    return shapes.restore(add_bias(y, bias))


def _sample(
    x: jax.Array, offset: jax.Array, windows: Sequence[Window], tap: tuple[int, ...]
) -> jax.Array:
    """(N, *k, G, C_in/G): x (N, *spatial, G, C_in/G) at the places of one tap, by the formula."""
    axes = len(windows)
    weight = jnp.ones((*offset.shape[:-1], *(1,) * axes), x.dtype)  # (N, *k, G, *spatial)
    for axis, w in enumerate(windows):
        first = tap[axis] * w.dilation - w.padding[0]
        starts = jnp.arange(w.output, dtype=x.dtype) * w.stride + first
        starts = starts.reshape(tuple(-1 if at == axis + 1 else 1 for at in range(axes + 2)))
        place = lax.expand_dims(starts + offset[..., axis], range(axes + 2, 2 * axes + 2))
        cells = (1,) * (axes + 2 + axis) + (w.size,) + (1,) * (axes - axis - 1)
        distance = jnp.abs(jnp.arange(w.size, dtype=x.dtype).reshape(cells) - place)
        weight = weight * jnp.maximum(0, 1 - distance)
    cells = lax.expand_dims(jnp.moveaxis(x, -2, 1), range(1, axes + 1))
    weight = weight[..., None]
    read = jnp.where(weight == 0, 0, weight * cells)
    return read.sum(tuple(range(axes + 2, 2 * axes + 2)))
