"""Sets of places along an axis as runs: pairs (first, end), apart from one another and in order.

What a window reads of a stretch is mostly a stretch again, so that a set of any size is few runs.
"""

from __future__ import annotations

from collections.abc import Iterable

Runs = tuple[tuple[int, int], ...]


def merged(pairs: Iterable[tuple[int, int]]) -> Runs:
    """The places of any of ``pairs``, which may overlap and be empty.

    >>> merged([(4, 6), (0, 2), (2, 3), (9, 9)])
    ((0, 3), (4, 6))
    """
    runs: list[tuple[int, int]] = []
    for first, end in sorted(pair for pair in pairs if pair[0] < pair[1]):
        if runs and first <= runs[-1][1]:
            runs[-1] = (runs[-1][0], max(end, runs[-1][1]))
        else:
            runs.append((first, end))
    return tuple(runs)


def within(runs: Runs, size: int) -> Runs:
    """The places that lie on an axis of ``size`` cells.

    >>> within(((-2, 1), (3, 9)), 5)
    ((0, 1), (3, 5))
    """
    return merged((max(first, 0), min(end, size)) for first, end in runs)


def places(runs: Runs) -> tuple[int, ...]:
    """One by one.

    >>> places(((0, 2), (4, 5)))
    (0, 1, 4)
    """
    return tuple(place for first, end in runs for place in range(first, end))
