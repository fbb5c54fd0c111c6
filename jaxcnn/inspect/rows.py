"""Rows: the cells of a feature map that each place along a spatial axis reads."""

from __future__ import annotations

from itertools import pairwise

from jaxcnn.geometry.axis_maps import OUTSIDE

Rows = tuple[tuple[int, ...], ...]


def identity_rows(size: int) -> Rows:
    """The rows whose places each read their own cell."""
    return tuple((cell,) for cell in range(size))


def union(*rows: tuple[int, ...]) -> tuple[int, ...]:
    """The cells that any of the rows reads.

    >>> union((1, 2), (2, 4))
    (1, 2, 4)
    """
    return tuple(sorted({cell for row in rows for cell in row}))


def group_rows(rows: Rows, size: int) -> Rows:
    """The rows in groups of ``size`` neighbours: a group reads the cells that any of them reads.

    >>> group_rows(((0,), (1,), (2,), (3,)), 2)
    ((0, 1), (2, 3))
    """
    return tuple(union(*rows[i : i + size]) for i in range(0, len(rows), size))


def dilate_rows(rows: Rows, step: int) -> Rows:
    """The rows ``step`` places apart, with zeros between neighbours."""
    zeros = ((OUTSIDE,),) * (step - 1)
    return tuple(row for place in rows[:-1] for row in (place, *zeros)) + rows[-1:]


def pad_rows(rows: Rows, size: int, low: int, high: int) -> Rows:
    """The rows with ``low`` and ``high`` places added at the ends; negative counts crop.

    Padding next to the first or last cell of an axis of ``size`` cells continues its numbering
    (-1, -2, ... and size, size + 1, ...); all other padding is OUTSIDE.

    >>> pad_rows(((0,), (1,), (2,)), 3, 1, -1)
    ((-1,), (0,), (1,))
    """
    rows = rows[max(0, -low) : len(rows) - max(0, -high)]
    consecutive = bool(rows) and all(
        len(row) == 1 and row[0] == rows[0][0] + i for i, row in enumerate(rows)
    )
    first, last = (rows[0][0], rows[-1][0]) if consecutive else (1, -1)
    before = range(first - max(0, low), first) if first <= 0 else (OUTSIDE,) * low
    after = range(last + 1, last + 1 + high) if last >= size - 1 else (OUTSIDE,) * high
    return (*((cell,) for cell in before), *rows, *((cell,) for cell in after))


def has_repeats(rows: Rows) -> bool:
    """Whether two neighbouring places read the same cells."""
    return any(one == other != (OUTSIDE,) for one, other in pairwise(rows))
