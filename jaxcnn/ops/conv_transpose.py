"""Transposed convolution, the fast implementation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn import shapes as edge
from jaxcnn.convolve import conv_general_dilated
from jaxcnn.convolve.layout import channels_last
from jaxcnn.keywords import suggest_keywords
from jaxcnn.ops.bias import add_bias
from jaxcnn.ops.conv import sum_type
from jaxcnn.shapes import widened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.geometry import Padding
    from jaxcnn.shapes import ConvShapes, Sharding


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
    """The adjoint of :func:`jaxcnn.conv` with the same kernel and the same arguments.

    For every x and y of fitting shapes, and up to rounding,

        <conv(y, kernel, ...), x> = <y, conv_transpose(x, kernel, ...)>

    conv carries a value from a cell to an output; conv_transpose carries a value from that output
    to that cell.

        x: (N, *k, K) or (*k, K)      kernel: (*F, C // groups, K)      bias: (C,)
        returns (N, *size, C) or (*size, C), with
        size = (k - 1)*stride + F' - lo - hi + output_padding,   F' = dilation*(F - 1) + 1

    The kernel has conv's layout: its last axis holds the channels of the input here.

    Args:
      x: the input, shaped like an output of conv; channels last.
      kernel: the filters; the kernel's rank gives the number of spatial axes.
      bias: added to each channel of the result.
      stride: cells of the result from one cell of x to the next.
      padding: cells that conv adds and this function cuts off: a name, an int, an int for each
        axis, or a pair (before, after) for each axis. ``"SAME"`` and ``"SAME_LOWER"`` give
        size = k*stride. Negative padding adds cells that conv would not read: they get the bias
        alone.
      dilation: cells from one tap of the kernel to the next.
      groups: parts into which the channels are divided, as in conv.
      output_size: the result's spatial size, one for all axes or one for each, among the ``stride``
        sizes that conv turns into k. None takes the smallest, or k*stride for SAME padding.
      output_padding: cells by which the result exceeds the smallest size, 0 to stride - 1; an
        alternative to ``output_size``, not to be combined with it. If the padding after is 0, no
        window reads the added cells, and they get the bias alone.
      precision: as in :func:`jax.lax.conv_general_dilated`.
      preferred_element_type, out_sharding: as in :func:`jaxcnn.conv`.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit; it says what to type instead.
      TypeError: if dtypes differ, or an argument is of the wrong type.

    Source: Dumoulin and Visin, arXiv:1603.07285, chapter 4.

    >>> import jax.numpy as jnp
    >>> features, filters = jnp.ones((4, 4, 6)), jnp.ones((3, 3, 1, 6))
    >>> conv_transpose(features, filters, stride=2).shape
    (9, 9, 1)
    >>> conv_transpose(features, filters, stride=2, padding="SAME").shape
    (8, 8, 1)
    """
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
    y = conv_general_dilated(
        widened(x, 16),
        _backwards(widened(kernel, 16), shapes),
        window_strides=(1,) * len(shapes.windows),
        padding=_adjoint_paddings(shapes),
        lhs_dilation=shapes.strides,
        rhs_dilation=shapes.dilations,
        dimension_numbers=channels_last(len(shapes.windows)),
        feature_group_count=shapes.groups,
        precision=precision,
        preferred_element_type=sum_type(x, shapes),
        out_sharding=shapes.sharding(out_sharding),
    )
    return shapes.restore(add_bias(y, bias))


def _backwards(kernel: jax.Array, shapes: ConvShapes) -> jax.Array:
    """(*F, C/groups, K) as (*F, K/groups, C): flipped, and each group transposed.

    conv's output i reads the cell i*s + d*f - lo at tap f. So cell n meets output i at the tap with
    d*f = n + lo - i*s: as i rises, f falls, as in a flipped kernel.
    """
    *filters, _, out_channels = kernel.shape
    flipped = jnp.flip(kernel, tuple(range(len(filters))))
    by_group = flipped.reshape(*kernel.shape[:-1], shapes.groups, out_channels // shapes.groups)
    return jnp.swapaxes(by_group, -3, -1).reshape(*filters, -1, shapes.in_channels)


def _adjoint_paddings(shapes: ConvShapes) -> list[tuple[int, int]]:
    """The padding for the stride-1 convolution of x, dilated by the stride, that gives every cell.

    Before: F' - 1 - lo cells. After: the rest of the size + F' - 1 cells that are read. Both may be
    negative: lax then cuts off cells that only conv's padding reaches.
    """
    pairs = []
    for window in shapes.windows:
        before = window.extent - 1 - window.padding[0]
        spread = (window.output - 1) * window.stride + 1
        pairs.append((before, window.size + window.extent - 1 - before - spread))
    return pairs
