"""Convolution, the fast form."""

from __future__ import annotations

from collections.abc import Sequence

import jax
from jax import lax

from jaxcnn.arrays import as_arrays
from jaxcnn.errors import speaking_as
from jaxcnn.geometry import Padding, conv_shapes


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
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """Slides the filters of ``kernel`` over ``x``; at each place, one number a filter: Wx + b.

    As everywhere in deep learning the filter is not flipped (a cross-correlation).

        x: (N, *spatial, C_in) or (*spatial, C_in)      kernel: (*F, C_in // groups, C_out)
        bias: (C_out,)
        returns (N, *k, C_out) or (*k, C_out), with
        k = (size + lo + hi - F')/stride + 1,   F' = dilation*(F - 1) + 1

    Any number of spatial axes; ``stride``, ``padding`` and ``dilation`` are given once for all
    axes or once for each. Sizes are in cells.

    Args:
      x: the input; channels last.
      kernel: the filters; their rank says how many spatial axes there are.
      bias: added to each feature map.
      stride: cells from one placement of the filter to the next.
      padding: zero cells around x: ``"VALID"``, ``"SAME"``, ``"SAME_LOWER"``, ``"FULL"``,
        ``"CAUSAL"``, an int, an int for each axis, or a pair (before, after) for each axis.
      dilation: cells from one tap of the filter to the next.
      groups: parts into which the channels are divided; filter j sees part j // (C_out/groups).
      rounding: ``"exact"`` refuses a stride that leaves cells at the end unread; ``"floor"`` drops
        them, as other libraries do.
      precision: as in :func:`jax.lax.conv_general_dilated`.

    Raises:
      InputError: (a ValueError) where shapes and arguments do not fit, with what to type instead.
      TypeError: where dtypes differ, or an argument is of the wrong type.

    Source: Dumoulin and Visin, arXiv:1603.07285.

    >>> import jax.numpy as jnp
    >>> image, filters = jnp.ones((7, 7, 3)), jnp.ones((3, 3, 3, 6))
    >>> conv(image, filters).shape
    (5, 5, 6)
    """
    with speaking_as("conv"):
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
        )
    axes = len(shapes.windows)
    y = lax.conv_general_dilated(
        x if shapes.batch is not None else x[None],
        kernel,
        window_strides=shapes.strides,
        padding=shapes.paddings,
        rhs_dilation=shapes.dilations,
        dimension_numbers=channels_last(axes),
        feature_group_count=shapes.groups,
        precision=precision,
    )
    y = y if shapes.batch is not None else y[0]
    return y if bias is None else y + bias


def channels_last(axes: int) -> lax.ConvDimensionNumbers:
    """lax's description of x (N, *spatial, C) with kernel (*F, C, O) and output like x."""
    spatial = tuple(range(1, axes + 1))
    image = (0, axes + 1, *spatial)
    return lax.ConvDimensionNumbers(image, (axes + 1, axes, *range(axes)), image)
