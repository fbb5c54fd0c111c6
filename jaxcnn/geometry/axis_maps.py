"""What one layer reads of its input along one axis, whatever kind of layer it is.

A :class:`StridedAxis` is every regular layout: convolutions, pools, transposed convolutions, paddings,
slices, repetitions, global pools. A :class:`IndexedAxis` lists the cells of each output where there is no
such rule (reflected borders, resizing).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from math import gcd

from jaxcnn.errors import InputError
from jaxcnn.geometry._runs import Runs, merged, places, within
from jaxcnn.geometry.window import Window, effective_kernel_size

OUTSIDE = -(2**62)
"""A cell that lies in no input: padding that no regular layout gives a place."""


@dataclass(frozen=True)
class StridedAxis:
    """Output o reads the cell (o*stride + t - low)/up for every tap t for which that is whole.

    Cells below 0 or from ``size`` on are padding.

    Attributes:
      size: cells of the input.
      output: number of outputs.
      taps: the filter's taps, the first one 0: (0, d, 2d, ...) for a filter of dilation d.
      stride: s, 0 where every output reads the same cells (a broadcast).
      low, high: cells added before and after; negative where cells are cut off.
      up: the input's cells are laid this far apart, with zeros between (a transposed convolution).

    >>> StridedAxis.of(Window(7, 3, 2, (1, 1))).cells(0)
    (-1, 0, 1)
    """

    size: int
    output: int
    taps: tuple[int, ...] = (0,)
    stride: int = 1
    low: int = 0
    high: int = 0
    up: int = 1

    @classmethod
    def of(cls, window: Window) -> StridedAxis:
        """What a window of a convolution or a pool reads."""
        return cls(
            window.size,
            window.output,
            tuple(range(0, window.extent, window.dilation)),
            window.stride,
            window.padding[0],
            window.padding[1] + window.overhang,
        )

    @classmethod
    def laid(
        cls,
        size: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: tuple[int, int] = (0, 0),
        dilation: int = 1,
        up: int = 1,
    ) -> StridedAxis:
        """A filter over cells that lie ``up`` apart, as many outputs as fit (rounded down).

        >>> StridedAxis.laid(224, 7, stride=2, padding=(3, 3)).output
        112
        """
        extent = effective_kernel_size(kernel_size, dilation)
        room = (size - 1) * up + 1 + sum(padding) - extent
        if room < 0:
            raise InputError(
                f"kernel_size {kernel_size}, which spans {extent} cells, is larger than the padded size "
                f"{room + extent}; use padding of {sum(padding) - room} or more in all"
            )
        taps = tuple(range(0, extent, dilation))
        return cls(size, room // stride + 1, taps, stride, *padding, up)

    @classmethod
    def transposed(
        cls,
        size: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: tuple[int, int] = (0, 0),
        dilation: int = 1,
        output_padding: int = 0,
    ) -> StridedAxis:
        """What a transposed convolution reads; sizes as in ``transposed_output_size``.

        >>> StridedAxis.transposed(4, 4, stride=2, padding=(1, 1)).output
        8
        """
        full = effective_kernel_size(kernel_size, dilation) - 1
        around = (full - padding[0], full - padding[1] + output_padding)
        return cls.laid(size, kernel_size, padding=around, dilation=dilation, up=stride)

    @classmethod
    def whole(cls, size: int) -> StridedAxis:
        """One output that reads every cell: a global pool, a dense layer."""
        return cls(size, 1, tuple(range(size)))

    @property
    def extent(self) -> int:
        """Cells from the first tap to the last."""
        return self.taps[-1] + 1

    @property
    def dilation(self) -> int:
        """Cells from one tap to the next."""
        return self.taps[1] - self.taps[0] if len(self.taps) > 1 else 1

    @property
    def unread(self) -> int:
        """Cells at the end of the padded input that no output reaches."""
        spread = (self.size - 1) * self.up + 1
        return max(0, spread + self.low + self.high - self.extent - (self.output - 1) * self.stride)

    @property
    def lost(self) -> int:
        """The cells among :attr:`unread` that belong to the input rather than to its padding."""
        return max(0, self.unread - max(0, self.high)) if self.up == 1 else 0

    @property
    def width(self) -> int:
        """No output reads more cells than this."""
        return len(self.taps)

    @property
    def jump(self) -> Fraction:
        """Input cells from one output to the next."""
        return Fraction(self.stride, self.up)

    def period(self, before: int) -> int:
        """After how many outputs a pattern that repeats every ``before`` inputs repeats itself."""
        spread = before * self.up
        return spread // gcd(spread, self.stride) if self.stride else 1

    def cells(self, output: int) -> tuple[int, ...]:
        """The cells that an output reads, padding included; ``output`` may lie outside."""
        start = output * self.stride - self.low
        if self.up == 1:
            return tuple(start + tap for tap in self.taps)
        return tuple((start + tap) // self.up for tap in self.taps if (start + tap) % self.up == 0)

    def read_by(self, outputs: Runs) -> Runs:
        """The cells that any of ``outputs`` reads, padding included.

        >>> StridedAxis.of(Window(9, 3, 2)).read_by(((0, 4),))
        ((0, 9),)
        """
        spread: list[tuple[int, int]] = []
        for first, end in outputs:
            for tap, after in self._tap_runs:
                if self.stride <= after - tap:  # one output's run meets the next one's
                    spread.append((first * self.stride + tap, (end - 1) * self.stride + after))
                else:
                    starts = range(first * self.stride, end * self.stride, self.stride)
                    spread.extend((start + tap, start + after) for start in starts)
        return merged(
            (-((self.low - first) // self.up), -((self.low - end) // self.up))
            for first, end in spread
        )

    @cached_property
    def _tap_runs(self) -> Runs:
        return merged((tap, tap + 1) for tap in self.taps)


@dataclass(frozen=True)
class IndexedAxis:
    """Output o reads the cells ``rows[o]``; those below 0 or from ``size`` on are padding.

    >>> IndexedAxis(4, ((1,), (0,), (1,), (2,), (3,), (2,))).cells(0)
    (1,)
    """

    size: int
    rows: tuple[tuple[int, ...], ...]

    @property
    def output(self) -> int:
        return len(self.rows)

    @property
    def width(self) -> int:
        """No output reads more cells than this."""
        return max(map(len, self.rows))

    @property
    def jump(self) -> Fraction:
        """Input cells from one output to the next: one where cells are only moved about, as at a
        reflected border, else the size by the number of outputs.
        """
        quarter = len(self.rows) // 4
        middle = self.rows[quarter : len(self.rows) - quarter]
        moves = {b[0] - a[0] if a and b else 0 for a, b in pairwise(middle)}
        if moves <= {1, -1} and len(moves) <= 1:
            return Fraction(1)
        return Fraction(self.size, len(self.rows))

    def period(self, before: int) -> int:
        """As for :class:`StridedAxis`: no output need be like another."""
        return self.output

    def cells(self, output: int) -> tuple[int, ...]:
        """The cells that an output reads; none for outputs that do not exist."""
        return self.rows[output] if 0 <= output < len(self.rows) else ()

    def read_by(self, outputs: Runs) -> Runs:
        """As for :class:`StridedAxis`; padding that has no place is left out."""
        rows = (self.rows[o] for o in places(within(outputs, len(self.rows))))
        return merged((cell, cell + 1) for row in rows for cell in row if cell != OUTSIDE)


AxisMap = StridedAxis | IndexedAxis


def axis_map_of(size: int, rows: tuple[tuple[int, ...], ...]) -> AxisMap:
    """The regular layout in which output o reads the cells ``rows[o]``, or the table of them.

    >>> axis_map_of(4, ((-1, 0), (1, 2), (3, 4)))
    StridedAxis(size=4, output=3, taps=(0, 1), stride=2, low=1, high=1, up=1)
    >>> axis_map_of(2, ((0,), (OUTSIDE,), (1,))).up
    2
    """
    first = rows[0]
    stride = rows[1][0] - first[0] if len(rows) > 1 and first and rows[1] else 1
    if first and OUTSIDE not in first and stride >= 0:
        taps = tuple(cell - first[0] for cell in first)
        if all(
            row == tuple(first[0] + o * stride + tap for tap in taps) for o, row in enumerate(rows)
        ):
            end = first[0] + (len(rows) - 1) * stride + taps[-1] + 1
            return StridedAxis(size, len(rows), taps, stride, -first[0], end - size)
    if len(rows) % size == 0:  # every cell so many times
        times = len(rows) // size
        taps = tuple(range(times))
        repeated = StridedAxis(size, len(rows), taps, 1, times - 1, times - 1, times)
        if all(row == repeated.cells(o) for o, row in enumerate(rows)):
            return repeated
    real = [o for o, row in enumerate(rows) if row != (OUTSIDE,)]
    if len(real) > 1:  # zeros between cells
        low, up = real[0], real[1] - real[0]
        spread = StridedAxis(
            size, len(rows), (0,), 1, low, len(rows) - low - (size - 1) * up - 1, up
        )
        if all(row == _within(spread, o) for o, row in enumerate(rows)):
            return spread
    return IndexedAxis(size, rows)


def _within(step: StridedAxis, output: int) -> tuple[int, ...]:
    inside = tuple(cell for cell in step.cells(output) if 0 <= cell < step.size)
    return inside or (OUTSIDE,)
