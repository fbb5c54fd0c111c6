"""The shapes of the convolution's relatives: depthwise, separable, local and causal.

Each is checked in the words of the person who called it, and then described by the convolution
that it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from jaxcnn.errors import InputError, omit_advice
from jaxcnn.geometry._symbolic import is_symbolic
from jaxcnn.geometry.check import integer
from jaxcnn.geometry.padding import Padding
from jaxcnn.geometry.padding_mode import check_padding_mode
from jaxcnn.geometry.placement import place_windows
from jaxcnn.geometry.shapes import (
    ConvShapes,
    conv_shapes,
    other_layouts,
    require_bias,
    require_floor_or_exact,
    require_number,
    split_kernel,
    split_shape,
)
from jaxcnn.geometry.window import effective_kernel_size


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


def causal_shapes(
    x: Sequence[int],
    kernel: Sequence[int],
    bias: Sequence[int] | None = None,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    rounding: str = "exact",
) -> ConvShapes:
    """A convolution along one axis, time, with the padding of which no output sees a later cell.

    Args:
      x: (N, T, C_in), or (T, C_in) for one example.
      kernel: (F, C_in/groups, C_out).
      bias: (C_out,), or None.
      stride, dilation, groups, rounding: as in :func:`jaxcnn.causal_conv`.

    Raises:
      InputError: naming the argument and the numbers, and what to type instead.

    >>> causal_shapes((100, 3), (5, 3, 8), dilation=2).windows[0].padding
    (8, 0)
    """
    _require_time_alone(tuple(kernel))
    with omit_advice("padding"):
        return conv_shapes(
            x,
            kernel,
            bias,
            stride=integer("stride", stride, least=1),
            padding="CAUSAL",
            dilation=integer("dilation", dilation, least=1),
            groups=groups,
            rounding=rounding,
        )


def causal_state_shape(
    kernel: Sequence[int], *, batch: int | None = None, dilation: int = 1, groups: int = 1
) -> tuple[int, ...]:
    """The cells that a causal convolution looks back on, (batch, F'-1, C_in) or (F'-1, C_in).

    >>> causal_state_shape((3, 2, 8), batch=4, dilation=5)
    (4, 10, 2)
    """
    kernel = tuple(kernel)
    _require_time_alone(kernel)
    back = effective_kernel_size(kernel[0], dilation) - 1
    cells = (back, kernel[1] * integer("groups", groups, least=1))
    return cells if batch is None else (integer("batch", batch, least=0), *cells)


def causal_stream_shapes(
    chunk: Sequence[int],
    state: Sequence[int],
    kernel: Sequence[int],
    bias: Sequence[int] | None = None,
    *,
    dilation: int = 1,
    groups: int = 1,
) -> ConvShapes:
    """:func:`causal_shapes` of a chunk, whose padding is the ``state`` carried from the one before.

    >>> causal_stream_shapes((7, 3), (8, 3), (5, 3, 8), dilation=2).output
    (7, 8)
    """
    chunk, state, kernel = tuple(chunk), tuple(state), tuple(kernel)
    back, channels = causal_state_shape(kernel, dilation=dilation, groups=groups)
    if len(chunk) not in (2, 3) or chunk[-1] != channels:
        raise InputError(
            f"chunk of shape {chunk} does not fit kernel of shape {kernel} with groups {groups}, "
            f"which takes {channels} channels; use shape (N, L, {channels}), or (L, {channels}) "
            f"for one example"
        )
    fitting = (*chunk[:-2], back, channels)
    if state != fitting:
        raise InputError(
            f"state of shape {state} does not fit chunk of shape {chunk} and kernel of shape "
            f"{kernel} with dilation {dilation}, which looks back {back} cells; use shape "
            f"{fitting}, from causal_conv_state or the call before"
        )
    return causal_shapes(chunk, kernel, bias, dilation=dilation, groups=groups)


def _require_time_alone(kernel: tuple[int, ...]) -> None:
    if len(kernel) != 3:
        raise InputError(
            f"kernel of shape {kernel} has {len(kernel)} axes; a causal convolution runs along one "
            f"axis, time: use (F, C_in/groups, C_out)"
        )
