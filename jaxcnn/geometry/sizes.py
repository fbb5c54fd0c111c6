"""Output sizes on one axis or several, and the nearest exact sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxcnn.errors import InputError
from jaxcnn.geometry.check import integer
from jaxcnn.geometry.padding import Padding, resolve_axis_padding
from jaxcnn.geometry.placement import place_windows
from jaxcnn.geometry.window import Window, effective_kernel_size

if TYPE_CHECKING:
    from collections.abc import Sequence


def output_size(
    size: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: str | int | tuple[int, int] = 0,
    dilation: int = 1,
    rounding: str = "exact",
) -> int:
    """The number of outputs on one axis, k = (N + lo + hi - F')/s + 1.

    Args:
      size: N, cells on the axis.
      kernel_size: F, taps.
      stride: s, in cells.
      padding: cells on both sides, a pair (before, after), or a name.
      dilation: d, cells from tap to tap.
      rounding: ``"exact"``; ``"floor"`` drops cells at the end that no window reads; ``"ceil"``
        reads them with one more window.

    Raises:
      InputError: if k < 1, or if k is not whole and ``rounding`` is ``"exact"``.
      TypeError: if a number is not an integer.

    >>> output_size(7, 3), output_size(7, 3, stride=2), output_size(7, 3, padding=1)
    (5, 3, 7)
    >>> output_size(7, 3, stride=3)
    Traceback (most recent call last):
    jaxcnn.errors.InputError: size 7 with kernel_size 3, stride 3, padding (0, 0) gives \
(7 + 0 + 0 - 3)/3 + 1 = 2.333... outputs; 2.333... is not an integer: 1 row at the end would \
never be read. Use padding=(0, 2), size 6 or 9, or rounding="floor" to drop it.
    """
    pair = resolve_axis_padding(padding, size, kernel_size, stride=stride, dilation=dilation)
    return Window(size, kernel_size, stride, pair, dilation, rounding).output


def output_sizes(
    sizes: Sequence[int],
    kernel_sizes: int | Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
) -> tuple[int, ...]:
    """:func:`output_size` on several axes; each argument has one value for all axes or for each.

    >>> output_sizes((7, 9), 3, stride=(1, 2), padding="SAME")
    (7, 5)
    """
    windows = place_windows(
        sizes, kernel_sizes, stride=stride, padding=padding, dilation=dilation, rounding=rounding
    )
    return tuple(window.output for window in windows)


def exact_sizes(
    size: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: str | int | tuple[int, int] = 0,
    dilation: int = 1,
) -> tuple[int, ...]:
    """The sizes nearest to ``size`` that give a whole k: ``size``, or one below and one above.

    >>> exact_sizes(224, 7, stride=2, padding=3)
    (223, 225)
    >>> exact_sizes(223, 7, stride=2, padding=3)
    (223,)
    """
    size = integer("size", size, least=1)
    stride = integer("stride", stride, least=1)
    layout = {"stride": stride, "dilation": dilation}

    def is_exact(candidate: int) -> bool:
        pair = resolve_axis_padding(padding, candidate, kernel_size, **layout)
        try:
            Window(candidate, kernel_size, stride, pair, dilation)
        except InputError:
            return False
        return True

    if is_exact(size):
        return (size,)
    # Remainders repeat with the stride, and a window fits on every size from the extent upwards.
    reach = stride + max(size, effective_kernel_size(kernel_size, dilation))
    below = next((n for n in range(size - 1, 0, -1) if is_exact(n)), None)
    above = next((n for n in range(size + 1, reach + 1) if is_exact(n)), None)
    return tuple(n for n in (below, above) if n is not None)
