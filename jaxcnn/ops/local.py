"""Local convolution, the fast form: the cells of every window side by side, one product a place."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.errors import error_prefix
from jaxcnn.geometry import Padding, Window
from jaxcnn.keywords import suggest_keywords
from jaxcnn.ops.conv import finish, with_batch_axis
from jaxcnn.ops.pad import extend
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
    """A convolution that shares nothing: every place has filters of its own.

        x: (N, *spatial, C_in) or (*spatial, C_in)      kernel: (*k, *F, C_in, C_out)
        bias: (*k, C_out), or (C_out,) for one number a feature map
        returns (N, *k, C_out) or (*k, C_out), with k as in :func:`jaxcnn.conv`

    Args:
      x: the input; channels last.
      kernel: for each place its filters; a kernel of 2n + 2 axes has n spatial ones.
      bias: added at each place.
      stride, padding, dilation, rounding, padding_mode: as in :func:`jaxcnn.conv`.
      precision: as in :func:`jax.lax.dot_general`.
      out_sharding: as in :func:`jaxcnn.conv`.

    Raises:
      InputError: (a ValueError) where shapes and arguments do not fit, with what to type instead.
      TypeError: where dtypes differ, or an argument is of the wrong type.

    >>> import jax.numpy as jnp
    >>> local_conv(jnp.ones((7, 7, 3)), jnp.ones((5, 5, 3, 3, 3, 6))).shape
    (5, 5, 6)
    """
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
    batched = x if shapes.batch is not None else x[None]
    padded = extend(batched, shapes.windows, padding_mode)
    weights = widened(kernel.reshape(*shapes.spatial, -1, shapes.out_channels), 16)
    patches = _patches(widened(padded), shapes.windows).astype(weights.dtype)
    y = jnp.einsum(
        "n...p,...po->n...o",
        patches,
        weights,
        precision=precision,
        out_sharding=with_batch_axis(out_sharding, shapes.batch),
    )
    return finish(y if shapes.batch is not None else y[0], bias, shapes).astype(x.dtype)


def _patches(padded: jax.Array, windows: Sequence[Window]) -> jax.Array:
    """(N, *k, taps * C): the cells under every window, the taps in row-major order."""
    taps = product(*(range(0, window.extent, window.dilation) for window in windows))
    strides = (1, *(window.stride for window in windows), 1)
    spans = [(window.output - 1) * window.stride + 1 for window in windows]
    cells = []
    for tap in taps:
        end = [start + span for start, span in zip(tap, spans, strict=True)]
        corner = (padded.shape[0], *end, padded.shape[-1])
        cells.append(lax.slice(padded, (0, *tap, 0), corner, strides))
    return jnp.concatenate(cells, axis=-1)
