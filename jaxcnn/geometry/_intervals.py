"""Sets of positions on an axis as intervals (first, end), disjoint and in order.

An interval of outputs reads few intervals of cells, so even a large set stays short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Intervals = tuple[tuple[int, int], ...]


def union(pairs: Iterable[tuple[int, int]]) -> Intervals:
    """The positions in any of ``pairs``, which may overlap or be empty.

    >>> union([(4, 6), (0, 2), (2, 3), (9, 9)])
    ((0, 3), (4, 6))
    """
    intervals: list[tuple[int, int]] = []
    for first, end in sorted(pair for pair in pairs if pair[0] < pair[1]):
        if intervals and first <= intervals[-1][1]:
            intervals[-1] = (intervals[-1][0], max(end, intervals[-1][1]))
        else:
            intervals.append((first, end))
    return tuple(intervals)


def clip(intervals: Intervals, size: int) -> Intervals:
    """The positions that are on an axis of ``size`` cells.

    >>> clip(((-2, 1), (3, 9)), 5)
    ((0, 1), (3, 5))
    """
    return union((max(first, 0), min(end, size)) for first, end in intervals)


def positions(intervals: Intervals) -> tuple[int, ...]:
    """Every position, one by one.

    >>> positions(((0, 2), (4, 5)))
    (0, 1, 4)
    """
    return tuple(position for first, end in intervals for position in range(first, end))
