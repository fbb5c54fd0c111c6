"""The cells and the padding that the windows along one axis read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxcnn.geometry.axis_maps import StridedAxis


def real_share(window: StridedAxis) -> float:
    """The share of what the windows read that is cells rather than padding."""
    read = real = 0
    for first, step, outputs in _progressions(window):
        before, until = (-((first - cell) // step) for cell in (0, window.size))
        real += int((until.clip(0, outputs) - before.clip(0, outputs)).sum())
        read += outputs * len(first)
    return real / max(1, read)


def drops_rows(window: StridedAxis) -> bool:
    """Whether windows skip more cells at the end than between each other."""
    gap = max(0, window.stride - window.extent)
    return window.input_dilation == 1 and gap < window.unread < window.stride


def cells_read(window: StridedAxis) -> np.ndarray:
    """Whether each cell is read, without the cells dropped at the end."""
    read = np.zeros(window.size, bool)
    for cells, step, outputs in _progressions(window):
        for first in cells.tolist():
            end = max(0, first + step * (outputs - 1) + 1)
            read[first if first >= 0 else first % step : end : step] = True
    last = window.cells(window.output - 1)[-1] if drops_rows(window) else window.size - 1
    return read[: max(0, last + 1)]


def _progressions(window: StridedAxis) -> Iterator[tuple[np.ndarray, int, int]]:
    """The positions that the windows read, as progressions (first cells, step, number)."""
    period = window.period(1)  # outputs a period apart read cells a whole step apart
    step = int(period * window.jump)
    for phase in range(min(period, window.output)):
        outputs = len(range(phase, window.output, period))
        # If all outputs read the same cells, one output counts for all.
        yield np.array(window.cells(phase), int), step or 1, outputs if step else 1
