"""Receptive fields of chains of windows, on one axis.

Through a window of extent F', stride s and padding (lo, hi) a field of size r, jump j and start a
becomes r + (F' - 1)j, s*j and a - lo*j. Source: A. Araujo, W. Norris, J. Sim, "Computing
Receptive Fields of Convolutional Neural Networks", Distill 2019, doi:10.23915/distill.00021.
For graphs and transposed convolutions see :class:`jaxcnn.geometry.feature_map.FeatureMap`.
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
    """The stretch of the network's input that one output sees where no border is near.

    It is stated as if every map went on beyond its borders. Within them an output may see less, for
    the padding of an inner map holds nothing of the input; the very cells that are read are those
    of :meth:`jaxcnn.geometry.feature_map.FeatureMap.cells_read`.

    Attributes:
      size: cells from the first to the last that the output can see, padding included.
      jump: cells the field moves from one output to the next: the stride relative to the input; a
        fraction after a transposed convolution, which has several outputs to a cell.
      start: the first cell of output 0's field; negative where it begins in the padding.

    Laid over a map whose jump is a fraction, a window makes size and start fractions too.

    >>> from jaxcnn.geometry import Window
    >>> ReceptiveField().apply(Window(7, 3, padding=(1, 1)))
    ReceptiveField(size=3, jump=1, start=-1)
    """

    size: int | Fraction = 1
    jump: int | Fraction = 1
    start: int | Fraction = 0

    def apply(self, window: Window) -> ReceptiveField:
        """The field in a map that ``window`` computes from this field's map."""
        return ReceptiveField(
            size=self.size + (window.extent - 1) * self.jump,
            jump=self.jump * window.stride,
            start=self.start - window.padding[0] * self.jump,
        )


def receptive_field(chain: Iterable[Window]) -> ReceptiveField:
    """The field of one output of a chain of windows, first window first.

    >>> from jaxcnn.geometry import Window
    >>> receptive_field([Window(28, 4, 2, (1, 1)), Window(14, 4, 2, (1, 1))])
    ReceptiveField(size=10, jump=4, start=-3)
    """
    field = ReceptiveField()
    for window in chain:
        field = field.apply(window)
    return field
