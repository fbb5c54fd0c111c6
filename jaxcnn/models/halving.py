"""Layers that halve sizes exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def halved(sizes: Sequence[int]) -> tuple[int, ...]:
    """Half of each size, rounded up.

    >>> halved((28, 7))
    (14, 4)
    """
    return tuple((size + 1) // 2 for size in sizes)


def halving_kernel(sizes: Sequence[int]) -> tuple[int, ...]:
    """The kernel with which stride 2 and padding 1 on every side give :func:`halved` sizes.

    Four cells for an even size, three for an odd one. So no cell is lost, and a mirrored input
    gives the mirrored output.

    >>> halving_kernel((28, 7))
    (4, 3)
    """
    return tuple(3 if size % 2 else 4 for size in sizes)
