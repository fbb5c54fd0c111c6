"""Local convolution, the fast implementation: one matrix product per output position."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn import shapes as edge
from jaxcnn.convolve.taps import tap_slices
from jaxcnn.keywords import suggest_keywords
from jaxcnn.ops.conv import finish
from jaxcnn.ops.pad import extend
from jaxcnn.ops.windows import padded_layout
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
    """A convolution without shared weights: every output position has its own filters.

        x: (N, *spatial, C_in) or (*spatial, C_in)      kernel: (*k, *F, C_in, C_out)
        bias: (*k, C_out), or (C_out,) for one number per feature map
        returns (N, *k, C_out) or (*k, C_out), with k as in :func:`jaxcnn.conv`

    Args:
      x: the input; channels last.
      kernel: the filters of each position; a kernel with 2n + 2 axes is for n spatial axes.
      bias: added at each position.
      stride, padding, dilation, rounding, padding_mode: as in :func:`jaxcnn.conv`.
      precision: as in :func:`jax.lax.dot_general`.
      out_sharding: as in :func:`jaxcnn.conv`.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit; it says what to type instead.
      TypeError: if dtypes differ, or an argument is of the wrong type.

    >>> import jax.numpy as jnp
    >>> local_conv(jnp.ones((7, 7, 3)), jnp.ones((5, 5, 3, 3, 3, 6))).shape
    (5, 5, 6)
    """
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
    padded = extend(x, shapes.windows, padding_mode)
    weights = widened(kernel.reshape(*shapes.spatial, -1, shapes.out_channels), 16)
    cells = tap_slices(widened(padded), padded_layout(padded, shapes.windows), 0)
    patches = jnp.concatenate(cells, axis=-1).astype(weights.dtype)
    y = jnp.einsum(
        "n...p,...po->n...o",
        patches,
        weights,
        precision=precision,
        out_sharding=shapes.sharding(out_sharding),
    )
    return shapes.restore(finish(y, bias, shapes))
