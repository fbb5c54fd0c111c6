"""The digits network: four convolutions, for small images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxcnn.keywords import suggest_keywords
from jaxcnn.models.halving import halved, halving_kernel
from jaxcnn.models.network import check_input
from jaxcnn.models.published import Published
from jaxcnn.nn import Stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flax import nnx


@suggest_keywords
def digits(input_shape: Sequence[int], classes: int | None = 10, *, rngs: nnx.Rngs) -> Stack:
    """A stack of :func:`digits_words`, for images of any size.

        x: (N, H, W, C)      returns (N, 1, 1, classes), or without classes the last map

    It has no stages, and no ``features=True`` as :class:`jaxcnn.models.Network` has.

    >>> from flax import nnx
    >>> digits((28, 28, 1), 10, rngs=nnx.Rngs(0)).output_shape
    (1, 1, 10)
    """
    shape = check_input(input_shape, classes)
    return Stack(shape, digits_words(shape, classes), rngs=rngs)


def digits_words(input_shape: Sequence[int], classes: int | None) -> list[str]:
    """The layers in the text form of :mod:`jaxcnn.nn.text`.

    The sizes are halved twice; the last kernel is as large as its input, and left out without
    classes.

    >>> digits_words((28, 28, 1), 10)
    ['conv:32:k4:s2:p1:relu', 'conv:64:k4:s2:p1:relu', 'conv:64:k3:p1:relu', 'conv:10:k7']
    """
    first = input_shape[:2]
    second = halved(first)
    return [
        f"conv:32:k{_sizes(halving_kernel(first))}:s2:p1:relu",
        f"conv:64:k{_sizes(halving_kernel(second))}:s2:p1:relu",
        "conv:64:k3:p1:relu",
        *([] if classes is None else [f"conv:{classes}:k{_sizes(halved(second))}"]),
    ]


def _sizes(sizes: tuple[int, ...]) -> str:
    height, width = sizes
    return f"{height}" if height == width else f"{height}x{width}"


NETWORKS = (
    Published(
        build=digits,
        source="four convolutions, for small images of one channel",
        input_shape=(28, 28, 1),
        classes=10,
        parameters=101_674,
        multiply_adds=3_543_680,
    ),
)
