"""Helpers that all conventions share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxcnn.geometry.check import is_sequence, per_axis
from jaxcnn.geometry.window import effective_kernel_size

if TYPE_CHECKING:
    from collections.abc import Sequence

Arguments = dict[str, Any]
"""Keyword arguments of an operation of jaxcnn."""


def sizes_per_axis(name: str, value: Any) -> tuple[int, ...]:
    """The kernel's size on each axis; a TypeError if ``value`` is not a sequence."""
    if not is_sequence(value) or not len(value):
        raise TypeError(
            f"{name} must list the size on each spatial axis, got {value!r}; use ({value!r},) for "
            f"one axis, ({value!r}, {value!r}) for two"
        )
    return per_axis(name, value, len(value), least=1)


def extents(kernel_size: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    """F' = d(F - 1) + 1 on each axis."""
    return tuple(map(effective_kernel_size, kernel_size, dilation))


def transposed(
    strides: Sequence[int], crops: Sequence[tuple[int, int]], dilations: Sequence[int], groups: int
) -> Arguments:
    """The arguments of a transposed convolution with (k - 1)s + F' cells, minus ``crops``.

    Negative crops add cells.
    """
    return {
        "stride": tuple(strides),
        "padding": tuple(crops),
        "dilation": tuple(dilations),
        "groups": groups,
    }
