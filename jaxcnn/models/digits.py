"""The digits network: four convolutions, for small images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxcnn.models.halving import halved, halving_kernel

if TYPE_CHECKING:
    from collections.abc import Sequence


def digits_words(image_shape: Sequence[int], classes: int) -> list[str]:
    """The layers in the text form of :mod:`jaxcnn.nn.text`.

    The sizes are halved twice; the last kernel is as large as its input.

    >>> digits_words((28, 28, 1), 10)
    ['conv:32:k4:s2:p1:relu', 'conv:64:k4:s2:p1:relu', 'conv:64:k3:p1:relu', 'conv:10:k7']
    """
    first = image_shape[:2]
    second = halved(first)
    return [
        f"conv:32:k{_sizes(halving_kernel(first))}:s2:p1:relu",
        f"conv:64:k{_sizes(halving_kernel(second))}:s2:p1:relu",
        "conv:64:k3:p1:relu",
        f"conv:{classes}:k{_sizes(halved(second))}",
    ]


def _sizes(sizes: tuple[int, ...]) -> str:
    height, width = sizes
    return f"{height}" if height == width else f"{height}x{width}"
