"""Rules on how single windows are laid: what they drop, skip, shift and overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from jaxcnn.geometry.axis_maps import StridedAxis
from jaxcnn.geometry.text import format_count, format_shape
from jaxcnn.geometry.window import decimal, effective_kernel_size
from jaxcnn.inspect.network import CONVOLUTIONS, POOLS, Network
from jaxcnn.inspect.rules.rule import (
    Flaw,
    Found,
    Rule,
    by_axis,
    flaws_by_axis,
    real_share,
    strides_of,
)

_WINDOWED = (*CONVOLUTIONS, *POOLS, "slice", "patches")


def _dropped(network: Network) -> Iterable[Flaw]:
    return flaws_by_axis(network, _WINDOWED, _dropped_on)


def _dropped_on(slide: StridedAxis, least: float = 0) -> Found | None:
    gap = max(0, slide.stride - slide.extent)  # as many are skipped between any two windows
    if slide.input_dilation > 1 or not gap < slide.unread < slide.stride:
        return None
    quotient = slide.output + Fraction(slide.unread, slide.stride)
    room = f"{slide.size} + {slide.low} + {slide.high} - {slide.extent}".replace("+ -", "- ")
    what = format_count(slide.unread, "row")
    if slide.lost == 0:
        what += " of the padding"
    message = (
        f" {slide.size}: ({room})/{slide.stride} + 1 = {decimal(quotient)} outputs, cut to "
        f"{slide.output}: {what} at the end {'is' if slide.unread == 1 else 'are'} never read"
    )
    return message, _even_settings(slide, least), []


def _even_settings(slide: StridedAxis, least: float) -> list[dict[str, int]]:
    """Settings near a layout's own that drop, skip and shift nothing.

    First other filters and paddings that keep the number of outputs, then other sizes; other
    filters on other sizes only where nothing else does. There is always one: a filter as long as
    the stride, without padding, on a size that it fits. At least that share of what they read is
    cells, or as much as of what the layout itself reads.
    """
    kernel_size, stride, span = len(slide.taps), slide.stride, (slide.output - 1) * slide.stride
    own = {
        "kernel_size": kernel_size,
        "size": slide.size,
        "padding": slide.low if slide.low == slide.high else None,
        "dilation": slide.dilation,
    }
    near = [
        kernel_size,
        kernel_size - 1,
        kernel_size + 1,
        kernel_size - 2,
        kernel_size + 2,
        stride,
        stride + 1,
    ]
    kept, sizes, both = [], [], []
    for dilation in dict.fromkeys((slide.dilation, 1)):
        for taps in dict.fromkeys(n for n in near if n > 0):
            new = {"kernel_size": taps, "dilation": dilation}
            extent = effective_kernel_size(taps, dilation)
            pad, odd = divmod(span + extent - slide.size, 2)
            kept += [] if odd else [own | new | {"padding": pad}]
            same = (taps, dilation) == (kernel_size, slide.dilation)
            for reach in (span, span + stride):
                for pad in dict.fromkeys((slide.low, slide.high, 0)):
                    size = {"size": reach + extent - 2 * pad, "padding": pad}
                    (sizes if same else both).append(own | new | size)
    least = min(least, real_share(slide))
    groups = [
        sorted((o for o in group if _is_even(**o, stride=stride, least=least)), key=_changes(own))
        for group in (kept, sizes, both)
    ]
    found = [*groups[0][:2], *groups[1][:2]] or groups[2][:1]
    found.sort(key=lambda o: (o["size"] != slide.size, o["kernel_size"], o["size"]))
    return [{key: value for key, value in o.items() if value != own[key]} for o in found]


def _changes(own: dict[str, Any]) -> Callable[[dict[str, Any]], int]:
    return lambda setting: sum(
        setting[key] != own[key] for key in ("kernel_size", "size", "padding")
    )


def _is_even(
    *, size: int, kernel_size: int, padding: int, dilation: int, stride: int, least: float
) -> bool:
    """Whether a layout drops, skips and shifts nothing, and reads cells to at least that share."""
    if size < 1 or padding < 0 or size + 2 * padding < effective_kernel_size(kernel_size, dilation):
        return False
    pads = (padding, padding)
    slide = StridedAxis.sliding_window(
        size, kernel_size, stride=stride, padding=pads, dilation=dilation
    )
    return not slide.unread and bool(_read_places(slide).all()) and real_share(slide) >= least


def _skipped(network: Network) -> Iterable[Flaw]:
    for layer in network.layers:
        if layer.kind not in _WINDOWED or any(
            slide.input_dilation > 1 for _, slide in layer.slides
        ):
            continue
        reads = [_read_places(slide) for _, slide in layer.slides]
        holes = [not places.all() for places in reads]
        if not any(holes):
            continue
        total, read = prod(map(len, reads)), prod(int(places.sum()) for places in reads)
        gaps = [
            f"a filter of {len(slide.taps)} moves by {slide.stride} along {axis}"
            + (f" with dilation {slide.dilation}" if slide.dilation > 1 else "")
            for (axis, slide), hole in zip(layer.slides, holes, strict=True)
            if hole
        ]
        found = by_axis(layer, _skipped_on)
        _, change, options = found if found is not None else ("", "", ())
        if all(slide.size % slide.stride == 0 for _, slide in layer.slides):
            change = (
                "average as many cells as the stride before a filter of stride 1 (the shortcut of "
                f"ResNet-D, arXiv:1812.01187), or {change}"
            )
        yield Flaw(
            layer,
            f"reads {read:,} of {format_shape(map(len, reads))} = {total:,} cells and never the other "
            f"{1 - read / total:.0%}: {', '.join(gaps)}",
            change,
            options,
        )


def _skipped_on(slide: StridedAxis, least: float) -> Found | None:
    return None if _read_places(slide).all() else ("", _even_settings(slide, least), [])


def _read_places(slide: StridedAxis) -> np.ndarray:
    """Whether each cell is read; those that :func:`_dropped` tells of are left out."""
    places = np.zeros(slide.size, bool)
    for cells, step, outputs in strides_of(slide):
        for first in cells.tolist():
            end = max(0, first + step * (outputs - 1) + 1)
            places[first if first >= 0 else first % step : end : step] = True
    last = slide.cells(slide.output - 1)[-1] if _dropped_on(slide) else slide.size - 1
    return places[: max(0, last + 1)]


def _uneven(network: Network) -> Iterable[Flaw]:
    return flaws_by_axis(network, _WINDOWED, _uneven_on)


def _uneven_on(slide: StridedAxis, least: float = 0) -> Found | None:
    low, high = slide.low, slide.high - slide.unread
    padded = slide.low > 0 or slide.high > 0
    if slide.input_dilation > 1 or slide.stride < 2 or not padded or low == high:
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
    return message, _even_settings(slide, least), []


def _checkered(network: Network) -> Iterable[Flaw]:
    return flaws_by_axis(network, ("transposed conv",), _checkered_on)


def _checkered_on(slide: StridedAxis, _: float) -> Found | None:
    counts = _products(slide)
    if len(counts) == 1:
        return None
    kernel_size, stride = len(slide.taps), slide.input_dilation
    below = kernel_size - kernel_size % stride
    message = (
        f": kernel_size {kernel_size} is no multiple of stride {stride}: along the axis neighbouring outputs "
        f"are sums of {' and '.join(map(str, sorted(counts)))} products in turn"
    )
    if kernel_size % stride == 0:  # but the dilation leaves some of the stride's places out
        message = (
            f": kernel_size {kernel_size} with dilation {slide.dilation} at stride {stride}: along the axis "
            f"neighbouring outputs are sums of {' and '.join(map(str, sorted(counts)))} products"
        )
    settings = []
    for dilation in dict.fromkeys((slide.dilation, 1)):
        for taps in (below, below + stride):
            new = {"kernel_size": taps, "dilation": dilation}
            if taps > 0 and len(_products(_relaid(slide, **new))) == 1:
                own = {"kernel_size": kernel_size, "dilation": slide.dilation}
                settings.append({k: v for k, v in new.items() if v != own[k]})
        if settings:
            break
    return message, settings, ["resize and then convolve with stride 1"]


def _products(slide: StridedAxis) -> set[int]:
    """The numbers of products that outputs in the middle are sums of."""
    middle = slide.output // 2
    return {len(slide.cells(o)) for o in range(middle, middle + slide.period(1))}


def _relaid(slide: StridedAxis, kernel_size: int, dilation: int) -> StridedAxis:
    """The layout with another filter and as many outputs."""
    taps = tuple(range(0, effective_kernel_size(kernel_size, dilation), dilation))
    more = taps[-1] - slide.taps[-1]
    return replace(slide, taps=taps, low=slide.low + more // 2, high=slide.high + more - more // 2)


RULES = (
    Rule(
        "JC001",
        "rows dropped",
        "Where k = (N + lo + hi - F')/s + 1 is no whole number, the last rows are cut off without "
        "a word: cells of the input are lost, or the padding is not what was asked.",
        "size 224, kernel_size 3, stride 2: the last row is lost; size 225 loses none.",
        _dropped,
    ),
    Rule(
        "JC002",
        "cells skipped",
        "A stride larger than the filter leaves cells between windows that nothing reads, and to "
        "which no gradient flows. He et al., arXiv:1812.01187, section 4.2.",
        "kernel_size 1, stride 2 on an image reads a quarter of it; a 2x2 mean before it reads all.",
        _skipped,
    ),
    Rule(
        "JC003",
        "padding uneven",
        "With a stride, more padding on one side shifts the grid of windows by a part of a cell: "
        "the two borders are treated differently, and features drift layer by layer. Alsallakh et "
        "al., arXiv:2010.02178.",
        "size 224, kernel_size 3, stride 2, SAME: padding (0, 1); kernel_size 4 with padding (1, 1) is even.",
        _uneven,
    ),
    Rule(
        "JC004",
        "checkerboard",
        "A transposed convolution whose filter is no multiple of its stride sums different numbers "
        "of products for neighbouring outputs, which shows as a checkered pattern. Odena et al., "
        "doi:10.23915/distill.00003.",
        "kernel_size 5, stride 2: 9, 6 and 4 products in turn; kernel_size 4, stride 2: 4 everywhere.",
        _checkered,
    ),
)
