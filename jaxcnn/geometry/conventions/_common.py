"""What the conventions share: reading arguments, and transposed convolutions by what they crop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxcnn.geometry.check import is_sequence, per_axis

Arguments = dict[str, Any]
"""Keyword arguments for one of jaxcnn's operations."""


def filters_of(name: str, value: Any) -> tuple[int, ...]:
    """The filter's size on each axis, which must be given one by one."""
    if not is_sequence(value) or not len(value):
        raise TypeError(
            f"{name} must list the size on each spatial axis, got {value!r}; use ({value!r},) for "
            f"one axis, ({value!r}, {value!r}) for two"
        )
    return per_axis(name, value, len(value), least=1)


def extents(filters: Sequence[int], dilations: Sequence[int]) -> tuple[int, ...]:
    """F' = d(F - 1) + 1 on each axis."""
    return tuple(d * (f - 1) + 1 for f, d in zip(filters, dilations, strict=True))


def transposed(
    strides: Sequence[int], crops: Sequence[tuple[int, int]], dilations: Sequence[int], groups: int
) -> Arguments:
    """The arguments of the transposed convolution of (k - 1)s + F' cells, cropped by ``crops``.

    A crop below 0 adds cells.
    """
    return {
        "stride": tuple(strides),
        "padding": tuple(crops),
        "dilation": tuple(dilations),
        "groups": groups,
    }
