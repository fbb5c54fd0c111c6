"""The distinct convolutions of known networks, with batch 8 and images of 224x224.

DCGAN's generator makes images of 64x64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxcnn.bench.row import Row, depthwise, row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def resnet50() -> tuple[Row, ...]:
    """He et al., arXiv:1512.03385, with the stride in the 3x3 layers, as is now usual."""
    return _distinct(_resnet50())


def _resnet50() -> Iterator[Row]:
    yield row("stem", 7, 3, 64, 224, stride=2)
    channels, size = 64, 56
    for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        yield row("1x1", 1, channels, width, size)
        yield row("dense", 3, width, width, size, stride=stride)
        yield row("1x1", 1, channels, 4 * width, size, stride=stride)
        channels, size = 4 * width, size // stride
        yield row("1x1", 1, width, channels, size)
        yield row("1x1", 1, channels, width, size)
        yield row("dense", 3, width, width, size)


def mobilenetv2() -> tuple[Row, ...]:
    """Sandler et al., arXiv:1801.04381, table 2."""
    return _distinct(_mobilenetv2())


def _mobilenetv2() -> Iterator[Row]:
    yield row("stem", 3, 3, 32, 224, stride=2)
    channels, size = 32, 112
    table = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    for expansion, width, repeats, first in table:
        for stride in (first, *(1,) * (repeats - 1)):
            inside = expansion * channels
            if expansion > 1:
                yield row("1x1", 1, channels, inside, size)
            yield depthwise(3, inside, size, stride=stride)
            size //= stride
            yield row("1x1", 1, inside, width, size)
            channels = width
    yield row("1x1", 1, channels, 1280, size)


def convnext_t() -> tuple[Row, ...]:
    """Liu et al., arXiv:2201.03545, without its pointwise layers, which are matrix products."""
    stem = row("dense", 4, 3, 96, 224, stride=4, padding=0)
    stages = tuple(zip((96, 192, 384, 768), (56, 28, 14, 7), strict=True))
    between = (row("dense", 2, c, 2 * c, size, stride=2) for c, size in stages[:-1])
    return _distinct([stem, *(depthwise(7, c, size) for c, size in stages), *between])


def unet() -> tuple[Row, ...]:
    """Ronneberger et al., arXiv:1505.04597, with padding that keeps the sizes."""
    return _distinct(_unet())


def _unet() -> Iterator[Row]:
    stages = tuple(zip((64, 128, 256, 512, 1024), (224, 112, 56, 28, 14), strict=True))
    channels = 3
    for width, size in stages:
        yield row("dense", 3, channels, width, size)
        yield row("dense", 3, width, width, size)
        channels = width
    for width, size in reversed(stages[:-1]):
        yield row("transposed", 2, 2 * width, width, size // 2, stride=2, operation="transposed")
        yield row("dense", 3, 2 * width, width, size)
    yield row("1x1", 1, 64, 2, 224)


def dcgan() -> tuple[Row, ...]:
    """The generator of Radford et al., arXiv:1511.06434, with 4x4 kernels and images of 64x64."""
    first = row("transposed", 4, 100, 512, 1, padding=0, operation="transposed")
    widths, sizes = (512, 256, 128, 64, 3), (4, 8, 16, 32)
    rest = (
        row("transposed", 4, c, k, size, stride=2, operation="transposed")
        for c, k, size in zip(widths, widths[1:], sizes, strict=False)
    )
    return (first, *rest)


def _distinct(rows: Iterable[Row]) -> tuple[Row, ...]:
    return tuple(dict.fromkeys(rows))
