"""What lies beyond the edge of an axis, by what happens to 1234 padded by 2 on both sides.

zeros        00 1234 00
reflect      32 1234 32     mirrored at the outermost cell, which is not repeated
replicate    11 1234 44     the outermost cell again and again
circular     34 1234 12     the axis is a ring
partial      00 1234 00     then each output is multiplied by taps/(taps on real cells)

"partial" is no padding of an array but a way to convolve, for it needs the window: G. Liu et al.,
"Partial Convolution based Padding", arXiv:1811.11718.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxcnn.errors import Advice, InputError
from jaxcnn.geometry._symbolic import is_symbolic, known, state
from jaxcnn.geometry.check import choice
from jaxcnn.geometry.sizes import less_padding, padding_under_windows
from jaxcnn.geometry.window import Window, first_empty

PADDING_MODES = ("zeros", "reflect", "replicate", "circular", "partial")


def source_cell(position: int, size: int, padding_mode: str) -> int | None:
    """The cell of 0 ... size-1 whose value is found at ``position``; None where it is zero.

    >>> [source_cell(i, 4, "reflect") for i in range(-2, 6)]
    [2, 1, 0, 1, 2, 3, 2, 1]
    >>> [source_cell(i, 4, "zeros") for i in range(-2, 6)]
    [None, None, 0, 1, 2, 3, None, None]
    """
    choice("padding_mode", padding_mode, PADDING_MODES)
    if 0 <= position < size:
        return position
    if padding_mode == "reflect":
        return -position if position < 0 else 2 * (size - 1) - position
    if padding_mode == "replicate":
        return 0 if position < 0 else size - 1
    if padding_mode == "circular":
        return position % size
    return None


def check_padding_mode(padding_mode: str, laid: Sequence[Window], rounding: str) -> None:
    """Refuses a padding mode by which some window's padding cannot be filled.

    Reflection has N-1 cells to mirror, a ring N to offer, and a share of real cells needs one.
    ``rounding`` is what was asked for; where ``laid`` has another, it has no layout of its own.

    Raises:
      InputError: naming the axis and its numbers, and what to use instead.
    """
    choice("padding_mode", padding_mode, PADDING_MODES)
    if padding_mode == "partial":
        for axis in laid:
            _require_real_cells(axis, laid, rounding)
    if padding_mode not in ("reflect", "circular"):
        return
    limits = [axis.size - 1 if padding_mode == "reflect" else axis.size for axis in laid]
    for axis, limit in zip(laid, limits, strict=True):
        if not known(lambda most=limit, a=axis: max(a.padding) <= most):
            if is_symbolic(axis.size):
                raise InputError(
                    f'padding_mode "{padding_mode}" fills padding {axis.padding} from {axis.axis} '
                    f"{axis.size}, which is not known to be so large; "
                    f"{state(axis.size, axis.size - limit + max(axis.padding))}"
                )
            ways = less_padding(laid, [(most, most) for most in limits], rounding)
            ways += _other_padding_mode("replicate", axis, rounding)
            raise InputError(
                f'padding_mode "{padding_mode}" can fill at most {limit} cells on each side of {axis.axis} '
                f"{axis.size}, but padding {axis.padding} has {max(axis.padding)}.",
                *(ways or [f"a larger {axis.axis}"]),
            )


def _other_padding_mode(padding_mode: str, axis: Window, rounding: str) -> list[Advice]:
    """The advice to take ``padding_mode``, where the layout is possible with it."""
    return [Advice("padding_mode", (padding_mode,))] if axis.rounding == rounding else []


def _require_real_cells(axis: Window, laid: Sequence[Window], rounding: str) -> None:
    empty = first_empty(axis)
    if empty is not None:
        raise InputError(
            f'padding_mode "partial" divides by the real cells under the window, and there are none '
            f"under output {empty} of {axis.axis} {axis.size} with kernel_size {axis.kernel_size}, "
            f"dilation {axis.dilation}, stride {axis.stride}, padding {axis.padding}.",
            *padding_under_windows(laid, rounding),
            *_other_padding_mode("zeros", axis, rounding),
        )
