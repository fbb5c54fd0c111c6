"""Checks and shapes of unfolding into patches, and of folding them back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxcnn.errors import InputError
from jaxcnn.geometry import Padding, place_windows
from jaxcnn.geometry.check import per_axis
from jaxcnn.shapes.checks import require_cells, require_floor_or_exact, split_by
from jaxcnn.shapes.operation import Edge, WindowShapes

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class FoldShapes(WindowShapes):
    """Windows over x (N, *size, C), whose cells are the patches (N, *k, prod(F)*C).

    Attributes:
      batch, dtype: as in :class:`OperationShapes`.
      windows: one :class:`jaxcnn.geometry.Window` for each spatial axis.
      channels: C.

    >>> from jaxcnn.geometry import Window
    >>> shapes = FoldShapes(8, (Window(28, 2, stride=2),), channels=3)
    >>> shapes.input, shapes.output
    ((8, 28, 3), (8, 14, 6))
    """

    channels: int

    @property
    def input(self) -> tuple[int, ...]:
        """The shape of what is unfolded, or of what folding returns."""
        return self.with_batch(*(window.size for window in self.windows), self.channels)

    @property
    def output(self) -> tuple[int, ...]:
        """The shape of the patches."""
        taps = math.prod(window.kernel_size for window in self.windows)
        return self.with_batch(*self.spatial, taps * self.channels)


def unfold_shapes(
    x: Sequence[int],
    kernel_size: int | Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
) -> FoldShapes:
    """The shapes of an unfolding, checked.

    Args:
      x: (N, *spatial, C); or (*spatial, C) if ``kernel_size`` has one size for each axis.
      kernel_size, stride, padding, dilation, rounding: as in :func:`jaxcnn.unfold`.

    Raises:
      InputError: as for a convolution.

    >>> unfold_shapes((8, 28, 28, 3), 3).output
    (8, 26, 26, 27)
    """
    require_floor_or_exact(rounding)
    batch, spatial, channels = split_by(x, "kernel_size", kernel_size)
    windows = place_windows(
        spatial,
        kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        rounding=rounding,
    )
    return FoldShapes(batch, windows, channels)


def fold_shapes(
    patches: Sequence[int],
    kernel_size: int | Sequence[int],
    *,
    output_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
) -> FoldShapes:
    """The shapes of a folding, checked.

    Args:
      patches: (N, *k, prod(F)*C); or (*k, prod(F)*C) if ``output_size`` has one size for each axis.
      kernel_size, output_size, stride, padding, dilation: as in :func:`jaxcnn.fold`.

    Raises:
      InputError: if these do not fit; names argument and numbers, and what to type instead.

    >>> fold_shapes((8, 26, 26, 27), 3, output_size=28).input
    (8, 28, 28, 3)
    """
    patches = tuple(patches)
    batch, spatial, stacked = split_by(patches, "output_size", output_size, name="patches")
    require_cells(spatial)
    sizes = per_axis("output_size", output_size, len(spatial), least=1, symbolic=True)
    windows = place_windows(
        sizes, kernel_size, stride=stride, padding=padding, dilation=dilation, rounding="floor"
    )
    found = tuple(window.output for window in windows)
    if found != spatial:
        raise InputError(
            f"patches of shape {patches} have {spatial} positions, but output_size {sizes} has "
            f"{found} positions of a window with kernel_size "
            f"{tuple(window.kernel_size for window in windows)}, stride "
            f"{tuple(window.stride for window in windows)}, padding "
            f"{tuple(window.padding for window in windows)}; use the output_size, kernel_size, "
            f"stride, padding and dilation of the unfold that made the patches"
        )
    taps = math.prod(window.kernel_size for window in windows)
    if stacked % taps:
        above = -(-stacked // taps) * taps
        near = f"{above - taps} or {above}" if stacked > taps else str(above)
        raise InputError(
            f"patches of shape {patches} have {stacked} channels, which the {taps} taps of the "
            f"window do not divide; use {near} channels"
        )
    return FoldShapes(batch, windows, stacked // taps)


unfold = Edge("unfold", unfold_shapes)
fold = Edge("fold", fold_shapes, arrays=("patches",))
