"""The shapes of a local convolution."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from jaxcnn.errors import InputError
from jaxcnn.geometry import Padding, place_windows
from jaxcnn.geometry._symbolic import is_symbolic
from jaxcnn.geometry.padding_mode import check_padding_mode
from jaxcnn.shapes.checks import (
    other_layouts,
    require_floor_or_exact,
    require_number,
    split_kernel,
    split_shape,
)
from jaxcnn.shapes.conv import ConvShapes


def local_shapes(
    x: Sequence[int],
    kernel: Sequence[int],
    bias: Sequence[int] | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
    padding_mode: str = "zeros",
) -> ConvShapes:
    """The convolution whose windows a local one has; its filters differ from place to place.

    Args:
      x: (N, *spatial, C_in), or (*spatial, C_in) for one example.
      kernel: (*k, *F, C_in, C_out), with k the number of outputs on each axis.
      bias: (*k, C_out) or (C_out,), or None.
      stride, padding, dilation, rounding, padding_mode: as in :func:`jaxcnn.local_conv`.

    Raises:
      InputError: naming the argument and the numbers, and what to type instead.

    >>> local_shapes((7, 7, 3), (5, 5, 3, 3, 3, 6)).output
    (5, 5, 6)
    """
    require_floor_or_exact(rounding)
    x, kernel = tuple(x), tuple(kernel)
    if len(kernel) < 4 or len(kernel) % 2:
        raise InputError(
            f"kernel of shape {kernel} has {len(kernel)} axes; a local convolution over n axes has "
            f"2n + 2: the outputs' n sizes, the filter's n sizes, C_in and C_out, as in "
            f"(5, 5, 3, 3, 1, 8)"
        )
    axes = len(kernel) // 2 - 1
    places, filters = kernel[:axes], split_kernel("kernel", kernel, "C_in", "C_out")[axes:]
    batch, spatial, channels = split_shape(x, axes, f"kernel of shape {kernel}")
    of, out_channels = kernel[-2:]
    require_number(x, channels, kernel, of)
    if of != channels:
        raise InputError(
            f"x of shape {x} has {channels} channels, but kernel of shape {kernel} takes {of}.",
            *other_layouts(x, kernel, axes, of),
            f"a kernel of shape {(*places, *filters, channels, out_channels)}",
        )
    laid = place_windows(
        spatial,
        filters,
        stride=stride,
        padding=padding,
        dilation=dilation,
        rounding=rounding,
        check=partial(check_padding_mode, padding_mode),
    )
    symbolic = next((axis for axis in laid if is_symbolic(axis.size)), None)
    if symbolic is not None:
        raise InputError(
            f"{symbolic.axis} {symbolic.size} of x {x} is symbolic, but kernel of shape {kernel} "
            f"has filters for {places} places and no others; use a number"
        )
    shapes = ConvShapes(batch, laid, channels, out_channels, 1, padding_mode)
    if places != shapes.spatial:
        raise InputError(
            f"kernel of shape {kernel} has filters for {places} places, but {filters} filters have "
            f"{shapes.spatial} places on x of shape {x} ({'; '.join(map(str, laid))}); use a "
            f"kernel of shape {(*shapes.spatial, *filters, channels, out_channels)}"
        )
    fitting = ((out_channels,), (*places, out_channels))
    if bias is not None and tuple(bias) not in fitting:
        raise InputError(
            f"bias of shape {tuple(bias)} does not fit kernel of shape {kernel}; use shape "
            f"{fitting[1]}, or {fitting[0]} for one number a feature map"
        )
    return shapes
