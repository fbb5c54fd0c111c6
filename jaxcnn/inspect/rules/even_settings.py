"""Settings of a window that drop no rows, skip no cells and pad evenly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxcnn.geometry.axis_maps import StridedAxis
from jaxcnn.geometry.window import effective_kernel_size
from jaxcnn.inspect.rules.reads import cells_read, real_share

if TYPE_CHECKING:
    from collections.abc import Callable


def even_settings(window: StridedAxis, least: float) -> list[dict[str, int]]:
    """Settings near a window's own that drop, skip and shift nothing; each is a dictionary.

    Other kernel sizes and paddings that keep the number of outputs come first, then other input
    sizes; both change together only if nothing else works. One setting always exists: a kernel as
    long as the stride, without padding, on a size that it fits. At least the share ``least`` of
    what a setting reads is cells, or as large a share as the window's own.
    """
    kernel_size, stride = len(window.taps), window.stride
    span = (window.output - 1) * stride
    own = {
        "kernel_size": kernel_size,
        "size": window.size,
        "padding": window.low if window.low == window.high else None,
        "dilation": window.dilation,
    }
    kernel_sizes = [
        *(kernel_size, kernel_size - 1, kernel_size + 1, kernel_size - 2, kernel_size + 2),
        *(stride, stride + 1),
    ]
    same_size, same_kernel, neither = [], [], []
    for dilation in dict.fromkeys((window.dilation, 1)):
        for taps in dict.fromkeys(n for n in kernel_sizes if n > 0):
            new = {"kernel_size": taps, "dilation": dilation}
            extent = effective_kernel_size(taps, dilation)
            pad, odd = divmod(span + extent - window.size, 2)
            same_size += [] if odd else [own | new | {"padding": pad}]
            is_own = (taps, dilation) == (kernel_size, window.dilation)
            for reach in (span, span + stride):
                for pad in dict.fromkeys((window.low, window.high, 0)):
                    size = {"size": reach + extent - 2 * pad, "padding": pad}
                    (same_kernel if is_own else neither).append(own | new | size)
    least = min(least, real_share(window))
    by_kernel, by_size, by_both = (
        sorted((o for o in group if _is_even(**o, stride=stride, least=least)), key=_changes(own))
        for group in (same_size, same_kernel, neither)
    )
    found = [*by_kernel[:2], *by_size[:2]] or by_both[:1]
    found.sort(key=lambda o: (o["size"] != window.size, o["kernel_size"], o["size"]))
    return [{key: value for key, value in o.items() if value != own[key]} for o in found]


def _changes(own: dict[str, Any]) -> Callable[[dict[str, Any]], int]:
    """A function that counts the settings that differ from a window's own."""
    return lambda setting: sum(
        setting[key] != own[key] for key in ("kernel_size", "size", "padding")
    )


def _is_even(
    *, size: int, kernel_size: int, padding: int, dilation: int, stride: int, least: float
) -> bool:
    """Whether a window drops, skips and shifts nothing, and reads at least this share of cells."""
    if size < 1 or padding < 0 or size + 2 * padding < effective_kernel_size(kernel_size, dilation):
        return False
    pads = (padding, padding)
    window = StridedAxis.sliding_window(
        size, kernel_size, stride=stride, padding=pads, dilation=dilation
    )
    return not window.unread and bool(cells_read(window).all()) and real_share(window) >= least
