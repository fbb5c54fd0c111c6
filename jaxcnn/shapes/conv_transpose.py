"""Checks and shapes of a transposed convolution: those of the convolution that it transposes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from jaxcnn.errors import Advice, InputError
from jaxcnn.geometry.check import integer, per_axis
from jaxcnn.geometry.padding import Padding, resolve_padding
from jaxcnn.geometry.placement import collect_windows
from jaxcnn.geometry.transposed_sizes import transposed_window
from jaxcnn.shapes.checks import (
    divisors,
    other_layouts,
    require_bias,
    split_for_kernel,
    split_kernel,
)
from jaxcnn.shapes.conv import ConvShapes
from jaxcnn.shapes.operation import Edge

if TYPE_CHECKING:
    from collections.abc import Sequence


def conv_transpose_shapes(
    x: Sequence[int],
    kernel: Sequence[int],
    bias: Sequence[int] | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    output_size: int | Sequence[int] | None = None,
    output_padding: int | Sequence[int] = 0,
) -> ConvShapes:
    """The shapes of the convolution whose transpose is called, checked: x is its output.

    Args:
      x: (N, *k, K), or (*k, K) for one example.
      kernel: (*F, C/groups, K), the kernel of that convolution.
      bias: (C,), or None.
      stride, padding, dilation, groups, output_size, output_padding: as in
        :func:`jaxcnn.conv_transpose`.

    Raises:
      InputError: if these do not fit; names argument and numbers, and what to type instead.

    >>> conv_transpose_shapes((4, 4, 8), (4, 4, 3, 8), stride=2, padding=1).input
    (8, 8, 3)
    """
    x, kernel = tuple(x), tuple(kernel)
    filters = split_kernel("kernel", kernel, "C/groups", "K")
    in_group, out_channels = kernel[-2:]
    groups = integer("groups", groups, least=1)
    batch, spatial, channels = split_for_kernel(x, kernel, len(filters), out_channels)
    if channels != out_channels:
        raise InputError(
            f"x of shape {x} has {channels} channels, but kernel of shape {kernel} (*F, C/groups, "
            f"K) takes K = {out_channels}: a transposed convolution maps the kernel's "
            f"filters back to the channels they read.",
            *other_layouts(x, len(filters), out_channels, kernel[0]),
            f"a kernel of shape {(*filters, in_group, channels)}",
            *(
                ["kernel.swapaxes(-2, -1) if its last two axes are swapped"]
                if in_group == channels and groups == 1
                else []
            ),
        )
    if channels % groups:
        raise InputError(
            f"groups {groups} does not divide the {channels} channels of x {x}.",
            Advice("groups", divisors(channels)),
        )
    restored = in_group * groups
    require_bias(bias, restored, f"the {in_group}*{groups} = {restored} channels of the result")
    axes = len(filters)
    strides = per_axis("stride", stride, axes, least=1)
    dilations = per_axis("dilation", dilation, axes, least=1)
    extras = per_axis("output_padding", output_padding, axes, least=0)
    wanted: Sequence[int | None] = (None,) * axes
    if output_size is not None:
        wanted = per_axis("output_size", output_size, axes, least=1, symbolic=True)
    # SAME padding depends on the output size, so the two are resolved together.
    pads = (
        (padding,) * axes
        if isinstance(padding, str) and padding.upper().startswith("SAME")
        else resolve_padding(
            padding, spatial, filters, stride=strides, dilation=dilations, least=None
        )
    )
    lay = [
        partial(
            transposed_window,
            size,
            filters[i],
            stride=strides[i],
            padding=pads[i],
            dilation=dilations[i],
            output_size=wanted[i],
            output_padding=extras[i],
        )
        for i, size in enumerate(spatial)
    ]
    windows = collect_windows(
        lay, sizes=spatial, padding=pads, output_size=wanted, output_padding=extras
    )
    return ConvShapes(batch, windows, restored, out_channels, groups)


conv_transpose = Edge("conv_transpose", conv_transpose_shapes, arrays=("x", "kernel", "bias"))
