"""Pooling, the fast form: windows are folded one axis at a time, F_1 + F_2 steps for F_1 x F_2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn.arrays import as_arrays, require_floating
from jaxcnn.errors import speaking_as
from jaxcnn.geometry import Padding, PoolShapes, Window, padded_cells, pool_shapes, real_cells


def max_pool(
    x: jax.Array,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
) -> jax.Array:
    """The largest cell under each window, channel by channel; padding never wins.

        x: (N, *spatial, C) or (*spatial, C)
        returns (N, *k, C) or (*k, C), with k as in :func:`jaxcnn.conv`

    Args:
      x: the input; channels last.
      window: the window's size, one for all spatial axes or one each. Where x has no batch axis,
        give one each: that is how it is recognised.
      stride: None takes the window's size.
      padding, dilation, rounding: as in :func:`jaxcnn.conv`.

    The gradient goes to the first maximum in the window, in row-major order, as in PyTorch. A NaN
    under the window is the result.

    Raises:
      InputError: (a ValueError) where shapes and arguments do not fit, or a window would hold
        nothing but padding.

    >>> import jax.numpy as jnp
    >>> max_pool(jnp.arange(16.0).reshape(4, 4, 1), (2, 2))[..., 0]
    Array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
    """
    with speaking_as("max_pool"):
        (x,) = as_arrays(x=x)
        shapes = pool_shapes(
            x.shape, window, stride=stride, padding=padding, dilation=dilation, rounding=rounding
        )
    return _fold(x, shapes, _first_larger, lowest(x.dtype))


def avg_pool(
    x: jax.Array,
    window: int | Sequence[int],
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
      x, window, stride, padding, dilation, rounding: as in :func:`max_pool`.
      count_include_pad: False divides by the number of real cells under the window, so that
        padding changes nothing; True divides by all its taps, zeros included.

    Raises:
      InputError: (a ValueError) where shapes and arguments do not fit, or a window would hold
        nothing but padding.
      TypeError: where x is not floating.

    >>> import jax.numpy as jnp
    >>> avg_pool(jnp.ones((3, 3, 1)), (2, 2), stride=1, padding=1)[0, 0]
    Array([1.], dtype=float32)
    >>> avg_pool(jnp.ones((3, 3, 1)), (2, 2), stride=1, padding=1, count_include_pad=True)[0, 0]
    Array([0.25], dtype=float32)
    """
    with speaking_as("avg_pool"):
        (x,) = as_arrays(x=x)
        require_floating(x)
        shapes = pool_shapes(
            x.shape, window, stride=stride, padding=padding, dilation=dilation, rounding=rounding
        )
    total = _fold(x, shapes, jnp.add, 0)
    count = padded_cells if count_include_pad else real_cells
    counts = reduce(np.multiply.outer, [np.array(count(axis)) for axis in shapes.windows])
    return total / jnp.asarray(counts[..., None], x.dtype)


def lowest(dtype: jnp.dtype) -> float | int:
    """The value that loses against every other of ``dtype``."""
    return -jnp.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).min


def _first_larger(best: jax.Array, tap: jax.Array) -> jax.Array:
    # `>` and not `maximum`: on a tie the earlier tap keeps the place, and so the gradient.
    return jnp.where((tap > best) | (tap != tap), tap, best)


def _fold(
    x: jax.Array,
    shapes: PoolShapes,
    combine: Callable[[jax.Array, jax.Array], jax.Array],
    neutral: float,
) -> jax.Array:
    """Combines the cells of every window, the last spatial axis first.

    In that order a tie is settled within the rows before it is settled between them, which is the
    row-major order of the definition.
    """
    first = x.ndim - 1 - len(shapes.windows)
    pads = [(0, 0, 0)] * x.ndim
    pads[first:-1] = [
        (axis.padding[0], axis.padding[1] + axis.overhang, 0) for axis in shapes.windows
    ]
    x = lax.pad(x, jnp.asarray(neutral, x.dtype), pads)
    for offset, axis in reversed(list(enumerate(shapes.windows))):
        x = reduce(combine, _taps(x, axis, first + offset))
    return x


def _taps(x: jax.Array, window: Window, axis: int) -> list[jax.Array]:
    """For each tap of the window, the padded cells under it, one for each output."""
    last = (window.output - 1) * window.stride + 1
    return [
        lax.slice_in_dim(x, tap, tap + last, window.stride, axis)
        for tap in range(0, window.extent, window.dilation)
    ]
