"""Receptive fields of chains of windows, on one axis.

A window of extent F', stride s and padding (lo, hi) turns a field of size r, jump j and start a
into a field of size r + (F' - 1)j, jump s*j and start a - lo*j. Source: A. Araujo, W. Norris,
J. Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019,
doi:10.23915/distill.00021. For graphs and transposed convolutions see
:class:`jaxcnn.geometry.feature_map.FeatureMap`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from fractions import Fraction

    from jaxcnn.geometry.window import Window


@dataclass(frozen=True)
class ReceptiveField:
    """The interval of a network's input that one output reads, far from the borders.

    Borders are ignored, as if every map continued beyond them. An output near a border may read
    less, because the padding of an inner map is not part of the input;
    :meth:`jaxcnn.geometry.feature_map.FeatureMap.cells_read` gives the exact cells.

    Attributes:
      size: cells from the first to the last that the output reads, with padding.
      jump: the distance in input cells between the fields of neighbouring outputs; a fraction
        after a transposed convolution, which has several outputs for each cell.
      start: the first cell of output 0's field; negative where it begins in the padding.

    After a window on a map with a fractional jump, size and start are fractions too.

    >>> from jaxcnn.geometry import Window
    >>> ReceptiveField().apply(Window(7, 3, padding=(1, 1)))
    ReceptiveField(size=3, jump=1, start=-1)
    """

    size: int | Fraction = 1
    jump: int | Fraction = 1
    start: int | Fraction = 0

    def apply(self, window: Window) -> ReceptiveField:
        """The field of an output of ``window``, applied to this field's map."""
        return ReceptiveField(
            size=self.size + (window.extent - 1) * self.jump,
            jump=self.jump * window.stride,
            start=self.start - window.padding[0] * self.jump,
        )


def receptive_field(chain: Iterable[Window]) -> ReceptiveField:
    """The field of one output of a chain of windows, given from first to last.

    >>> from jaxcnn.geometry import Window
    >>> receptive_field([Window(28, 4, 2, (1, 1)), Window(14, 4, 2, (1, 1))])
    ReceptiveField(size=10, jump=4, start=-3)
    """
    field = ReceptiveField()
    for window in chain:
        field = field.apply(window)
    return field
