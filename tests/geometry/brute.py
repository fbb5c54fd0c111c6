"""Placements of windows, counted by moving the window until it no longer fits."""

from __future__ import annotations

from itertools import product

from jaxcnn.geometry import Window


def placements(
    size: int,
    kernel_size: int,
    *,
    stride: int,
    padding: tuple[int, int],
    dilation: int,
    overhang: bool = False,
) -> list[list[int]]:
    """The cells under the taps of each placement that fits; cell 0 is the input's first cell.

    With ``overhang`` one more placement reads the remaining cells, if there are any. The last
    placement is left out if it starts beyond the input.
    """
    low, high = padding
    found, first = [], -low
    while True:
        cells = [first + dilation * tap for tap in range(kernel_size)]
        if cells[-1] >= size + high:
            break
        found.append(cells)
        first += stride
    if overhang and found:
        if found[-1][-1] < size + high - 1:
            found.append(cells)
        if found[-1][0] >= size:
            found.pop()
    return found


def small_cases():
    """Every layout with N <= 9, F <= 4, s <= 3, p <= 2 on each side, d <= 2."""
    for size, kernel_size, stride, low, high, dilation in product(
        range(1, 10), range(1, 5), range(1, 4), range(3), range(3), range(1, 3)
    ):
        yield size, kernel_size, {"stride": stride, "padding": (low, high), "dilation": dilation}


def placed_windows():
    """Windows with and without an overhanging placement, and the placements of each."""
    for size, kernel_size, layout in small_cases():
        for rounding in ("floor", "ceil"):
            found = placements(size, kernel_size, overhang=rounding == "ceil", **layout)
            if found:
                yield Window(size, kernel_size, rounding=rounding, **layout), found
