"""The overview: a few rows for each class of convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxcnn.bench.row import depthwise, pool, row
from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.bench.row import Row

OVERVIEW = (
    row("dense", 3, 64, 64, 56),
    row("dense", 3, 256, 256, 14),
    row("dense", 3, 512, 512, 7),
    row("dense", 3, 128, 128, 56, stride=2),
    row("dense", 3, 32, 64, 26, batch=64),
    row("dense", 3, 1, 32, 28, batch=128),
    row("dense", 5, 32, 32, 28, batch=32),
    row("stem", 7, 3, 64, 224, stride=2),
    row("1x1", 1, 256, 64, 56),
    row("1x1", 1, 256, 1024, 14),
    depthwise(3, 576, 14),
    depthwise(3, 96, 112),
    depthwise(3, 96, 112, stride=2),
    depthwise(3, 96, 56),
    depthwise(3, 96, 56, stride=2),
    depthwise(7, 96, 56),
    row("grouped", 3, 128, 128, 56, groups=32),
    row("grouped", 3, 128, 128, 28, groups=4, dilation=2),
    row("3-D", 3, 32, 64, 16, axes=3, batch=2),
    row("1-D", 9, 64, 64, 1000, axes=1),
    depthwise(5, 256, 1000, axes=1, dilation=2),
    depthwise(5, 256, 1000, axes=1, layout="first"),
    row("large filter", 7, 1, 1, 300, batch=1),
    row("large filter", 31, 1, 1, 300, batch=1),
    row("large filter", 300, 1, 1, 300, batch=1, padding=(149, 150)),
    row("transposed", 4, 64, 32, 28, stride=2, operation="transposed"),
    row("transposed", 1024, 512, 1, 100, axes=1, stride=256, padding=0, operation="transposed"),
    row("channels first", 1, 256, 64, 56, layout="first"),
    row("channels first", 3, 64, 64, 56, layout="first"),
    pool("max", 2, 64, 112, stride=2),
    pool("max", 3, 64, 112, stride=2, padding=1),
    pool("avg", 2, 64, 112, stride=2),
)
"""A few rows for each class of convolution in which JAX was slow, and for pools.

The kernel of 300 is as large as its image, with padding that keeps the size.
"""


def containing(rows: Sequence[Row], part: str, where: str = "overview") -> tuple[Row, ...]:
    """The rows whose name or group contains ``part``.

    Args:
      where: the rows in words, for the error.

    Raises:
      InputError: if there is no such row.

    >>> [row.name for row in containing(OVERVIEW, "@7")]
    ['3x3 512-512 @7 b8']
    """
    found = tuple(row for row in rows if part in row.name or part in row.group)
    if not found:
        groups = dict.fromkeys(row.group for row in rows)
        raise InputError(
            f"no row of {where} has {part!r} in its name or group; use a part of a name such as "
            f"{rows[0].name!r}, or of a group: {', '.join(groups)}"
        )
    return found
