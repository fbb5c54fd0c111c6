"""Padding modes: the values beyond the ends of an axis, shown for 1234 padded by 2 on both sides.

zeros        00 1234 00
reflect      32 1234 32     mirrored at the first and last cell, which are not repeated
replicate    11 1234 44     the first and last cell repeated
circular     34 1234 12     the axis is a ring
partial      00 1234 00     then each output is multiplied by taps/(taps on real cells)

"partial" depends on the window, so only convolutions have it; :func:`jaxcnn.pad` does not. Source:
G. Liu et al., "Partial Convolution based Padding", arXiv:1811.11718.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxcnn.errors import Advice, InputError
from jaxcnn.geometry._symbolic import constraint_advice, is_symbolic, known
from jaxcnn.geometry.check import choice
from jaxcnn.geometry.coverage import first_empty_output
from jaxcnn.geometry.padding import PADDING_MODE_SYNONYMS
from jaxcnn.geometry.padding_advice import nonempty_window_advice, smaller_padding_advice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.geometry.window import Window

PADDING_MODES = ("zeros", "reflect", "replicate", "circular", "partial")


def source_cell(position: int, size: int, padding_mode: str) -> int | None:
    """The cell of 0 ... size-1 whose value ``position`` takes; None if the value is zero.

    Args:
      position: a position of the padded axis, counted from the input's first cell.

    >>> [source_cell(i, 4, "reflect") for i in range(-2, 6)]
    [2, 1, 0, 1, 2, 3, 2, 1]
    >>> [source_cell(i, 4, "zeros") for i in range(-2, 6)]
    [None, None, 0, 1, 2, 3, None, None]
    """
    choice("padding_mode", padding_mode, PADDING_MODES, PADDING_MODE_SYNONYMS)
    if 0 <= position < size:
        return position
    if padding_mode == "reflect":
        return -position if position < 0 else 2 * (size - 1) - position
    if padding_mode == "replicate":
        return 0 if position < 0 else size - 1
    if padding_mode == "circular":
        return position % size
    return None


def check_padding_mode(padding_mode: str, windows: Sequence[Window], rounding: str) -> None:
    """Refuses a padding mode that cannot fill the padding of some window.

    "reflect" fills up to N-1 cells on a side, "circular" up to N; "partial" needs a real cell under
    every window.

    Args:
      windows: one for each axis; they may be floored although ``rounding`` is "exact".
      rounding: the caller's argument.

    Raises:
      InputError: if the mode cannot fill the padding; names the axis, its numbers and what to use.
    """
    choice("padding_mode", padding_mode, PADDING_MODES, PADDING_MODE_SYNONYMS)
    if padding_mode == "partial":
        for axis in windows:
            _require_real_cells(axis, windows, rounding)
    if padding_mode not in ("reflect", "circular"):
        return
    limits = [axis.size - 1 if padding_mode == "reflect" else axis.size for axis in windows]
    for axis, limit in zip(windows, limits, strict=True):
        if not known(lambda most=limit, a=axis: max(a.padding) <= most):
            if is_symbolic(axis.size):
                raise InputError(
                    f'padding_mode "{padding_mode}" fills padding {axis.padding} from {axis.axis} '
                    f"{axis.size}, which is not known to be large enough; "
                    f"{constraint_advice(axis.size, axis.size - limit + max(axis.padding))}"
                )
            advice = smaller_padding_advice(windows, [(most, most) for most in limits], rounding)
            advice += _other_padding_mode("replicate", axis, rounding)
            raise InputError(
                f'padding_mode "{padding_mode}" can fill at most {limit} cells on each side of '
                f"{axis.axis} {axis.size}, but padding {axis.padding} has {max(axis.padding)}.",
                *(advice or [f"a larger {axis.axis}"]),
            )


def _other_padding_mode(padding_mode: str, axis: Window, rounding: str) -> list[Advice]:
    """The advice to use ``padding_mode``, if the windows are legal with the caller's rounding."""
    return [Advice("padding_mode", (padding_mode,))] if axis.rounding == rounding else []


def _require_real_cells(axis: Window, windows: Sequence[Window], rounding: str) -> None:
    empty = first_empty_output(axis)
    if empty is not None:
        raise InputError(
            f'padding_mode "partial" divides by the real cells under the window, and there are '
            f"none under output {empty} of {axis.axis} {axis.size} with kernel_size "
            f"{axis.kernel_size}, dilation {axis.dilation}, stride {axis.stride}, padding "
            f"{axis.padding}.",
            *nonempty_window_advice(windows, rounding),
            *_other_padding_mode("zeros", axis, rounding),
        )
