"""Counts of the input cells and padding cells that each output of a window reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxcnn.errors import InputError
from jaxcnn.geometry._symbolic import known
from jaxcnn.geometry.check import integer

if TYPE_CHECKING:
    from jaxcnn.geometry.window import Window


def real_cells(window: Window, outputs: Any) -> Any:
    """For each of ``outputs``, the number of input cells it reads.

    Args:
      outputs: a NumPy or JAX array of output numbers; the result is of the same kind.

    >>> import numpy as np
    >>> from jaxcnn.geometry import Window
    >>> real_cells(Window(7, 3, padding=(1, 1)), np.arange(7)).tolist()
    [2, 3, 3, 3, 3, 3, 2]
    """
    return _taps_between(window, outputs, 0, window.size)


def padded_cells(window: Window, outputs: Any) -> Any:
    """For each of ``outputs``, the number of cells it reads on the padded axis.

    Only an overhanging last window, with ``rounding="ceil"``, reads fewer than the kernel's taps.

    >>> import numpy as np
    >>> from jaxcnn.geometry import Window
    >>> padded_cells(Window(6, 3, stride=2, rounding="ceil"), np.arange(3)).tolist()
    [3, 3, 2]
    """
    low, high = window.padding
    return _taps_between(window, outputs, -low, window.size + high)


def _taps_between(window: Window, outputs: Any, first: int, end: int) -> Any:
    """The number of taps on the cells from ``first`` up to ``end``; tap t is at start + t*d."""
    start = outputs * window.stride - window.padding[0]
    before, until = (-((start - cell) // window.dilation) for cell in (first, end))
    return until.clip(0, window.kernel_size) - before.clip(0, window.kernel_size)


def first_empty_output(window: Window) -> int | None:
    """The first output that reads no cell of the input; None if each output reads one.

    Raises:
      InputError: if the answer depends on a symbolic size.

    >>> from jaxcnn.geometry import Window
    >>> first_empty_output(Window(2, 3, padding=(0, 3))), first_empty_output(Window(2, 1))
    (2, None)
    """
    low, high = window.padding
    if low >= window.extent:
        return 0
    if low and window.dilation > 1 and not known(lambda: window.dilation <= window.size):
        # The whole input may fall between two taps.
        integer(window.axis, window.size, least=1)
        for output in range(min(window.output, -(-low // window.stride))):
            if (output * window.stride - low) % window.dilation >= window.size:
                return output
    if high >= window.extent:
        beyond = -(-(window.size + low) // window.stride)
        past = known(lambda: beyond < window.output)
        if past is None:
            raise InputError(
                f"{window.axis} {window.size} has padding {window.padding}, as wide as the "
                f"{window.extent} cells of a window; it is not known whether each window reads a "
                f"cell of the input; use less padding"
            )
        return beyond if past else None
    return None
