"""Pooling over sliding windows, the fast implementation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxcnn import shapes as edge
from jaxcnn.convolve.pool_primitives import window_max, window_min, window_sum
from jaxcnn.geometry import Padding, padded_cells, real_cells
from jaxcnn.keywords import suggest_keywords
from jaxcnn.ops.norm import window_norm
from jaxcnn.ops.windows import layout, over_places
from jaxcnn.shapes import widened

if TYPE_CHECKING:
    from collections.abc import Sequence


@suggest_keywords
def max_pool(
    x: jax.Array,
    kernel_size: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
) -> jax.Array:
    """The largest cell under each window, channel by channel; padding is ignored.

        x: (N, *spatial, C) or (*spatial, C)
        returns (N, *k, C) or (*k, C), with k as in :func:`jaxcnn.conv`

    Args:
      x: the input; channels last.
      kernel_size: the window's size, one number for all spatial axes or one for each. An x without
        a batch axis needs one for each.
      stride: None takes the window's size.
      padding, dilation, rounding: as in :func:`jaxcnn.conv`. ``rounding="ceil"`` adds a window that
        overhangs the end, for cells that would be left unread there.

    The gradient goes to the first maximum in the window, in row-major order, as in PyTorch. If a
    window covers a NaN, its result is NaN.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit, or a window would cover only
        padding.

    >>> import jax.numpy as jnp
    >>> max_pool(jnp.arange(16.0).reshape(4, 4, 1), (2, 2))[..., 0]
    Array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
    """
    x, shapes = edge.max_pool(
        x, kernel_size, stride=stride, padding=padding, dilation=dilation, rounding=rounding
    )
    return shapes.restore(window_max(widened(x), layout(x, shapes.windows)))


@suggest_keywords
def min_pool(
    x: jax.Array,
    kernel_size: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
) -> jax.Array:
    """The smallest cell under each window, channel by channel; padding is ignored.

        x: (N, *spatial, C) or (*spatial, C)
        returns (N, *k, C) or (*k, C), with k as in :func:`jaxcnn.conv`

    Args:
      x, kernel_size, stride, padding, dilation, rounding: as in :func:`max_pool`.

    The gradient goes to the first minimum in the window, in row-major order. If a window covers a
    NaN, its result is NaN.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit, or a window would cover only
        padding.

    >>> import jax.numpy as jnp
    >>> min_pool(jnp.arange(16.0).reshape(4, 4, 1), (2, 2))[..., 0]
    Array([[ 0.,  2.],
           [ 8., 10.]], dtype=float32)
    """
    x, shapes = edge.min_pool(
        x, kernel_size, stride=stride, padding=padding, dilation=dilation, rounding=rounding
    )
    return shapes.restore(window_min(widened(x), layout(x, shapes.windows)))


@suggest_keywords
def avg_pool(
    x: jax.Array,
    kernel_size: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
    count_include_pad: bool = False,
) -> jax.Array:
    """The mean of the cells under each window, channel by channel.

        x: (N, *spatial, C) or (*spatial, C), of a floating dtype
        returns (N, *k, C) or (*k, C), with k as in :func:`jaxcnn.conv`

    Args:
      x, kernel_size, stride, padding, dilation, rounding: as in :func:`max_pool`.
      count_include_pad: False divides by the number of real cells under the window, so that padding
        does not change the mean; True divides by the number of taps, zeros included.

    Sums of 16-bit inputs are computed in float32.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit, or a window would cover only
        padding.
      TypeError: if x is not floating.

    >>> import jax.numpy as jnp
    >>> avg_pool(jnp.ones((3, 3, 1)), (2, 2), stride=1, padding=1)[0, 0]
    Array([1.], dtype=float32)
    >>> avg_pool(jnp.ones((3, 3, 1)), (2, 2), stride=1, padding=1, count_include_pad=True)[0, 0]
    Array([0.25], dtype=float32)
    """
    x, shapes = edge.avg_pool(
        x, kernel_size, stride=stride, padding=padding, dilation=dilation, rounding=rounding
    )
    sums = window_sum(widened(x), layout(x, shapes.windows))
    count = padded_cells if count_include_pad else real_cells
    counts = jnp.asarray(over_places(shapes.windows, count), sums.dtype)
    return shapes.restore(sums / counts)


@suggest_keywords
def lp_pool(
    x: jax.Array,
    kernel_size: int | Sequence[int],
    p: float = 2,
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
) -> jax.Array:
    """The p-norm of the cells under each window, channel by channel: (sum |x|^p)^(1/p).

        x: (N, *spatial, C) or (*spatial, C), of a floating dtype
        returns (N, *k, C) or (*k, C), with k as in :func:`jaxcnn.conv`

    Args:
      x, kernel_size, stride, padding, dilation, rounding: as in :func:`max_pool`.
      p: the order of the norm, a number >= 1.

    The cells are divided by the largest under their window before they are raised to the power p,
    so that no intermediate value overflows unless the norm does. The gradient at a window of zeros
    is 0. Sums of 16-bit inputs are computed in float32.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit, or a window would cover only
        padding.
      TypeError: if x is not floating.

    Source: ONNX, operator LpPool; Gulcehre et al., arXiv:1311.1780.

    >>> import jax.numpy as jnp
    >>> lp_pool(jnp.array([[3.0], [-4.0], [0.0], [0.0]]), (2,))[:, 0]
    Array([5., 0.], dtype=float32)
    """
    x, p, shapes = edge.lp_pool(
        x, kernel_size, p, stride=stride, padding=padding, dilation=dilation, rounding=rounding
    )
    return shapes.restore(window_norm(widened(x), layout(x, shapes.windows), p))
