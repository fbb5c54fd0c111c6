"""Rules on transposed convolutions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jaxcnn.geometry.window import effective_kernel_size
from jaxcnn.inspect.rules.by_axis import AxisFlaw, flaws_by_axis
from jaxcnn.inspect.rules.rule import Flaw, rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxcnn.geometry.axis_maps import StridedAxis
    from jaxcnn.inspect.network import Network


@rule(
    "JC004",
    "checkerboard",
    example="kernel 5, stride 2: 9, 6 and 4 products in turn; kernel 4, stride 2: 4 everywhere.",
)
def checkerboard(network: Network) -> Iterable[Flaw]:
    """A transposed convolution whose kernel is not a multiple of its stride sums different numbers
    of products for neighbouring outputs, which shows as a checkered pattern. Odena et al.,
    doi:10.23915/distill.00003.
    """
    return flaws_by_axis(network, ("transposed conv",), _checkerboard_on)


def _checkerboard_on(window: StridedAxis, _least: float) -> AxisFlaw | None:
    counts = _products(window)
    if len(counts) == 1:
        return None
    kernel_size, stride = len(window.taps), window.input_dilation
    sums = f"neighbouring outputs along the axis are sums of {_all_of(counts)} products"
    if kernel_size % stride:
        message = f": kernel {kernel_size} is not a multiple of stride {stride}: {sums} in turn"
    else:  # the dilation skips some of the stride's places
        message = (
            f": kernel {kernel_size} with dilation {window.dilation} at stride {stride}: {sums}"
        )
    below = kernel_size - kernel_size % stride
    own = {"kernel_size": kernel_size, "dilation": window.dilation}
    for dilation in dict.fromkeys((window.dilation, 1)):
        settings = [
            {key: value for key, value in new.items() if value != own[key]}
            for taps in (below, below + stride)
            if taps > 0
            for new in ({"kernel_size": taps, "dilation": dilation},)
            if len(_products(_with_kernel(window, **new))) == 1
        ]
        if settings:
            break
    return AxisFlaw(message, settings, ["resize and then convolve with stride 1"])


def _all_of(counts: Iterable[int]) -> str:
    return " and ".join(map(str, sorted(counts)))


def _products(window: StridedAxis) -> set[int]:
    """The numbers of products that are summed for the outputs in the middle."""
    middle = window.output // 2
    return {len(window.cells(o)) for o in range(middle, middle + window.period(1))}


def _with_kernel(window: StridedAxis, kernel_size: int, dilation: int) -> StridedAxis:
    """The window with another kernel and the same number of outputs."""
    taps = tuple(range(0, effective_kernel_size(kernel_size, dilation), dilation))
    more = taps[-1] - window.taps[-1]
    low, high = window.low + more // 2, window.high + more - more // 2
    return replace(window, taps=taps, low=low, high=high)
