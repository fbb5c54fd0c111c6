"""The shapes of a padding."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from jaxcnn.errors import InputError
from jaxcnn.geometry import Padding, Window, place_windows
from jaxcnn.geometry.check import is_sequence
from jaxcnn.geometry.padding_mode import check_padding_mode


def pad_windows(
    x: Sequence[int], padding: Padding, *, padding_mode: str = "zeros"
) -> tuple[Window, ...]:
    """One window of a single cell for each spatial axis of x; its outputs are the padded axis.

    Args:
      x: (N, *spatial, C); or (*spatial, C) where ``padding`` has one entry for each axis.
      padding, padding_mode: as in :func:`jaxcnn.pad`.

    Raises:
      InputError: where they do not fit together, with what to use instead.

    >>> [window.output for window in pad_windows((2, 7, 8, 3), [1, (0, 2)])]
    [9, 10]
    """
    x = tuple(x)
    if isinstance(padding, str):
        raise InputError(
            f"padding {padding!r} depends on a filter, which pad does not have; use an int, an int "
            f"for each axis, or a pair (before, after) for each axis"
        )
    if padding_mode == "partial":
        raise InputError(
            'padding_mode "partial" needs the window of a convolution; use conv(..., '
            'padding_mode="partial"), or padding_mode="zeros" here'
        )
    axes = len(padding) if is_sequence(padding) else max(1, len(x) - 2)
    if len(x) not in (axes + 1, axes + 2):
        raise InputError(
            f"x of shape {x} has {len(x)} axes; padding {padding!r} ({axes} spatial "
            f"{'axis' if axes == 1 else 'axes'}) takes {axes + 2}, (N, *spatial, C), or {axes + 1} "
            f"for one example, (*spatial, C)"
        )
    check = partial(check_padding_mode, padding_mode)
    return place_windows(x[-axes - 1 : -1], 1, padding=padding, check=check)
