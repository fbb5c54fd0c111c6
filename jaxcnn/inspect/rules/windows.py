"""Rules on single windows: rows dropped, cells skipped, uneven padding."""

from __future__ import annotations

from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

from jaxcnn.geometry.text import format_count, format_shape
from jaxcnn.geometry.window import decimal
from jaxcnn.inspect.network import CONVOLUTIONS, POOLS, Network
from jaxcnn.inspect.rules.by_axis import AxisFlaw, flaw_by_axis, flaws_by_axis
from jaxcnn.inspect.rules.even_settings import even_settings
from jaxcnn.inspect.rules.reads import cells_read, drops_rows
from jaxcnn.inspect.rules.rule import Flaw, rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxcnn.geometry.axis_maps import StridedAxis

_WINDOWED = (*CONVOLUTIONS, *POOLS, "slice", "patches")


@rule(
    "JC001",
    "rows dropped",
    example="size 224, kernel 3, stride 2: the last row is lost; size 225 loses none.",
)
def rows_dropped(network: Network) -> Iterable[Flaw]:
    """If k = (N + lo + hi - F')/s + 1 is not a whole number, the last rows are cut off silently:
    cells of the input are lost, or part of the requested padding is.
    """
    return flaws_by_axis(network, _WINDOWED, _rows_dropped_on)


def _rows_dropped_on(window: StridedAxis, least: float) -> AxisFlaw | None:
    if not drops_rows(window):
        return None
    quotient = window.output + Fraction(window.unread, window.stride)
    room = f"{window.size} + {window.low} + {window.high} - {window.extent}".replace("+ -", "- ")
    what = format_count(window.unread, "row")
    if window.lost == 0:
        what += " of the padding"
    message = (
        f" {window.size}: ({room})/{window.stride} + 1 = {decimal(quotient)} outputs, cut to "
        f"{window.output}: {what} at the end {'is' if window.unread == 1 else 'are'} never read"
    )
    return AxisFlaw(message, even_settings(window, least))


@rule(
    "JC002",
    "cells skipped",
    example="kernel 1, stride 2 on an image reads a quarter of it; a 2x2 mean before it reads all.",
)
def cells_skipped(network: Network) -> Iterable[Flaw]:
    """A stride larger than the kernel leaves cells between windows that nothing reads and that
    receive no gradient. He et al., arXiv:1812.01187, section 4.2.
    """
    for layer in network.layers:
        windows = layer.windows
        if layer.kind not in _WINDOWED or any(window.input_dilation > 1 for _, window in windows):
            continue
        read = [cells_read(window) for _, window in windows]
        if all(cells.all() for cells in read):
            continue
        total, count = prod(map(len, read)), prod(int(cells.sum()) for cells in read)
        gaps = [
            f"kernel {len(window.taps)} moves by {window.stride} along {axis}"
            + (f" with dilation {window.dilation}" if window.dilation > 1 else "")
            for (axis, window), cells in zip(windows, read, strict=True)
            if not cells.all()
        ]
        found = flaw_by_axis(layer, _cells_skipped_on)
        change, options = (found.change, found.options) if found is not None else ("", ())
        if all(window.size % window.stride == 0 for _, window in windows):
            change = (
                "average the cells of each stride before a convolution of stride 1 (the shortcut "
                f"of ResNet-D, arXiv:1812.01187), or {change}"
            )
        yield Flaw(
            layer,
            f"reads {count:,} of {format_shape(map(len, read))} = {total:,} cells and never the "
            f"other {1 - count / total:.0%}: {', '.join(gaps)}",
            change,
            options,
        )


def _cells_skipped_on(window: StridedAxis, least: float) -> AxisFlaw | None:
    return None if cells_read(window).all() else AxisFlaw("", even_settings(window, least))


@rule(
    "JC003",
    "padding uneven",
    example="size 224, kernel 3, stride 2, SAME: padding (0, 1); kernel 4 with padding (1, 1) is "
    "even.",
)
def padding_uneven(network: Network) -> Iterable[Flaw]:
    """At a stride above 1, more padding on one side shifts the grid of windows by part of a cell:
    the two borders are treated differently, and features drift from layer to layer. Alsallakh et
    al., arXiv:2010.02178.
    """
    return flaws_by_axis(network, _WINDOWED, _padding_uneven_on)


def _padding_uneven_on(window: StridedAxis, least: float) -> AxisFlaw | None:
    low, high = window.low, window.high - window.unread
    padded = window.low > 0 or window.high > 0
    if window.input_dilation > 1 or window.stride < 2 or not padded or low == high:
        return None
    first = Fraction(window.extent - 1, 2) - low
    last = first + (window.output - 1) * window.stride
    shift = Fraction(high - low, 2)
    given = f" ({window.high} given, {window.unread} of them never read)" if window.unread else ""
    message = (
        f" {window.size}: padding is {low} before and {high}{given} after: windows are centred on "
        f"cells {decimal(first)} to {decimal(last)} of 0 to {window.size - 1}, shifted by "
        f"{decimal(abs(shift))} cells towards the {'end' if shift > 0 else 'start'}, so a mirrored "
        f"input does not give the mirrored output"
    )
    return AxisFlaw(message, even_settings(window, least))
