"""Advice to pad less, for operations that do not support all of the given padding."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jaxcnn.errors import Advice, InputError
from jaxcnn.geometry.coverage import first_empty_output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.geometry.window import Window


def smaller_padding(
    window: Window, limit: tuple[int, int], rounding: str
) -> tuple[int, int] | None:
    """The largest legal padding within ``limit`` and the window's own; None if there is none.

    If ``rounding`` is ``"exact"``, one side is reduced until the layout is exact.

    >>> from jaxcnn.geometry import Window
    >>> smaller_padding(Window(5, 3, stride=2, padding=(4, 2)), (1, 2), "exact")
    (1, 1)
    """
    low, high = (min(pair) for pair in zip(window.padding, limit, strict=True))
    steps = range(window.stride)
    for pair in [(low, high - n) for n in steps] + [(low - n, high) for n in steps]:
        if min(pair) < 0:
            continue
        try:
            return replace(window, padding=pair, rounding=rounding).padding
        except InputError:
            continue
    return None


def smaller_padding_advice(
    windows: Sequence[Window], limits: Sequence[tuple[int, int]], rounding: str
) -> list[Advice]:
    """The advice to pad every axis within its limit; empty if that is impossible."""
    pairs = tuple(
        smaller_padding(window, limit, rounding)
        for window, limit in zip(windows, limits, strict=True)
    )
    return [] if None in pairs else [Advice("padding", (pairs,))]


def nonempty_window_advice(windows: Sequence[Window], rounding: str) -> Sequence[Advice | str]:
    """The advice to reduce the padding until every window reads a cell of the input.

    If a smaller padding alone is not enough, the advice is in words.
    """
    limits = [(window.extent - 1, window.extent - 1) for window in windows]
    advice = smaller_padding_advice(windows, limits, rounding)
    for each in advice:
        padded = zip(windows, each.values[0], strict=True)
        if any(first_empty_output(replace(w, padding=pair)) is not None for w, pair in padded):
            return ["less padding"]
    return advice or ["less padding"]
