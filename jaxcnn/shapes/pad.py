"""Checks and shapes of padding."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from jaxcnn.errors import InputError
from jaxcnn.geometry import Padding, place_windows
from jaxcnn.geometry.padding_mode import check_padding_mode
from jaxcnn.shapes.checks import split_by
from jaxcnn.shapes.operation import Edge
from jaxcnn.shapes.pool import PoolShapes

if TYPE_CHECKING:
    from collections.abc import Sequence


def pad_shapes(x: Sequence[int], padding: Padding, *, padding_mode: str = "zeros") -> PoolShapes:
    """The shapes of a padding, checked: windows of one cell, whose outputs are the padded axes.

    Args:
      x: (N, *spatial, C); or (*spatial, C) if ``padding`` has one entry for each axis.
      padding, padding_mode: as in :func:`jaxcnn.pad`.

    Raises:
      InputError: if these do not fit together; it says what to use instead.

    >>> pad_shapes((2, 7, 8, 3), [1, (0, 2)]).output
    (2, 9, 10, 3)
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
    check = partial(check_padding_mode, padding_mode)
    return PoolShapes(batch, place_windows(spatial, 1, padding=padding, check=check), channels)


pad = Edge("pad", pad_shapes)
