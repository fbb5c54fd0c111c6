"""Rules on how single windows are laid: what they drop, skip, shift and overlap."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import prod

from jaxcnn.geometry.plan import by
from jaxcnn.geometry.steps import Slide
from jaxcnn.geometry.window import decimal
from jaxcnn.inspect.network import CONVOLUTIONS, POOLS, Network
from jaxcnn.inspect.rules.rule import Flaw, Rule, any_of, count_of, flaws_by_axis

_WINDOWED = (*CONVOLUTIONS, *POOLS, "slice", "patches")


def _dropped(network: Network) -> Iterable[Flaw]:
    return flaws_by_axis(network, _WINDOWED, _dropped_on)


def _dropped_on(slide: Slide) -> tuple[str, str] | None:
    gap = max(0, slide.stride - slide.extent)  # as many are skipped between any two windows
    if slide.up > 1 or not gap < slide.unread < slide.stride:
        return None
    quotient = slide.output + Fraction(slide.unread, slide.stride)
    room = f"{slide.size} + {slide.low} + {slide.high} - {slide.extent}".replace("+ -", "- ")
    what = count_of(slide.unread, "row")
    if slide.lost == 0:
        what += " of the padding"
    message = (
        f" {slide.size}: ({room})/{slide.stride} + 1 = {decimal(quotient)} outputs, cut to "
        f"{slide.output}: {what} at the end {'is' if slide.unread == 1 else 'are'} never read"
    )
    return message, _exact_options(slide)


def _exact_options(slide: Slide) -> str:
    rest, stride = slide.unread, slide.stride
    pairs = [(slide.low, slide.high + stride - rest)]
    if slide.high >= rest:
        pairs.insert(0, (slide.low, slide.high - rest))
    sizes = [n for n in (slide.size - rest, slide.size + stride - rest) if n > 0]
    return f"padding {any_of(pairs)}, or size {any_of(sizes)}"


def _skipped(network: Network) -> Iterable[Flaw]:
    for layer in network.layers:
        if layer.kind not in _WINDOWED or any(slide.up > 1 for _, slide in layer.slides):
            continue
        reads = [_read_places(slide) for _, slide in layer.slides]
        holes = [sum(not place for place in places) for places in reads]
        if not any(holes):
            continue
        total, read = prod(map(len, reads)), prod(map(sum, reads))
        gaps = [
            f"a filter of {len(slide.taps)} moves by {slide.stride} along {axis}"
            + (f" with dilation {slide.dilation}" if slide.dilation > 1 else "")
            for (axis, slide), hole in zip(layer.slides, holes, strict=True)
            if hole
        ]
        yield Flaw(
            layer,
            f"reads {read:,} of {by(map(len, reads))} = {total:,} cells and never the other "
            f"{1 - read / total:.0%}: {', '.join(gaps)}",
            "average as many cells as the stride before a filter of stride 1 (the shortcut of "
            "ResNet-D, arXiv:1812.01187), or a filter at least as large as the stride",
        )


def _read_places(slide: Slide) -> list[bool]:
    """Whether each cell is read; those that :func:`_dropped` tells of are left out."""
    read = {cell for o in range(slide.output) for cell in slide.cells(o)}
    end = min(slide.size, max(read) + 1) if _dropped_on(slide) else slide.size
    return [cell in read for cell in range(end)]


def _uneven(network: Network) -> Iterable[Flaw]:
    return flaws_by_axis(network, _WINDOWED, _uneven_on)


def _uneven_on(slide: Slide) -> tuple[str, str] | None:
    low, high = slide.low, slide.high - slide.unread
    padded = slide.low > 0 or slide.high > 0
    if slide.up > 1 or slide.stride < 2 or not padded or low == high:
        return None
    first = Fraction(slide.extent - 1, 2) - low
    last = first + (slide.output - 1) * slide.stride
    shift = Fraction(high - low, 2)
    asked = f" ({slide.high} given, {slide.unread} of them never read)" if slide.unread else ""
    message = (
        f" {slide.size}: padding is {low} before and {high}{asked} after: windows are centred on "
        f"cells {decimal(first)} to {decimal(last)} of 0 to {slide.size - 1}, shifted by "
        f"{decimal(abs(shift))} cells towards the {'end' if shift > 0 else 'start'}, so a mirrored "
        f"input does not give the mirrored output"
    )
    return message, _even_options(slide)


def _even_options(slide: Slide) -> str:
    """Filters near this one, or a size, that lie evenly and have as many outputs."""
    span = (slide.output - 1) * slide.stride
    options = []
    for filter in (len(slide.taps) - 1, len(slide.taps) + 1):
        total = span + slide.dilation * (filter - 1) + 1 - slide.size
        if filter > 0 and total >= 0 and total % 2 == 0:
            options.append(f"filter {filter} with padding {total // 2} on both sides")
    size = span + slide.extent - 2 * slide.low
    if size > 0:
        options.append(f"size {size} with padding {slide.low} on both sides")
    return any_of(options) if options else "stride 1 followed by a pool that divides the size"


def _checkered(network: Network) -> Iterable[Flaw]:
    return flaws_by_axis(network, ("transposed conv",), _checkered_on)


def _checkered_on(slide: Slide) -> tuple[str, str] | None:
    middle = slide.output // 2
    period = slide.period(1)
    counts = [len(slide.cells(o)) for o in range(middle, middle + period)]
    if len(set(counts)) == 1:
        return None
    filter, stride = len(slide.taps), slide.up
    below = filter - filter % stride
    sizes = [n for n in (below, below + stride) if n > 0]
    message = (
        f": filter {filter} is no multiple of stride {stride}: along the axis neighbouring outputs "
        f"are sums of {' and '.join(map(str, sorted(set(counts))))} products in turn"
    )
    return message, f"filter {any_of(sizes)}, or resize and then convolve with stride 1"


RULES = (
    Rule(
        "JC001",
        "rows dropped",
        "Where k = (N + lo + hi - F')/s + 1 is no whole number, the last rows are cut off without "
        "a word: cells of the input are lost, or the padding is not what was asked.",
        "size 224, filter 3, stride 2: the last row is lost; size 225 loses none.",
        _dropped,
    ),
    Rule(
        "JC002",
        "cells skipped",
        "A stride larger than the filter leaves cells between windows that nothing reads, and to "
        "which no gradient flows. He et al., arXiv:1812.01187, section 4.2.",
        "filter 1, stride 2 on an image reads a quarter of it; a 2x2 mean before it reads all.",
        _skipped,
    ),
    Rule(
        "JC003",
        "padding uneven",
        "With a stride, more padding on one side shifts the grid of windows by a part of a cell: "
        "the two borders are treated differently, and features drift layer by layer. Alsallakh et "
        "al., arXiv:2010.02178.",
        "size 224, filter 3, stride 2, SAME: padding (0, 1); filter 4 with padding (1, 1) is even.",
        _uneven,
    ),
    Rule(
        "JC004",
        "checkerboard",
        "A transposed convolution whose filter is no multiple of its stride sums different numbers "
        "of products for neighbouring outputs, which shows as a checkered pattern. Odena et al., "
        "doi:10.23915/distill.00003.",
        "filter 5, stride 2: 9, 6 and 4 products in turn; filter 4, stride 2: 4 everywhere.",
        _checkered,
    ),
)
