"""Checks and shapes of a convolution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from jaxcnn.errors import Advice, InputError
from jaxcnn.geometry import Padding, place_windows
from jaxcnn.geometry.check import integer
from jaxcnn.geometry.padding_mode import check_padding_mode
from jaxcnn.shapes.checks import (
    TORCH_KERNEL,
    divisors,
    other_layouts,
    require_bias,
    require_floor_or_exact,
    require_mask,
    split_for_kernel,
    split_kernel,
)
from jaxcnn.shapes.operation import Edge, WindowShapes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import jax


@dataclass(frozen=True)
class ConvShapes(WindowShapes):
    """A checked convolution: x (N, *spatial, C_in) with kernel (*F, C_in/groups, C_out).

    Attributes:
      batch, dtype: as in :class:`OperationShapes`.
      windows: one :class:`jaxcnn.geometry.Window` for each spatial axis.
      in_channels: C_in.
      out_channels: C_out, the number of filters.
      groups: the number of parts into which the channels are divided.
      padding_mode: what the padding holds, one of :data:`jaxcnn.geometry.PADDING_MODES`.

    >>> from jaxcnn.geometry import Window
    >>> windows = (Window(7, 3), Window(7, 3))
    >>> shapes = ConvShapes(None, windows, in_channels=3, out_channels=6, groups=1)
    >>> shapes.output, shapes.terms, shapes.multiply_adds
    ((5, 5, 6), 27, 4050)
    """

    in_channels: int
    out_channels: int
    groups: int
    padding_mode: str = "zeros"

    @property
    def input(self) -> tuple[int, ...]:
        """The shape of the caller's x."""
        return self.with_batch(*(window.size for window in self.windows), self.in_channels)

    @property
    def output(self) -> tuple[int, ...]:
        """The shape of the result, with a batch axis if the caller's x has one."""
        return self.with_batch(*self.spatial, self.out_channels)

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(window.stride for window in self.windows)

    @property
    def dilations(self) -> tuple[int, ...]:
        return tuple(window.dilation for window in self.windows)

    @property
    def has_fractions(self) -> bool:
        """Whether outputs are scaled by their share of real cells."""
        return self.padding_mode == "partial"

    @property
    def terms(self) -> int:
        """Products summed for one output: taps times channels of a group."""
        return math.prod(w.kernel_size for w in self.windows) * (self.in_channels // self.groups)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one example, including those with padding."""
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
    """The shapes of a convolution, checked.

    Args:
      x: (N, *spatial, C_in), or (*spatial, C_in) for one example.
      kernel: (*F, C_in/groups, C_out); its rank gives the number of spatial axes.
      bias: (C_out,), or None.
      stride, padding, dilation, groups, rounding, padding_mode: as in :func:`jaxcnn.conv`.
      mask: the mask's shape, on each axis the kernel's size or 1; or None.

    Raises:
      InputError: if these do not fit; names argument and numbers, and what to type instead.

    >>> conv_shapes((7, 7, 3), (3, 3, 3, 6)).output
    (5, 5, 6)
    """
    require_floor_or_exact(rounding)
    x, kernel = tuple(x), tuple(kernel)
    filters = split_kernel("kernel", kernel, "C_in/groups", "C_out")
    groups = integer("groups", groups, least=1)
    in_group, out_channels = kernel[-2:]
    takes = in_group * groups
    batch, spatial, channels = split_for_kernel(x, kernel, len(filters), takes)
    _require_fitting_groups(x, kernel, channels, groups)
    require_bias(bias, out_channels, f"the {out_channels} filters of kernel {kernel}")
    if mask is not None:
        require_mask(mask, kernel)
    place = partial(
        place_windows,
        spatial,
        stride=stride,
        padding=padding,
        dilation=dilation,
        rounding=rounding,
        check=partial(check_padding_mode, padding_mode),
    )
    try:
        windows = place(filters)
    except InputError as error:
        if _may_be_of_torch(kernel, channels, groups) and _is_possible(place, kernel[2:]):
            raise InputError(*error.args, TORCH_KERNEL) from None
        raise
    return ConvShapes(batch, windows, channels, out_channels, groups, padding_mode)


def _may_be_of_torch(kernel: tuple[int, ...], channels: int, groups: int) -> bool:
    """Whether a kernel (C_out, C_in/groups, *F) of PyTorch was taken for (*F, C_in/groups, C_out).

    Its spatial sizes are then the same, and the numbers of channels differ.
    """
    fits = kernel[0] % groups == 0 and kernel[1] * groups == channels
    return fits and kernel[0] != kernel[1] and kernel[-1] == kernel[-2]


def _is_possible(place: Callable[[tuple[int, ...]], Any], sizes: tuple[int, ...]) -> bool:
    try:
        place(sizes)
    except InputError:
        return False
    return True


def _require_fitting_groups(
    x: tuple[int, ...], kernel: tuple[int, ...], channels: int, groups: int
) -> None:
    """Raises an InputError unless groups, channels and the kernel's channels fit."""
    *filters, in_group, out_channels = kernel
    takes = in_group * groups
    fitting = channels // in_group
    ways = []
    if fitting > 0 and channels % in_group == out_channels % fitting == 0:
        ways = [Advice("groups", (fitting,))]
    for number, what in (
        (channels, f"channels of x {x}"),
        (out_channels, f"filters of kernel {kernel}"),
    ):
        if number % groups:
            near = min(
                divisors(math.gcd(channels, out_channels)), key=lambda each: abs(each - groups)
            )
            shape = (*filters, channels // near, out_channels)
            raise InputError(
                f"groups {groups} does not divide the {number} {what}.",
                *(ways or [f"groups={near} with a kernel of shape {shape}"]),
            )
    if channels != takes:
        torch = None if kernel[0] % groups else kernel[1] * groups
        raise InputError(
            f"x of shape {x} has {channels} channels, but kernel of shape {kernel} with groups "
            f"{groups} takes {in_group}*{groups} = {takes}.",
            *other_layouts(x, len(filters), takes, torch),
            f"a kernel of shape {(*filters, channels // groups, out_channels)}",
            *ways,
        )


_conv = Edge("conv", conv_shapes, arrays=("x", "kernel", "bias"))


def conv(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    mask: jax.typing.ArrayLike | None = None,
    **arguments: Any,
) -> tuple[jax.Array, jax.Array, jax.Array | None, jax.Array | None, ConvShapes]:
    """The checked arrays of :func:`jaxcnn.conv`, the mask in the kernel's dtype, and the shapes.

    >>> x, *_, shapes = conv(jnp.ones((7, 7, 3)), jnp.ones((3, 3, 3, 6)), stride=2)
    >>> x.shape, shapes.output
    ((1, 7, 7, 3), (3, 3, 6))
    """
    shape = None if mask is None else jnp.shape(mask)
    x, kernel, bias, shapes = _conv(x, kernel, bias, mask=shape, **arguments)
    return x, kernel, bias, None if mask is None else jnp.asarray(mask, kernel.dtype), shapes
