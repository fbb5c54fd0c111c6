"""Checks and shapes of a local convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxcnn.errors import InputError
from jaxcnn.geometry._symbolic import is_symbolic
from jaxcnn.shapes.checks import other_layouts, split_for_kernel, split_kernel
from jaxcnn.shapes.conv import ConvShapes, conv_shapes
from jaxcnn.shapes.operation import Edge

if TYPE_CHECKING:
    from collections.abc import Sequence


def local_shapes(
    x: Sequence[int],
    kernel: Sequence[int],
    bias: Sequence[int] | None = None,
    **arguments: Any,
) -> ConvShapes:
    """The shapes of a local convolution, checked: those of a convolution with the same windows.

    Args:
      x: (N, *spatial, C_in), or (*spatial, C_in) for one example.
      kernel: (*k, *F, C_in, C_out), with k the number of outputs on each axis.
      bias: (*k, C_out) or (C_out,), or None.
      arguments: stride, padding, dilation, rounding and padding_mode, as in :func:`conv_shapes`.

    Raises:
      InputError: if these do not fit; names argument and numbers, and what to type instead.

    >>> local_shapes((7, 7, 3), (5, 5, 3, 3, 3, 6)).output
    (5, 5, 6)
    """
    x, kernel = tuple(x), tuple(kernel)
    if len(kernel) < 4 or len(kernel) % 2:
        raise InputError(
            f"kernel of shape {kernel} has {len(kernel)} axes; a local convolution over n axes has "
            f"2n + 2: the outputs' n sizes, the kernel's n sizes, C_in and C_out, as in "
            f"(5, 5, 3, 3, 1, 8)"
        )
    axes = len(kernel) // 2 - 1
    places, filters = kernel[:axes], split_kernel("kernel", kernel, "C_in", "C_out")[axes:]
    takes, out_channels = kernel[-2:]
    _, _, channels = split_for_kernel(x, kernel, axes, takes)
    if takes != channels:
        raise InputError(
            f"x of shape {x} has {channels} channels, but kernel of shape {kernel} takes {takes}.",
            *other_layouts(x, axes, takes),
            f"a kernel of shape {(*places, *filters, channels, out_channels)}",
        )
    shapes = conv_shapes(x, (*filters, channels, out_channels), **arguments)
    symbolic = next((axis for axis in shapes.windows if is_symbolic(axis.size)), None)
    if symbolic is not None:
        raise InputError(
            f"{symbolic.axis} {symbolic.size} of x {x} is symbolic, but kernel of shape {kernel} "
            f"has filters for exactly {places} positions; use a number"
        )
    if places != shapes.spatial:
        raise InputError(
            f"kernel of shape {kernel} has filters for {places} positions, but windows of "
            f"{filters} have {shapes.spatial} positions on x of shape {x} "
            f"({'; '.join(map(str, shapes.windows))}); use a kernel of shape "
            f"{(*shapes.spatial, *filters, channels, out_channels)}"
        )
    fitting = ((out_channels,), (*places, out_channels))
    if bias is not None and tuple(bias) not in fitting:
        raise InputError(
            f"bias of shape {tuple(bias)} does not fit kernel of shape {kernel}; use shape "
            f"{fitting[1]}, or {fitting[0]} for one number per feature map"
        )
    return shapes


local_conv = Edge("local_conv", local_shapes, arrays=("x", "kernel", "bias"))
