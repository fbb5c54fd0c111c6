"""Which cells of the input an output reads, how often, and how much of what it reads is padding.

A network is a graph: every feature map is the input, or is read from others by one
:class:`~jaxcnn.geometry.axis_maps.AxisMap` an axis. What an output reads is found by walking the graph
back to the input; what padding lets in, by walking it forward. A path is a way from an output to a
cell, tap by tap and branch by branch: in a linear network whose weights are all one, the gradient
of the output with respect to the cell is the number of paths between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import count
from math import lcm, prod
from typing import TYPE_CHECKING

from jaxcnn.errors import InputError
from jaxcnn.geometry._runs import Runs, merged, places, within
from jaxcnn.geometry.axis_maps import AxisMap, IndexedAxis, StridedAxis
from jaxcnn.geometry.receptive_field import ReceptiveField
from jaxcnn.geometry.window import Window

if TYPE_CHECKING:
    import numpy as np

_serials = count()


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """A feature map of a network, by what it reads.

    Made by :meth:`of_input`, :meth:`apply` and :meth:`merge`.

    Attributes:
      sizes: cells on each axis.
      sources: the maps it is read from, each with the step on every axis, None where the axis is
        taken as it is; empty for the input.
      jumps: input cells from one output to the next on each axis; a fraction after a transposed
        convolution. Where branches differ, the largest.
      periods: after how many outputs on each axis the pattern of what is read repeats.
      most_paths: no output has more paths to the input than this.

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
        paths = [p.most_paths * prod(s.width for s in steps if s) for p, steps in self.sources]
        put = object.__setattr__
        put(self, "jumps", tuple(jumps))
        put(self, "periods", tuple(periods))
        put(self, "most_paths", sum(paths) if paths else 1)

    @classmethod
    def of_input(cls, sizes: Sequence[int]) -> FeatureMap:
        """The network's input: every cell reads itself."""
        return cls(tuple(sizes))

    def apply(self, *layout: Window | AxisMap | None) -> FeatureMap:
        """The map that a layer makes of this one, given its layout on each axis.

        Raises:
          InputError: where the layout is for another number of axes, or for other sizes.
        """
        steps = tuple(StridedAxis.of(s) if isinstance(s, Window) else s for s in layout)
        expected = tuple(
            n if s is None else s.size for n, s in zip(self.sizes, steps, strict=False)
        )
        if len(steps) != len(self.sizes) or expected != self.sizes:
            raise InputError(
                f"a layer laid over sizes {tuple(s and s.size for s in steps)} cannot read a map "
                f"of sizes {self.sizes}; give one layout for each axis, of that axis's size"
            )
        sizes = tuple(n if s is None else s.output for n, s in zip(self.sizes, steps, strict=True))
        return FeatureMap(sizes, ((self, steps),))

    @classmethod
    def merge(cls, *maps: FeatureMap) -> FeatureMap:
        """The map whose every cell reads the cell at its place in each of ``maps``: a sum, or a
        concatenation of channels.
        """
        if not maps or len({m.sizes for m in maps}) != 1:
            raise InputError(
                f"maps of sizes {[m.sizes for m in maps]} cannot be joined; give one or more, all "
                f"of one size"
            )
        return cls(maps[0].sizes, tuple((m, (None,) * len(m.sizes)) for m in maps))

    @cached_property
    def order(self) -> tuple[FeatureMap, ...]:
        """Every map this one depends on, itself included, each after what it is read from."""
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
        """The cells of the input's axis that ``output`` reads, those in its padding included.

        Padding inside the network is no cell of the input and leads to none: nothing is read
        through it, as :meth:`counts` has it too. With ``until``, the cells of the first maps on the
        way back for which it is true.

        >>> dilated = FeatureMap.of_input((3,)).apply(Window(3, 2, dilation=2, padding=(1, 1)))
        >>> dilated.apply(Window(3, 2, padding=(1, 1))).cells_read(0, 0)
        (-1, 1)
        """
        return places(self._walk(axis, output, until))

    def span(self, axis: int, output: int) -> tuple[int, int] | None:
        """The first and the last of :meth:`cells_read`; None where nothing is read."""
        return _ends(self._walk(axis, output))

    def _walk(
        self,
        axis: int,
        output: int,
        until: Callable[[FeatureMap], bool] | None = None,
        *,
        borders: bool = True,
    ) -> Runs:
        """The cells that ``output`` reads; without ``borders``, as if every map went on."""
        found: dict[FeatureMap, Runs] = {self: ((output, output + 1),)}
        reached: Runs = ()
        for m in reversed(self.order):
            cells = found.pop(m, ())
            if not m.sources or (until is not None and until(m)):
                reached = merged((*reached, *cells))
                continue
            if borders:
                cells = within(cells, m.sizes[axis])
            for parent, steps in m.sources:
                step = steps[axis]
                back = cells if step is None else step.read_by(cells)
                found[parent] = merged((*found.get(parent, ()), *back))
        return reached

    @cached_property
    def fields(self) -> tuple[ReceptiveField, ...]:
        """The receptive field on each axis, which is stated for maps that go on beyond the borders.

        Outputs whose field reaches over a border read less: see :meth:`cells_read`. Where outputs
        differ in phase (after transposed convolutions) the size is the largest; where there is no
        regular layout (borders that wrap around), the largest of the middle half.
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
        """How many paths lead from one output to each cell of the input; zero where none does."""
        from jaxcnn.geometry import _sweeps

        return _sweeps.counts(self, tuple(output))

    def read(self) -> np.ndarray:
        """For each cell of the input, whether any output reads it."""
        from jaxcnn.geometry import _sweeps

        return _sweeps.read(self)

    def unread(self) -> tuple[tuple[int, ...], ...]:
        """On each axis of the input, the rows (columns, ...) of which no cell is ever read.

        >>> FeatureMap.of_input((6, 6)).apply(Window(6, 1, 2, rounding="floor"), None).unread()
        ((1, 3, 5), ())
        """
        from jaxcnn.geometry import _sweeps

        return _sweeps.unread(self)

    def padding_share(self) -> np.ndarray:
        """For each output, the share of its paths that end in padding instead of in the input.

        Paths are counted as on an input without borders: a padding cell inside the network stands
        for all that would have led on from it.

        >>> [round(float(share), 2) for share in FeatureMap.of_input((4,)).apply(
        ...     Window(4, 3, padding=(1, 1))).padding_share()]
        [0.33, 0.0, 0.0, 0.33]
        """
        return self.padding_shares()[self]

    def padding_shares(self) -> dict[FeatureMap, np.ndarray]:
        """:meth:`padding_share` of this map and of every map it depends on, in one walk."""
        from jaxcnn.geometry import _sweeps

        return _sweeps.padding_shares(self)


def _ends(runs: Runs) -> tuple[int, int] | None:
    return (runs[0][0], runs[-1][1] - 1) if runs else None
