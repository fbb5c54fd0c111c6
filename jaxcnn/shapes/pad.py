"""Checks and shapes of padding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from numbers import Number
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
from jax.core import Tracer

from jaxcnn.errors import InputError, error_prefix, omit_advice
from jaxcnn.geometry import Padding, place_windows
from jaxcnn.geometry.padding import resolve_padding
from jaxcnn.geometry.padding_mode import check_padding_mode
from jaxcnn.geometry.window import axis_names
from jaxcnn.shapes.checks import require_cells, split_by
from jaxcnn.shapes.operation import Edge
from jaxcnn.shapes.pool import PoolShapes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import jax
    import numpy as np


@dataclass(frozen=True)
class PadShapes(PoolShapes):
    """A checked padding of x (N, *spatial, C), from which cells may be cut off before.

    Attributes:
      batch, dtype, channels: as in :class:`PoolShapes`.
      windows: windows of one cell, whose outputs are the padded axes.
      cuts: the cells cut off each spatial axis, at its beginning and at its end.

    >>> from jaxcnn.geometry import Window
    >>> PadShapes(8, (Window(28, 1, padding=(0, 2)),), 3, cuts=((1, 0),)).output
    (8, 30, 3)
    """

    cuts: tuple[tuple[int, int], ...]


def pad_shapes(x: Sequence[int], padding: Padding, *, padding_mode: str = "zeros") -> PadShapes:
    """The shapes of a padding, checked.

    Args:
      x: (N, *spatial, C); or (*spatial, C) if ``padding`` has one entry for each axis.
      padding, padding_mode: as in :func:`jaxcnn.pad`.

    Raises:
      InputError: if these do not fit together; it says what to use instead.

    >>> pad_shapes((2, 7, 8, 3), [1, (-1, 2)]).output
    (2, 9, 9, 3)
    """
    if isinstance(padding, str):
        raise InputError(
            f"padding {padding!r} depends on a kernel_size, which pad does not have; use an int, "
            f"an int for each axis, or a pair (before, after) for each axis"
        )
    if padding_mode == "partial":
        raise InputError(
            'padding_mode "partial" needs the window of a convolution; use conv(..., '
            'padding_mode="partial"), or padding_mode="zeros" here'
        )
    batch, spatial, channels = split_by(x, "padding", padding)
    require_cells(spatial)
    pairs = resolve_padding(padding, spatial, (1,) * len(spatial), least=None)
    cuts = tuple((max(-low, 0), max(-high, 0)) for low, high in pairs)
    place = partial(place_windows, check=partial(check_padding_mode, padding_mode))
    if not any(map(any, cuts)):
        return PadShapes(batch, place(spatial, 1, padding=pairs), channels, cuts)
    added = tuple((max(low, 0), max(high, 0)) for low, high in pairs)
    left = tuple(size - sum(cut) for size, cut in zip(spatial, cuts, strict=True))
    for name, size, cut in zip(axis_names(len(left)), spatial, cuts, strict=True):
        if isinstance(size, int) and size <= sum(cut):
            raise InputError(
                f"padding cuts off {sum(cut)} of the {size} cells of {name}; cut off {size - 1} or "
                f"fewer"
            )
    # Advice on what is left would leave out what is cut off.
    with error_prefix("after the cut"), omit_advice("padding"):
        windows = place(left, 1, padding=added)
    return PadShapes(batch, windows, channels, cuts)


_pad = Edge("pad", pad_shapes)


def pad(
    x: jax.Array, padding: Padding, *, value: jax.typing.ArrayLike = 0, **arguments: Any
) -> tuple[jax.Array, jax.Array, PadShapes]:
    """The checked x of :func:`jaxcnn.pad`, the value in its dtype, and the shapes.

    >>> x, value, shapes = pad(jnp.ones((28, 3)), [(1, -1)], value=2)
    >>> x.shape, value, shapes.output
    ((1, 28, 3), Array(2., dtype=float32), (28, 3))
    """
    x, shapes = _pad(x, padding, **arguments)
    with error_prefix("pad"):
        value = _value_of(value, x.dtype, arguments.get("padding_mode", "zeros"))
    return x, value, shapes


def _value_of(value: Any, dtype: np.dtype, padding_mode: str) -> jax.Array:
    """The value of new cells, in the dtype of x."""
    if isinstance(value, Tracer):
        raise TypeError(
            f"value must be a number that is known when the program is made, got {value}"
        )
    if not isinstance(value, Number) and getattr(value, "shape", None) != ():
        raise TypeError(f"value must be a number, got {value!r}")
    if padding_mode != "zeros" and not (isinstance(value, int) and value == 0):
        raise InputError(
            f'value {value} is for padding_mode "zeros"; "{padding_mode}" copies cells of x'
        )
    if not _can_hold(dtype, value):
        raise TypeError(f"value {value} is no {dtype}, which x is; use x.astype(...) or another")
    return jnp.asarray(value, dtype)


def _can_hold(dtype: np.dtype, value: Any) -> bool:
    """Whether numbers of this dtype have the value, but for rounding."""
    if jnp.iscomplexobj(value):
        return jnp.issubdtype(dtype, jnp.complexfloating)
    if not jnp.issubdtype(dtype, jnp.integer):
        return True
    bounds = jnp.iinfo(dtype)
    return float(value).is_integer() and bounds.min <= value <= bounds.max
