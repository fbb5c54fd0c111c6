"""The shapes of depthwise and separable convolutions: those of the convolutions that they are."""

from __future__ import annotations

from collections.abc import Sequence

from jaxcnn.errors import InputError
from jaxcnn.geometry import Padding
from jaxcnn.shapes.checks import (
    other_layouts,
    require_bias,
    require_number,
    split_kernel,
    split_shape,
)
from jaxcnn.shapes.conv import ConvShapes, conv_shapes


def depthwise_shapes(
    x: Sequence[int],
    kernel: Sequence[int],
    bias: Sequence[int] | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
    padding_mode: str = "zeros",
    name: str = "kernel",
) -> ConvShapes:
    """The grouped convolution, one group a channel, that a depthwise convolution is.

    Args:
      x: (N, *spatial, C), or (*spatial, C) for one example.
      kernel: (*F, C, multiplier).
      bias: (C * multiplier,), or None.
      stride, padding, dilation, rounding, padding_mode: as in :func:`jaxcnn.depthwise_conv`.
      name: what errors call the kernel.

    Raises:
      InputError: naming the argument and the numbers, and what to type instead.

    >>> depthwise_shapes((7, 7, 3), (3, 3, 3, 2)).output
    (5, 5, 6)
    """
    x, kernel = tuple(x), tuple(kernel)
    filters = split_kernel(name, kernel, "C", "multiplier")
    _, _, channels = split_shape(x, len(filters), f"{name} of shape {kernel}")
    require_number(x, channels, kernel, kernel[-2])
    of, multiplier = kernel[-2:]
    if of != channels:
        ways = other_layouts(x, kernel, len(filters), of)
        if of == 1 and multiplier % channels == 0:  # a convolution's, in as many groups
            shape = (*filters, channels, multiplier // channels)
            ways = [f"{name}.reshape({shape}) if it is of Flax's layout, (*F, 1, C*multiplier)"]
        raise InputError(
            f"x of shape {x} has {channels} channels, but {name} of shape {kernel} (*F, C, "
            f"multiplier) filters {of}.",
            *ways,
            f"one of shape {(*filters, channels, multiplier)}",
        )
    out = channels * multiplier
    require_bias(bias, out, f"the {channels}*{multiplier} = {out} filters of {name} {kernel}")
    return conv_shapes(
        x,
        (*filters, 1, out),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=channels,
        rounding=rounding,
        padding_mode=padding_mode,
    )


def separable_shapes(
    x: Sequence[int],
    depthwise_kernel: Sequence[int],
    pointwise_kernel: Sequence[int],
    bias: Sequence[int] | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
    padding_mode: str = "zeros",
) -> tuple[ConvShapes, ConvShapes]:
    """The two convolutions that a separable one is: depthwise, then pointwise.

    Args:
      x: (N, *spatial, C), or (*spatial, C) for one example.
      depthwise_kernel: (*F, C, multiplier).
      pointwise_kernel: (1, ..., 1, C * multiplier, C_out), a 1 for each spatial axis.
      bias: (C_out,), or None.
      stride, padding, dilation, rounding, padding_mode: of the depthwise convolution.

    Raises:
      InputError: naming the argument and the numbers, and what to type instead.

    >>> [shapes.output for shapes in separable_shapes((7, 7, 3), (3, 3, 3, 2), (1, 1, 6, 8))]
    [(5, 5, 6), (5, 5, 8)]
    """
    pointwise_kernel = tuple(pointwise_kernel)
    first = depthwise_shapes(
        x,
        depthwise_kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        rounding=rounding,
        padding_mode=padding_mode,
        name="depthwise_kernel",
    )
    ones = (1,) * len(first.windows)
    if pointwise_kernel[:-1] != (*ones, first.out_channels) or pointwise_kernel[-1] == 0:
        out = pointwise_kernel[-1] or 1 if len(pointwise_kernel) == len(ones) + 2 else "C_out"
        raise InputError(
            f"pointwise_kernel of shape {pointwise_kernel} does not mix the {first.out_channels} "
            f"feature maps of depthwise_kernel {tuple(depthwise_kernel)}; use shape "
            f"({', '.join(map(str, (*ones, first.out_channels, out)))})"
        )
    out = pointwise_kernel[-1]
    require_bias(bias, out, f"the {out} filters of pointwise_kernel {pointwise_kernel}")
    return first, conv_shapes(first.output, pointwise_kernel)
