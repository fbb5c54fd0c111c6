"""The cells of a network's input that an output reads, how often, and how much is padding.

A network is a graph of feature maps. A map is either the input, or is computed from other maps with
one :class:`~jaxcnn.geometry.axis_maps.AxisMap` for each axis. A backward walk of the graph finds
the cells that an output reads; a forward walk finds how much of that is padding. A path leads from
an output to a cell through one tap of every layer on the way. In a linear network whose weights are
all one, the gradient of the output with respect to the cell is the number of paths between them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import count
from math import lcm, prod
from typing import TYPE_CHECKING

from jaxcnn.errors import InputError
from jaxcnn.geometry._intervals import Intervals, clip, positions, union
from jaxcnn.geometry.axis_maps import AxisMap, IndexedAxis, StridedAxis
from jaxcnn.geometry.receptive_field import ReceptiveField
from jaxcnn.geometry.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

_serials = count()


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """A feature map of a network, described by the cells it reads.

    Create one with :meth:`of_input`, :meth:`apply` or :meth:`merge`.

    Attributes:
      sizes: cells on each axis.
      sources: the maps that this map reads, each with its axis maps; None instead of an axis map
        leaves the axis unchanged. Empty for the input.
      jumps: input cells from one output to the next on each axis; a fraction after a transposed
        convolution; the largest one if branches differ.
      periods: on each axis, the number of outputs after which the pattern of cells read repeats.
      most_paths: an upper bound on the paths from one output to the input.

    >>> image = FeatureMap.of_input((9,))
    >>> dilated = image.apply(Window(9, 3, dilation=2))
    >>> dilated.cells_read(0, 2), dilated.fields
    ((2, 4, 6), (ReceptiveField(size=5, jump=1, start=0),))
    >>> FeatureMap.merge(dilated, image.apply(Window(9, 5))).counts((0,)).tolist()
    [2, 1, 2, 1, 2, 0, 0, 0, 0]
    """

    sizes: tuple[int, ...]
    sources: tuple[tuple[FeatureMap, tuple[AxisMap | None, ...]], ...] = ()
    serial: int = field(default_factory=lambda: next(_serials), init=False, repr=False)
    jumps: tuple[Fraction, ...] = field(init=False, repr=False)
    periods: tuple[int, ...] = field(init=False, repr=False)
    most_paths: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        jumps, periods = [], []
        for axis in range(len(self.sizes)):
            steps = [(parent, steps[axis]) for parent, steps in self.sources]
            moved = [p.jumps[axis] * (1 if s is None else s.jump) for p, s in steps]
            jumps.append(max(moved, default=Fraction(1)))
            repeats = [
                p.periods[axis] if s is None else s.period(p.periods[axis]) for p, s in steps
            ]
            periods.append(lcm(*repeats))
        paths = [p.most_paths * prod(s.most_cells for s in steps if s) for p, steps in self.sources]
        put = object.__setattr__
        put(self, "jumps", tuple(jumps))
        put(self, "periods", tuple(periods))
        put(self, "most_paths", sum(paths) if paths else 1)

    @classmethod
    def of_input(cls, sizes: Sequence[int]) -> FeatureMap:
        """The network's input; every cell reads itself."""
        return cls(tuple(sizes))

    def apply(self, *axes: Window | AxisMap | None) -> FeatureMap:
        """The feature map that a layer computes from this one.

        Args:
          axes: the layer's window or axis map on each axis; None leaves the axis unchanged.

        Raises:
          InputError: if ``axes`` are for another number of axes, or for other sizes.
        """
        steps = tuple(StridedAxis.from_window(a) if isinstance(a, Window) else a for a in axes)
        expected = tuple(
            n if s is None else s.size for n, s in zip(self.sizes, steps, strict=False)
        )
        if len(steps) != len(self.sizes) or expected != self.sizes:
            raise InputError(
                f"a layer for sizes {tuple(s and s.size for s in steps)} cannot read a map of "
                f"sizes {self.sizes}; give one window or axis map for each axis, of its size"
            )
        sizes = tuple(n if s is None else s.output for n, s in zip(self.sizes, steps, strict=True))
        return FeatureMap(sizes, ((self, steps),))

    @classmethod
    def merge(cls, *maps: FeatureMap) -> FeatureMap:
        """The map of a sum or of concatenated channels: a cell reads the same cell of each map.

        Raises:
          InputError: if there is no map, or if their sizes differ.
        """
        if not maps or len({m.sizes for m in maps}) != 1:
            raise InputError(
                f"maps of sizes {[m.sizes for m in maps]} cannot be merged; give one or more, all "
                f"of one size"
            )
        return cls(maps[0].sizes, tuple((m, (None,) * len(m.sizes)) for m in maps))

    @cached_property
    def order(self) -> tuple[FeatureMap, ...]:
        """This map and every map it depends on, sources first."""
        found: set[FeatureMap] = {self}
        waiting: list[FeatureMap] = [self]
        while waiting:
            for parent, _ in waiting.pop().sources:
                if parent not in found:
                    found.add(parent)
                    waiting.append(parent)
        return tuple(sorted(found, key=lambda m: m.serial))

    def cells_read(
        self, axis: int, output: int, *, until: Callable[[FeatureMap], bool] | None = None
    ) -> tuple[int, ...]:
        """The cells of the input and of its padding that ``output`` reads along one axis.

        The padding of an inner map leads to no cell of the input, as in :meth:`counts`.

        Args:
          axis: the number of the axis.
          output: the number of the output on that axis.
          until: a condition; the walk stops at maps that meet it and returns their cells.

        >>> dilated = FeatureMap.of_input((3,)).apply(Window(3, 2, dilation=2, padding=(1, 1)))
        >>> dilated.apply(Window(3, 2, padding=(1, 1))).cells_read(0, 0)
        (-1, 1)
        """
        return positions(self._walk(axis, output, until))

    def span(self, axis: int, output: int) -> tuple[int, int] | None:
        """The first and the last of :meth:`cells_read`; None if there are none."""
        return _ends(self._walk(axis, output))

    def _walk(
        self,
        axis: int,
        output: int,
        until: Callable[[FeatureMap], bool] | None = None,
        *,
        borders: bool = True,
    ) -> Intervals:
        """The cells that ``output`` reads; without ``borders``, maps extend beyond their ends."""
        found: dict[FeatureMap, Intervals] = {self: ((output, output + 1),)}
        reached: Intervals = ()
        for m in reversed(self.order):
            cells = found.pop(m, ())
            if not m.sources or (until is not None and until(m)):
                reached = union((*reached, *cells))
                continue
            if borders:
                cells = clip(cells, m.sizes[axis])
            for parent, steps in m.sources:
                step = steps[axis]
                back = cells if step is None else step.read_by(cells)
                found[parent] = union((*found.get(parent, ()), *back))
        return reached

    @cached_property
    def fields(self) -> tuple[ReceptiveField, ...]:
        """The receptive field on each axis, as if the maps had no borders.

        Outputs near a border may read less: see :meth:`cells_read`. After transposed convolutions
        outputs may differ; the size is the largest one. In an irregular layout (borders that wrap
        around), it is the largest one in the middle half.
        """
        return tuple(map(self._field, range(len(self.sizes))))

    def _field(self, axis: int) -> ReceptiveField:
        jump, size = self.jumps[axis], self.sizes[axis]
        steps = (steps[axis] for m in self.order for _, steps in m.sources)
        irregular = any(isinstance(step, IndexedAxis) for step in steps)
        period = min(self.periods[axis], max(1, size // 2) if irregular else size)
        middle = (size - period) // 2
        outputs = range(middle, middle + period)
        spans = [_ends(self._walk(axis, output, borders=False)) for output in outputs]
        widest = max((last - first + 1 for first, last in filter(None, spans)), default=0)
        start = _ends(self._walk(axis, 0, borders=False))
        return ReceptiveField(
            widest, int(jump) if jump.denominator == 1 else jump, start[0] if start else 0
        )

    def counts(self, output: Sequence[int]) -> np.ndarray:
        """The number of paths from one output to each cell, as an array of the input's sizes."""
        from jaxcnn.geometry import _path_counts  # needs NumPy

        return _path_counts.counts(self, tuple(output))

    def read(self) -> np.ndarray:
        """An array of bools: whether any output reads each cell of the input."""
        from jaxcnn.geometry import _path_counts  # needs NumPy

        return _path_counts.read(self)

    def unread(self) -> tuple[tuple[int, ...], ...]:
        """On each axis of the input, the rows (columns, ...) that no output reads.

        >>> FeatureMap.of_input((6, 6)).apply(Window(6, 1, 2, rounding="floor"), None).unread()
        ((1, 3, 5), ())
        """
        from jaxcnn.geometry import _path_counts  # needs NumPy

        return _path_counts.unread(self)

    def padding_share(self) -> np.ndarray:
        """For each output, the share of its paths that end in padding.

        Paths are counted as in a network without borders: a padding cell of an inner map counts
        all the paths that would continue from it.

        >>> [round(float(share), 2) for share in FeatureMap.of_input((4,)).apply(
        ...     Window(4, 3, padding=(1, 1))).padding_share()]
        [0.33, 0.0, 0.0, 0.33]
        """
        return self.padding_shares()[self]

    def padding_shares(self) -> dict[FeatureMap, np.ndarray]:
        """:meth:`padding_share` of this map and of every map it depends on, computed together."""
        from jaxcnn.geometry import _path_counts  # needs NumPy

        return _path_counts.padding_shares(self)


def _ends(cells: Intervals) -> tuple[int, int] | None:
    return (cells[0][0], cells[-1][1] - 1) if cells else None
