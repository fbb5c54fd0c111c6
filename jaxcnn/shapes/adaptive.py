"""Adaptive pools: as many bins as outputs are asked for, whatever the input's size.

    bin i of k on N cells: from floor(i*N/k) up to, not including, ceil((i + 1)*N/k)

PyTorch's rule. Where k divides N the bins are windows of N/k cells and that stride; otherwise
neighbours share a cell. With one output it is the global pool.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jaxcnn.errors import InputError
from jaxcnn.geometry._symbolic import is_symbolic
from jaxcnn.geometry.check import integer, per_axis
from jaxcnn.geometry.window import axis_names
from jaxcnn.shapes.checks import require_cells, split_by, split_by_rank


@dataclass(frozen=True)
class Bins:
    """The bins of ``output`` outputs over ``size`` cells of an axis.

    >>> [list(Bins(*numbers)) for numbers in ((6, 3), (5, 3), (2, 3))]
    [[(0, 2), (2, 4), (4, 6)], [(0, 2), (1, 4), (3, 5)], [(0, 1), (0, 2), (1, 2)]]
    """

    size: int
    output: int

    def __post_init__(self) -> None:
        size = integer("size", self.size, least=1, symbolic=True)
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "output", integer("output_size", self.output, least=1))

    def of(self, output: Any) -> tuple[Any, Any]:
        """The first cell of an output's bin and the one after its last; of arrays of outputs too.

        >>> Bins(5, 3).of(1)
        (1, 4)
        """
        return output * self.size // self.output, -(-(output + 1) * self.size // self.output)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return map(self.of, range(self.output))


@dataclass(frozen=True)
class BinShapes:
    """A checked pool of x (N, *spatial, C) over bins.

    Attributes:
      batch: N, or None where x came without a batch axis.
      bins: the bins of each spatial axis.
      channels: C.

    >>> BinShapes(8, (Bins(13, 6), Bins(10, 5)), channels=3).output
    (8, 6, 5, 3)
    """

    batch: int | None
    bins: tuple[Bins, ...]
    channels: int

    @property
    def spatial(self) -> tuple[int, ...]:
        """The output's spatial sizes."""
        return tuple(bins.output for bins in self.bins)

    @property
    def output(self) -> tuple[int, ...]:
        """The output's shape, with a batch axis iff x had one."""
        return (*(() if self.batch is None else (self.batch,)), *self.spatial, self.channels)


def adaptive_shapes(x: Sequence[int], output_size: int | Sequence[int]) -> BinShapes:
    """Checks the shape of x and lays the bins.

    Args:
      x: (N, *spatial, C); or (*spatial, C) where ``output_size`` lists one for each axis.
      output_size: the output's spatial sizes, one for all axes or one each.

    Raises:
      InputError: naming the argument and the numbers, and what to type instead.

    >>> adaptive_shapes((8, 13, 10, 3), (6, 5)).output
    (8, 6, 5, 3)
    """
    batch, spatial, channels = split_by(x, "output_size", output_size)
    require_cells(spatial)
    outputs = per_axis("output_size", output_size, len(spatial), least=1)
    for name, n, k in zip(axis_names(len(spatial)), spatial, outputs, strict=True):
        if is_symbolic(n) and (is_symbolic(n % k) or n % k):
            raise InputError(
                f"{name} {n} in {k} bins: their sizes depend on its remainder, which is not known "
                f'to be 0; use a multiple, as in "{k}*h", or symbolic_shape(..., '
                f'constraints=["mod({n}, {k}) == 0"])'
            )
    bins = tuple(Bins(n, k) for n, k in zip(spatial, outputs, strict=True))
    return BinShapes(batch, bins, channels)


def global_shapes(x: Sequence[int], rank: int | None = None) -> BinShapes:
    """Checks the shape of x and lays one bin over each spatial axis.

    Args:
      x: (N, *spatial, C); or (*spatial, C) where ``rank`` says so.
      rank: the number of spatial axes; None takes all between the first and the last.

    >>> global_shapes((7, 9, 3), rank=2).bins
    (Bins(size=7, output=1), Bins(size=9, output=1))
    """
    batch, spatial, channels = split_by_rank(x, rank)
    return BinShapes(batch, tuple(Bins(n, 1) for n in spatial), channels)
