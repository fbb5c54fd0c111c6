"""The shapes of whole operations: what a convolution or a pool makes of its arrays' shapes.

Arguments are normalised here, once; what runs on arrays gets frozen numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from jaxcnn.errors import Advice, InputError
from jaxcnn.geometry._symbolic import is_symbolic, require_at_least
from jaxcnn.geometry.check import integer, is_sequence, per_axis
from jaxcnn.geometry.coverage import first_empty_output
from jaxcnn.geometry.padding import Padding
from jaxcnn.geometry.padding_advice import nonempty_window_advice
from jaxcnn.geometry.padding_mode import check_padding_mode
from jaxcnn.geometry.placement import place_windows
from jaxcnn.geometry.window import Window


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
        return (*_batch_axis(self.batch), *sizes, self.in_channels)

    @property
    def output(self) -> tuple[int, ...]:
        """The output's shape, with a batch axis iff x had one."""
        return (*_batch_axis(self.batch), *self.spatial, self.out_channels)

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


@dataclass(frozen=True)
class PoolShapes:
    """A checked pool over x (N, *spatial, C), which leaves the channels alone.

    Attributes:
      batch: N, or None where x came without a batch axis.
      windows: one :class:`Window` for each spatial axis.
      channels: C.

    >>> PoolShapes(8, (Window(28, 2, stride=2),), channels=3).output
    (8, 14, 3)
    """

    batch: int | None
    windows: tuple[Window, ...]
    channels: int

    @property
    def spatial(self) -> tuple[int, ...]:
        """The output's spatial sizes."""
        return tuple(window.output for window in self.windows)

    @property
    def output(self) -> tuple[int, ...]:
        """The output's shape, with a batch axis iff x had one."""
        return (*_batch_axis(self.batch), *self.spatial, self.channels)

    @property
    def paddings(self) -> tuple[tuple[int, int], ...]:
        return tuple(window.padding for window in self.windows)


def pool_shapes(
    x: Sequence[int],
    kernel_size: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
) -> PoolShapes:
    """Checks the shape and arguments of a pool and lays its windows.

    Args:
      x: (N, *spatial, C); or (*spatial, C) where ``kernel_size`` lists one size for each axis.
      kernel_size: the window's size, one for all spatial axes or one each.
      stride: None takes the window's size, so that windows neither overlap nor leave gaps.
      padding, dilation, rounding: as in :func:`jaxcnn.conv`.

    Raises:
      InputError: as for a convolution, and where a window would hold nothing but padding.

    >>> pool_shapes((8, 28, 28, 3), 2).output
    (8, 14, 14, 3)
    """
    x = tuple(x)
    if is_sequence(kernel_size):
        axes, asked = len(kernel_size), f"kernel_size {tuple(kernel_size)!r}"
    else:
        axes, asked = max(1, len(x) - 2), f"kernel_size {kernel_size!r}"
    batch, spatial, channels = split_shape(x, axes, asked)
    kernel_size = per_axis("kernel_size", kernel_size, axes, least=1)
    laid = place_windows(
        spatial,
        kernel_size,
        stride=kernel_size if stride is None else stride,
        padding=padding,
        dilation=dilation,
        rounding=rounding,
        check=_require_cells,
    )
    return PoolShapes(batch, laid, channels)


def _require_cells(laid: Sequence[Window], rounding: str) -> None:
    """Refuses windows that hold nothing but padding."""
    for axis in laid:
        empty = first_empty_output(axis)
        if empty is not None:
            raise InputError(
                f"{axis.axis} {axis.size} with kernel_size {axis.kernel_size}, dilation {axis.dilation}, "
                f"stride {axis.stride}, padding {axis.padding}: output {empty} would pool "
                f"nothing but padding.",
                *nonempty_window_advice(laid, rounding),
                *(["a smaller dilation"] if axis.dilation > 1 else []),
            )


def split_shape(
    x: tuple[int, ...], axes: int, other: str, *, called: str = "x"
) -> tuple[int | None, tuple[int, ...], int]:
    """x's shape as (batch or None, spatial sizes, channels), given how many axes are spatial.

    Errors say that ``other`` tells how many, and name x as it is ``called``.
    """
    if len(x) not in (axes + 1, axes + 2):
        raise InputError(
            f"{called} of shape {x} has {len(x)} {'axis' if len(x) == 1 else 'axes'}; {other} "
            f"({axes} spatial {'axis' if axes == 1 else 'axes'}) takes {axes + 2}, "
            f"(N, *spatial, C), or {axes + 1} for one example, (*spatial, C)"
        )
    batch = x[0] if len(x) == axes + 2 else None
    spatial, channels = x[-axes - 1 : -1], x[-1]
    if is_symbolic(channels):
        require_at_least("channels", channels, 1)
    elif channels < 1:
        raise InputError(f"{called} of shape {x} has {channels} channels; use 1 or more")
    return batch, spatial, channels


def other_layouts(
    x: tuple[int, ...], kernel: tuple[int, ...], axes: int, takes: int, torch: int | None = None
) -> list[str]:
    """How to turn an x or a kernel that may be of another layout, as its sizes let think.

    ``takes`` is how many channels the kernel takes, ``torch`` how many it would in PyTorch's
    layout.

    >>> other_layouts((8, 3, 28, 28), (5, 5, 3, 6), 2, 3)
    ['jnp.moveaxis(x, 1, -1) if x is channels first']
    """
    first = len(x) - axes - 1
    if x[first] == takes:
        return [f"jnp.moveaxis(x, {first}, -1) if x is channels first"]
    if torch == x[-1]:
        return ["jaxcnn.kernel_from_torch(kernel) if it is of PyTorch's layout"]
    if torch == x[first]:
        return [
            f"jnp.moveaxis(x, {first}, -1) and jaxcnn.kernel_from_torch(kernel) if both are of "
            f"PyTorch's layouts"
        ]
    return []


def split_kernel(name: str, kernel: tuple[int, ...], *channels: str) -> tuple[int, ...]:
    """The filter sizes of a kernel (*F, ...), whose last two axes are called ``channels``."""
    if len(kernel) < 3:
        raise InputError(
            f"{name} of shape {kernel} has {len(kernel)} axes; it needs at least 3: one or more "
            f"filter sizes, then {' and '.join(channels)}, as in (3, 3, 1, 8)"
        )
    symbolic = next((size for size in kernel if is_symbolic(size)), None)
    if symbolic is not None:
        raise InputError(
            f"{name} of shape {kernel} has a symbolic size, {symbolic}; use a number: a kernel is "
            f"as large as its weights are many"
        )
    for axis, value in zip(channels, kernel[-2:], strict=True):
        if value < 1:
            raise InputError(f"{name} of shape {kernel} has {axis} = {value}; use 1 or more")
    return kernel[:-2]


def require_number(x: tuple[int, ...], channels: int, kernel: tuple[int, ...], takes: int) -> None:
    """Refuses symbolic channels of x, for a kernel has weights for so many and no others."""
    if is_symbolic(channels):
        raise InputError(
            f"channels {channels} of x {x} must be a number: kernel of shape {kernel} takes "
            f"{takes}; use {takes} for {channels}"
        )


def require_groups(groups: int, channels: int, filters: int) -> None:
    """Refuses groups for which no kernel can be made from so many channels to so many filters."""
    for number, what in ((channels, "channels of the input"), (filters, "filters")):
        if number % groups:
            raise InputError(
                f"groups {groups} does not divide the {number} {what}.",
                Advice("groups", divisors(math.gcd(channels, filters))),
            )


def require_bias(bias: Sequence[int] | None, channels: int, whose: str) -> None:
    """Refuses a bias that is not one number for each of ``channels``."""
    if bias is not None and tuple(bias) != (channels,):
        raise InputError(
            f"bias of shape {tuple(bias)} does not fit {whose}; use shape ({channels},)"
        )


def require_floor_or_exact(rounding: str) -> None:
    """Refuses the rounding that only pools know."""
    if rounding == "ceil":
        raise InputError('rounding "ceil" is for pooling; use "floor", or padding that is exact')


def require_mask(mask: tuple[int, ...], kernel: tuple[int, ...]) -> None:
    """Refuses a mask that is not, axis by axis, of the kernel's size or 1."""
    # Of the kernel's rank, and not merely broadcastable: a mask (3, 3) would align with the
    # channels of a kernel (3, 3, 3, 3) and not, as it is surely meant, with its taps.
    fits = len(mask) == len(kernel) and all(m in (1, k) for m, k in zip(mask, kernel, strict=True))
    if fits:
        return
    taps = mask == kernel[:-2]
    hint = "mask[..., None, None]" if taps else f"shape {kernel}, or 1 where all share an entry"
    raise InputError(
        f"mask of shape {mask} does not fit kernel of shape {kernel}, whose axes it needs one by "
        f"one; use {hint}"
    )


def _batch_axis(batch: int | None) -> tuple[int, ...]:
    return () if batch is None else (batch,)


def _nearest_divisor(groups: int, *numbers: int) -> int:
    """What divides all ``numbers`` and is nearest to ``groups``."""
    return min(divisors(math.gcd(*numbers)), key=lambda divisor: abs(divisor - groups))


def divisors(number: int) -> tuple[int, ...]:
    """The divisors of ``number``.

    >>> divisors(6)
    (1, 2, 3, 6)
    """
    return tuple(d for d in range(1, number + 1) if number % d == 0)
