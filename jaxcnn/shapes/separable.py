"""Checks and shapes of depthwise and separable convolutions, both made of convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jaxcnn.errors import InputError
from jaxcnn.shapes.checks import other_layouts, require_bias, split_for_kernel, split_kernel
from jaxcnn.shapes.conv import ConvShapes, conv_shapes
from jaxcnn.shapes.operation import Edge, OperationShapes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.geometry import Padding


@dataclass(frozen=True)
class SeparableShapes(OperationShapes):
    """A checked separable convolution: a depthwise convolution, then a pointwise one.

    Attributes:
      batch, dtype: as in :class:`OperationShapes`.
      depthwise, pointwise: the shapes of the two convolutions.

    >>> shapes = separable_shapes((7, 7, 3), (3, 3, 3, 2), (1, 1, 6, 8))
    >>> shapes.depthwise.output, shapes.pointwise.output
    ((5, 5, 6), (5, 5, 8))
    """

    depthwise: ConvShapes
    pointwise: ConvShapes

    @property
    def output(self) -> tuple[int, ...]:
        """The shape of the result, with a batch axis if the caller's x has one."""
        return self.pointwise.output

    @property
    def has_fractions(self) -> bool:
        """Whether outputs are scaled by their share of real cells."""
        return self.depthwise.has_fractions


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
    """The shapes of a depthwise convolution, checked: a convolution with one group per channel.

    Args:
      x: (N, *spatial, C), or (*spatial, C) for one example.
      kernel: (*F, C, multiplier).
      bias: (C * multiplier,), or None.
      stride, padding, dilation, rounding, padding_mode: as in :func:`jaxcnn.depthwise_conv`.
      name: the name of the kernel, for error texts.

    Raises:
      InputError: if these do not fit; names argument and numbers, and what to type instead.

    >>> depthwise_shapes((7, 7, 3), (3, 3, 3, 2)).output
    (5, 5, 6)
    """
    x, kernel = tuple(x), tuple(kernel)
    filters = split_kernel(name, kernel, "C", "multiplier")
    takes, multiplier = kernel[-2:]
    _, _, channels = split_for_kernel(x, kernel, len(filters), takes, name=name)
    if takes != channels:
        ways = other_layouts(x, len(filters), takes)
        if takes == 1 and multiplier % channels == 0:  # a grouped convolution's kernel
            shape = (*filters, channels, multiplier // channels)
            ways = [f"{name}.reshape({shape}) if it is in Flax's layout, (*F, 1, C*multiplier)"]
        raise InputError(
            f"x of shape {x} has {channels} channels, but {name} of shape {kernel} (*F, C, "
            f"multiplier) takes {takes}.",
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
    **arguments: Any,
) -> SeparableShapes:
    """The shapes of a separable convolution, checked.

    Args:
      x: (N, *spatial, C), or (*spatial, C) for one example.
      depthwise_kernel: (*F, C, multiplier).
      pointwise_kernel: (1, ..., 1, C * multiplier, C_out), a 1 for each spatial axis.
      bias: (C_out,), or None.
      arguments: those of the depthwise convolution, as in :func:`depthwise_shapes`.

    Raises:
      InputError: if these do not fit; names argument and numbers, and what to type instead.

    >>> separable_shapes((7, 7, 3), (3, 3, 3, 2), (1, 1, 6, 8)).output
    (5, 5, 8)
    """
    pointwise_kernel = tuple(pointwise_kernel)
    depthwise = depthwise_shapes(x, depthwise_kernel, name="depthwise_kernel", **arguments)
    ones, maps = (1,) * len(depthwise.windows), depthwise.out_channels
    if pointwise_kernel[:-1] != (*ones, maps) or pointwise_kernel[-1] == 0:
        out = pointwise_kernel[-1] or 1 if len(pointwise_kernel) == len(ones) + 2 else "C_out"
        raise InputError(
            f"pointwise_kernel of shape {pointwise_kernel} does not mix the {maps} feature maps of "
            f"depthwise_kernel {tuple(depthwise_kernel)}; use shape "
            f"({', '.join(map(str, (*ones, maps, out)))})"
        )
    out = pointwise_kernel[-1]
    require_bias(bias, out, f"the {out} filters of pointwise_kernel {pointwise_kernel}")
    pointwise = conv_shapes(depthwise.output, pointwise_kernel)
    return SeparableShapes(depthwise.batch, depthwise, pointwise)


depthwise_conv = Edge("depthwise_conv", depthwise_shapes, arrays=("x", "kernel", "bias"))
separable_conv = Edge(
    "separable_conv",
    separable_shapes,
    arrays=("x", "depthwise_kernel", "pointwise_kernel", "bias"),
)
