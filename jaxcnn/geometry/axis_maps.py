"""The cells that one layer reads along one axis, for layers of every kind.

:class:`StridedAxis` describes every regular layout: convolutions, pools, transposed convolutions,
paddings, slices, repetitions, global pools. :class:`IndexedAxis` lists the cells of each output
if the layout is irregular (reflected borders, resizing).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from math import gcd

from jaxcnn.geometry._intervals import Intervals, clip, positions, union
from jaxcnn.geometry.window import Window

OUTSIDE = -(2**62)
"""A padding cell whose position does not matter."""


@dataclass(frozen=True)
class StridedAxis:
    """Output o reads the cells (o*stride + t - low)/input_dilation that are whole, for each tap t.

    Cells below 0 or from ``size`` on are padding.

    Attributes:
      size: cells of the input.
      output: number of outputs.
      taps: the kernel's taps, the first one 0: (0, d, 2d, ...) for a kernel of dilation d.
      stride: s; 0 if every output reads the same cells (a broadcast).
      low, high: cells added before and after; negative numbers cut cells off.
      input_dilation: the distance between input cells, with zeros between them (a transposed
        convolution); ``lhs_dilation`` in lax.

    >>> StridedAxis.from_window(Window(7, 3, 2, (1, 1))).cells(0)
    (-1, 0, 1)
    """

    size: int
    output: int
    taps: tuple[int, ...] = (0,)
    stride: int = 1
    low: int = 0
    high: int = 0
    input_dilation: int = 1

    @classmethod
    def from_window(cls, window: Window, *, input_dilation: int = 1) -> StridedAxis:
        """The map of a convolution or a pool.

        Args:
          window: a window on the dilated input, which has ``(size - 1)*input_dilation + 1`` cells.
        """
        low, high = window.padding
        return cls(
            (window.size - 1) // input_dilation + 1,
            window.output,
            tuple(range(0, window.extent, window.dilation)),
            window.stride,
            low,
            high + window.overhang,
            input_dilation,
        )

    @classmethod
    def sliding_window(
        cls,
        size: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: tuple[int, int] = (0, 0),
        dilation: int = 1,
        input_dilation: int = 1,
    ) -> StridedAxis:
        """The map of a convolution or a pool in lax's terms, which rounds the outputs down.

        Raises:
          InputError: if the kernel is larger than the padded input.

        >>> StridedAxis.sliding_window(224, 7, stride=2, padding=(3, 3)).output
        112
        """
        dilated = (size - 1) * input_dilation + 1
        window = Window(dilated, kernel_size, stride, padding, dilation, "floor")
        return cls.from_window(window, input_dilation=input_dilation)

    @classmethod
    def transposed(cls, window: Window) -> StridedAxis:
        """The map of a transposed convolution: output o reads the cells whose windows read o.

        Args:
          window: the convolution's window, from :func:`jaxcnn.geometry.transposed_window`.

        >>> StridedAxis.transposed(Window(8, 4, 2, (1, 1))).output
        8
        """
        before = window.extent - 1 - window.padding[0]
        dilated = (window.output - 1) * window.stride + 1
        after = window.size + window.extent - 1 - before - dilated
        return cls.sliding_window(
            window.output,
            window.kernel_size,
            padding=(before, after),
            dilation=window.dilation,
            input_dilation=window.stride,
        )

    @classmethod
    def reduction(cls, size: int) -> StridedAxis:
        """The map with one output that reads every cell: a global pool, a dense layer."""
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
        """Cells at the end of the padded input that no output reads."""
        padded = (self.size - 1) * self.input_dilation + 1 + self.low + self.high
        return max(0, padded - self.extent - (self.output - 1) * self.stride)

    @property
    def lost(self) -> int:
        """The cells among :attr:`unread` that belong to the input rather than to its padding."""
        return max(0, self.unread - max(0, self.high)) if self.input_dilation == 1 else 0

    @property
    def most_cells(self) -> int:
        """An upper bound on the cells that one output reads."""
        return len(self.taps)

    @property
    def jump(self) -> Fraction:
        """Input cells from one output to the next."""
        return Fraction(self.stride, self.input_dilation)

    def period(self, before: int) -> int:
        """The period, in outputs, of a pattern that repeats every ``before`` inputs."""
        dilated = before * self.input_dilation
        return dilated // gcd(dilated, self.stride) if self.stride else 1

    def cells(self, output: int) -> tuple[int, ...]:
        """The cells that an output reads, with padding; ``output`` may be outside the axis."""
        start, step = output * self.stride - self.low, self.input_dilation
        if step == 1:
            return tuple(start + tap for tap in self.taps)
        return tuple((start + tap) // step for tap in self.taps if (start + tap) % step == 0)

    def read_by(self, outputs: Intervals) -> Intervals:
        """The cells that any of ``outputs`` reads, with padding.

        >>> StridedAxis.from_window(Window(9, 3, 2)).read_by(((0, 4),))
        ((0, 9),)
        """
        dilated: list[tuple[int, int]] = []
        for first, end in outputs:
            for tap, after in self._tap_intervals:
                if self.stride <= after - tap:  # consecutive outputs read adjacent cells
                    dilated.append((first * self.stride + tap, (end - 1) * self.stride + after))
                else:
                    starts = range(first * self.stride, end * self.stride, self.stride)
                    dilated.extend((start + tap, start + after) for start in starts)
        return union(
            (
                -((self.low - first) // self.input_dilation),
                -((self.low - end) // self.input_dilation),
            )
            for first, end in dilated
        )

    @cached_property
    def _tap_intervals(self) -> Intervals:
        return union((tap, tap + 1) for tap in self.taps)


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
        """Number of outputs."""
        return len(self.rows)

    @property
    def most_cells(self) -> int:
        """The largest number of cells that one output reads."""
        return max(map(len, self.rows))

    @property
    def jump(self) -> Fraction:
        """Input cells from one output to the next.

        This is 1 if the outputs in the middle read consecutive cells, as with a reflected border;
        otherwise it is the input's size divided by the number of outputs.
        """
        quarter = len(self.rows) // 4
        middle = self.rows[quarter : len(self.rows) - quarter]
        moves = {b[0] - a[0] if a and b else 0 for a, b in pairwise(middle)}
        if moves <= {1, -1} and len(moves) <= 1:
            return Fraction(1)
        return Fraction(self.size, len(self.rows))

    def period(self, _before: int) -> int:
        """The number of outputs, because a table may have no shorter period."""
        return self.output

    def cells(self, output: int) -> tuple[int, ...]:
        """The cells that an output reads; none if ``output`` is outside the axis."""
        return self.rows[output] if 0 <= output < len(self.rows) else ()

    def read_by(self, outputs: Intervals) -> Intervals:
        """The cells that any of ``outputs`` reads, without :data:`OUTSIDE`."""
        rows = (self.rows[o] for o in positions(clip(outputs, len(self.rows))))
        return union((cell, cell + 1) for row in rows for cell in row if cell != OUTSIDE)


AxisMap = StridedAxis | IndexedAxis


def axis_map_of(size: int, rows: tuple[tuple[int, ...], ...]) -> AxisMap:
    """The map whose output o reads the cells ``rows[o]``: regular if possible, else a table.

    >>> axis_map_of(4, ((-1, 0), (1, 2), (3, 4)))
    StridedAxis(size=4, output=3, taps=(0, 1), stride=2, low=1, high=1, input_dilation=1)
    >>> axis_map_of(2, ((0,), (OUTSIDE,), (1,))).input_dilation
    2
    """
    return (
        _as_window(size, rows)
        or _as_repetition(size, rows)
        or _as_dilation(size, rows)
        or IndexedAxis(size, rows)
    )


def _as_window(size: int, rows: tuple[tuple[int, ...], ...]) -> StridedAxis | None:
    """The map of a window that moves by a constant stride."""
    first = rows[0]
    stride = rows[1][0] - first[0] if len(rows) > 1 and first and rows[1] else 1
    if not first or OUTSIDE in first or stride < 0:
        return None
    taps = tuple(cell - first[0] for cell in first)
    if any(row != tuple(first[0] + o * stride + t for t in taps) for o, row in enumerate(rows)):
        return None
    end = first[0] + (len(rows) - 1) * stride + taps[-1] + 1
    return StridedAxis(size, len(rows), taps, stride, -first[0], end - size)


def _as_repetition(size: int, rows: tuple[tuple[int, ...], ...]) -> StridedAxis | None:
    """The map that repeats every cell equally often."""
    times, rest = divmod(len(rows), size)
    if rest:
        return None
    repeated = StridedAxis(
        size, len(rows), tuple(range(times)), 1, times - 1, times - 1, input_dilation=times
    )
    return repeated if all(row == repeated.cells(o) for o, row in enumerate(rows)) else None


def _as_dilation(size: int, rows: tuple[tuple[int, ...], ...]) -> StridedAxis | None:
    """The map that inserts the same number of zeros between any two cells."""
    real = [o for o, row in enumerate(rows) if row != (OUTSIDE,)]
    if len(real) < 2:
        return None
    low, step = real[0], real[1] - real[0]
    high = len(rows) - low - (size - 1) * step - 1
    dilated = StridedAxis(size, len(rows), (0,), 1, low, high, input_dilation=step)
    return dilated if all(row == _real_cells(dilated, o) for o, row in enumerate(rows)) else None


def _real_cells(step: StridedAxis, output: int) -> tuple[int, ...]:
    inside = tuple(cell for cell in step.cells(output) if 0 <= cell < step.size)
    return inside or (OUTSIDE,)
