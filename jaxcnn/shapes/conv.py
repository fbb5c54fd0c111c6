"""The shapes of a convolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from jaxcnn.errors import Advice, InputError
from jaxcnn.geometry import Padding, Window, place_windows
from jaxcnn.geometry.check import integer
from jaxcnn.geometry.padding_mode import check_padding_mode
from jaxcnn.shapes.checks import (
    batch_axis,
    divisors,
    other_layouts,
    require_bias,
    require_floor_or_exact,
    require_mask,
    require_number,
    split_kernel,
    split_shape,
)


@dataclass(frozen=True)
class ConvShapes:
    """A checked convolution: x (N, *spatial, C_in) with kernel (*F, C_in/groups, C_out).

    Attributes:
      batch: N, or None where x came without a batch axis.
      windows: one :class:`Window` for each spatial axis.
      in_channels: C_in.
      out_channels: C_out, the number of filters.
      groups: into how many parts the channels are divided.
      padding_mode: what the padding is filled with, one of :data:`jaxcnn.geometry.PADDING_MODES`.

    >>> laid = (Window(7, 3), Window(7, 3))
    >>> shapes = ConvShapes(None, laid, in_channels=3, out_channels=6, groups=1)
    >>> shapes.output, shapes.terms, shapes.multiply_adds
    ((5, 5, 6), 27, 4050)
    """

    batch: int | None
    windows: tuple[Window, ...]
    in_channels: int
    out_channels: int
    groups: int
    padding_mode: str = "zeros"

    @property
    def spatial(self) -> tuple[int, ...]:
        """The output's spatial sizes."""
        return tuple(window.output for window in self.windows)

    @property
    def input(self) -> tuple[int, ...]:
        """The shape of x, with a batch axis iff it has one."""
        sizes = (window.size for window in self.windows)
        return (*batch_axis(self.batch), *sizes, self.in_channels)

    @property
    def output(self) -> tuple[int, ...]:
        """The output's shape, with a batch axis iff x had one."""
        return (*batch_axis(self.batch), *self.spatial, self.out_channels)

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(window.stride for window in self.windows)

    @property
    def paddings(self) -> tuple[tuple[int, int], ...]:
        return tuple(window.padding for window in self.windows)

    @property
    def dilations(self) -> tuple[int, ...]:
        return tuple(window.dilation for window in self.windows)

    @property
    def terms(self) -> int:
        """Products summed for one output: taps times channels in a group."""
        return math.prod(w.kernel_size for w in self.windows) * (self.in_channels // self.groups)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one example, those with padding counted."""
        return self.terms * self.out_channels * math.prod(self.spatial)


def conv_shapes(
    x: Sequence[int],
    kernel: Sequence[int],
    bias: Sequence[int] | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    rounding: str = "exact",
    padding_mode: str = "zeros",
    mask: Sequence[int] | None = None,
) -> ConvShapes:
    """Checks the shapes and arguments of a convolution and lays its windows.

    Args:
      x: (N, *spatial, C_in), or (*spatial, C_in) for one example.
      kernel: (*F, C_in/groups, C_out); its rank tells how many spatial axes there are.
      bias: (C_out,), or None.
      stride, padding, dilation, groups, rounding, padding_mode: as in :func:`jaxcnn.conv`.
      mask: the mask's shape, axis by axis the kernel's or 1; or None.

    Raises:
      InputError: naming the argument and the numbers, and what to type instead.

    >>> conv_shapes((7, 7, 3), (3, 3, 3, 6)).output
    (5, 5, 6)
    """
    require_floor_or_exact(rounding)
    x, kernel = tuple(x), tuple(kernel)
    filters = split_kernel("kernel", kernel, "C_in/groups", "C_out")
    batch, spatial, channels = split_shape(x, len(filters), f"kernel of shape {kernel}")
    groups = integer("groups", groups, least=1)
    in_group, out_channels = kernel[-2:]
    require_number(x, channels, kernel, in_group * groups)
    asked = f"kernel of shape {kernel} with groups {groups} takes {in_group}*{groups}"
    fitting = channels // in_group
    fits = fitting > 0 and channels % in_group == out_channels % fitting == 0
    for number, whose in (
        (channels, f"channels of x {x}"),
        (out_channels, f"filters of kernel {kernel}"),
    ):
        if number % groups:
            near = _nearest_divisor(groups, channels, out_channels)
            raise InputError(
                f"groups {groups} does not divide the {number} {whose}.",
                Advice("groups", (fitting,))
                if fits
                else f"groups={near} with a kernel of shape "
                f"{(*filters, channels // near, out_channels)}",
            )
    if channels != in_group * groups:
        torch = None if kernel[0] % groups else kernel[1] * groups
        raise InputError(
            f"x of shape {x} has {channels} channels, but {asked} = {in_group * groups}.",
            *other_layouts(x, kernel, len(filters), in_group * groups, torch),
            f"a kernel of shape {(*filters, channels // groups, out_channels)}",
            *([Advice("groups", (fitting,))] if fits else []),
        )
    require_bias(bias, out_channels, f"the {out_channels} filters of kernel {kernel}")
    if mask is not None:
        require_mask(tuple(mask), kernel)
    laid = place_windows(
        spatial,
        filters,
        stride=stride,
        padding=padding,
        dilation=dilation,
        rounding=rounding,
        check=partial(check_padding_mode, padding_mode),
    )
    return ConvShapes(batch, laid, channels, out_channels, groups, padding_mode)


def _nearest_divisor(groups: int, *numbers: int) -> int:
    """What divides all ``numbers`` and is nearest to ``groups``."""
    return min(divisors(math.gcd(*numbers)), key=lambda divisor: abs(divisor - groups))
