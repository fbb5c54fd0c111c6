"""Max pooling with indices, and unpooling; the fast implementation."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxcnn import shapes as edge
from jaxcnn.convolve.pool_primitives import first_tap, pick_taps, window_max
from jaxcnn.convolve.taps import steps
from jaxcnn.keywords import suggest_keywords
from jaxcnn.ops.windows import layout
from jaxcnn.shapes import widened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.geometry import Padding


@suggest_keywords
def max_pool_with_indices(
    x: jax.Array,
    kernel_size: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
    index_order: str = "row_major",
) -> tuple[jax.Array, jax.Array]:
    """:func:`jaxcnn.max_pool`, and for each output the index of its cell.

        x: (N, *spatial, C) or (*spatial, C)
        returns values and indices, both (N, *k, C) or (*k, C), with k as in :func:`jaxcnn.conv`

    Args:
      x, kernel_size, stride, padding, dilation, rounding: as in :func:`jaxcnn.max_pool`.
      index_order: how an index (int32) counts the cells of the unpadded spatial axes. On an image,
        ``"row_major"``: row*width + column, as in PyTorch; ``"column_major"``: row + column*height,
        ONNX's storage_order 1.

    Of equal maxima the first in row-major order counts, of several NaNs the last, as in PyTorch.
    ONNX adds (example*C + channel)*cells to the index.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit, or a window would cover only
        padding.

    >>> import jax.numpy as jnp
    >>> values, indices = max_pool_with_indices(jnp.arange(16.0).reshape(4, 4, 1), (2, 2))
    >>> indices[..., 0]
    Array([[ 5,  7],
           [13, 15]], dtype=int32)
    """
    x, shapes = edge.max_pool_with_indices(
        x,
        kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        rounding=rounding,
        index_order=index_order,
    )
    reads = layout(x, shapes.windows)
    sizes = tuple(axis.size for axis in shapes.windows)
    cells = jnp.arange(math.prod(sizes), dtype=jnp.int32)
    cells = cells.reshape(sizes) if index_order == "row_major" else cells.reshape(sizes[::-1]).T
    # Zeros like x: the indices are divided among devices as x is.
    indices, values = jnp.zeros_like(x, jnp.int32) + cells[None, ..., None], widened(x)
    for step in steps(reads):
        best = window_max(values, step)
        indices = pick_taps(indices, first_tap(values, best, step), step)
        values = best
    return shapes.restore(values), shapes.restore(indices, indices.dtype)


@suggest_keywords
def max_unpool(
    values: jax.Array,
    indices: jax.Array,
    *,
    output_size: int | Sequence[int],
    index_order: str = "row_major",
) -> jax.Array:
    """Writes each value into the cell that its index names; all other cells are 0.

        values, indices: (N, *k, C) or (*k, C)
        returns (N, *output_size, C) or (*output_size, C)

    Args:
      values: the pooled values.
      indices: the cells of the values, as :func:`max_pool_with_indices` counts them.
      output_size: the spatial sizes of the result, usually those of the pooled input: one for all
        axes or one for each. Values without a batch axis need one for each.
      index_order: as in :func:`max_pool_with_indices`.

    If several values name the same cell (from overlapping windows), the last in row-major order is
    kept and gets the gradient. A value whose index is outside the result is dropped.

    Raises:
      InputError: (a ValueError) if shapes do not fit.
      TypeError: if the indices are not integers.

    Source: Zeiler and Fergus, arXiv:1311.2901.

    >>> import jax.numpy as jnp
    >>> max_unpool(jnp.array([[3.0], [5.0]]), jnp.array([[1], [2]]), output_size=(4,))[:, 0]
    Array([0., 3., 5., 0.], dtype=float32)
    """
    values, indices, shapes = edge.max_unpool(values, indices, output_size, index_order=index_order)
    if shapes.batch == 0:
        return jnp.zeros(shapes.output, values.dtype)
    put = partial(_put, cells=math.prod(shapes.sizes))
    put = jax.vmap(jax.vmap(put, in_axes=-1, out_axes=-1))
    flat = (values.shape[0], -1, shapes.channels)
    y = put(values.reshape(flat), indices.reshape(flat))
    if index_order == "row_major":
        y = y.reshape(values.shape[0], *shapes.sizes, shapes.channels)
    else:
        y = y.reshape(values.shape[0], *shapes.sizes[::-1], shapes.channels)
        y = y.transpose(0, *reversed(range(1, y.ndim - 1)), y.ndim - 1)
    return shapes.restore(y)


def _put(values: jax.Array, indices: jax.Array, cells: int) -> jax.Array:
    """One feature map's values (positions,), unpooled to (cells,).

    The positions of the values are scattered and the largest is kept, because a scatter of the
    values themselves has no defined order.
    """
    numbers = jnp.arange(values.shape[0], dtype=jnp.int32)
    last = jnp.full((cells,), -1, jnp.int32)
    last = last.at[indices].max(numbers, mode="drop", wrap_negative_indices=False)
    found = values.at[jnp.maximum(last, 0)].get(mode="clip")
    return jnp.where(last >= 0, found, jnp.zeros((), values.dtype))
