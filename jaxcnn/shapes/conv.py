"""The edge of a convolution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from jaxcnn.errors import Advice, InputError, error_prefix
from jaxcnn.geometry import Padding, place_windows
from jaxcnn.geometry.check import integer
from jaxcnn.geometry.padding_mode import check_padding_mode
from jaxcnn.shapes.arrays import require_floating
from jaxcnn.shapes.checks import (
    divisors,
    other_layouts,
    require_bias,
    require_floor_or_exact,
    require_mask,
    split_for_kernel,
    split_kernel,
)
from jaxcnn.shapes.operation import Shapes, WindowShapes, checked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import jax


@dataclass(frozen=True)
class ConvShapes(WindowShapes):
    """A checked convolution: x (N, *spatial, C_in) with kernel (*F, C_in/groups, C_out).

    Attributes:
      batch: N, or None where the caller's x has no batch axis.
      dtype: the result's; None where the convolution is described by shapes alone.
      windows: one :class:`jaxcnn.geometry.Window` for each spatial axis.
      in_channels: C_in.
      out_channels: C_out, the number of filters.
      groups: the number of parts into which the channels are divided.
      padding_mode: what the padding holds, one of :data:`jaxcnn.geometry.PADDING_MODES`.

    >>> from jaxcnn.geometry import Window
    >>> laid = (Window(7, 3), Window(7, 3))
    >>> shapes = ConvShapes(None, laid, in_channels=3, out_channels=6, groups=1)
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
        """The shape of the result, with a batch axis iff the caller's x has one."""
        return self.with_batch(*self.spatial, self.out_channels)

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(window.stride for window in self.windows)

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


@error_prefix("conv")
def conv(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    mask: jax.typing.ArrayLike | None = None,
    preferred_element_type: Any = None,
    **arguments: Any,
) -> tuple[jax.Array, jax.Array, jax.Array | None, jax.Array | None, ConvShapes]:
    """The arrays of :func:`jaxcnn.conv` in one form, and its shapes.

    Args:
      x, kernel, bias, mask, preferred_element_type: as in :func:`jaxcnn.conv`.
      arguments: as in :func:`conv_shapes`.

    Returns:
      x (N, *spatial, C_in), kernel, bias, mask of the kernel's dtype, and the shapes.

    >>> x, *_, shapes = conv(jnp.ones((7, 7, 3)), jnp.ones((3, 3, 3, 6)), stride=2)
    >>> x.shape, shapes.output
    ((1, 7, 7, 3), (3, 3, 6))
    """
    (x, kernel, bias), shapes = checked_conv(
        conv_shapes,
        {"x": x, "kernel": kernel, "bias": bias},
        {**arguments, "mask": None if mask is None else jnp.shape(mask)},
        preferred_element_type,
    )
    if mask is not None:
        mask = jnp.asarray(mask, kernel.dtype)
    return shapes.batched(x), kernel, bias, mask, shapes


def checked_conv(
    describe: Callable[..., Shapes],
    arrays: dict[str, Any],
    arguments: dict[str, Any],
    preferred_element_type: Any = None,
) -> tuple[tuple[Any, ...], Shapes]:
    """:func:`jaxcnn.shapes.operation.checked`, of an operation with padding modes."""
    # A share of real cells is a fraction.
    require = require_floating if arguments.get("padding_mode") == "partial" else None
    return checked(
        describe,
        arrays,
        arguments,
        require=require,
        preferred_element_type=preferred_element_type,
    )


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
      mask: the mask's shape, axis by axis the kernel's size or 1; or None.

    Raises:
      InputError: naming the argument and the numbers, and what to type instead.

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


def _require_fitting_groups(
    x: tuple[int, ...], kernel: tuple[int, ...], channels: int, groups: int
) -> None:
    """Refuses groups that do not divide channels and filters, and a kernel of other channels."""
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
