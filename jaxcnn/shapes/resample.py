"""Checks and shapes of resampling: blur pooling, pixel shuffle and unshuffle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from jaxcnn.errors import InputError
from jaxcnn.geometry._symbolic import is_symbolic
from jaxcnn.geometry.check import choice, per_axis
from jaxcnn.geometry.padding_mode import check_padding_mode
from jaxcnn.geometry.placement import place_windows
from jaxcnn.geometry.window import axis_names
from jaxcnn.shapes.arrays import require_floating
from jaxcnn.shapes.checks import require_cells, split_by
from jaxcnn.shapes.operation import Edge, OperationShapes
from jaxcnn.shapes.pool import PoolShapes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.geometry.padding import Padding

ORDERS = ("CRD", "DCR")


def blur_shapes(
    x: Sequence[int],
    *,
    kernel_size: int | Sequence[int] = 3,
    stride: int | Sequence[int] = 2,
    padding: Padding = "SAME_LOWER",
    padding_mode: str = "reflect",
    rounding: str = "exact",
) -> PoolShapes:
    """The shapes of a blur pool, checked.

    Args:
      x: (N, *spatial, C); or (*spatial, C) if ``kernel_size`` has one size for each axis.
      kernel_size, stride, padding, padding_mode, rounding: as in :func:`jaxcnn.blur_pool`.

    >>> blur_shapes((8, 28, 28, 3)).output
    (8, 14, 14, 3)
    """
    require_blur(padding_mode, rounding)
    batch, spatial, channels = split_by(x, "kernel_size", kernel_size)
    windows = place_windows(
        spatial,
        kernel_size,
        stride=stride,
        padding=padding,
        rounding=rounding,
        check=partial(check_padding_mode, padding_mode),
    )
    return PoolShapes(batch, windows, channels)


def require_blur(padding_mode: str, rounding: str) -> None:
    """Raises an InputError for options of other windows that a blur cannot have."""
    if rounding == "ceil":
        raise InputError(
            'rounding "ceil" reads beyond the padding, where there are no cells to blur; use '
            '"floor", or more padding'
        )
    if padding_mode == "partial":
        raise InputError(
            'padding_mode "partial" counts taps, whose weights differ here; use '
            'padding_mode="replicate"'
        )


def binomial(kernel_size: int) -> tuple[float, ...]:
    """The row of Pascal's triangle with ``kernel_size`` entries, scaled to sum 1.

    >>> binomial(3)
    (0.25, 0.5, 0.25)
    """
    row = (math.comb(kernel_size - 1, tap) for tap in range(kernel_size))
    return tuple(entry / 2 ** (kernel_size - 1) for entry in row)


@dataclass(frozen=True)
class ShuffleShapes(OperationShapes):
    """A checked shuffle from (N, *coarse, C*prod(factors)) to (N, *coarse*factors, C), or back.

    Attributes:
      batch, dtype: as in :class:`OperationShapes`.
      coarse: the spatial sizes of the side with many channels.
      factors: the factor between the spatial sizes of the two sides, on each axis.
      channels: C, the channels of the fine side.
      order: how a coarse channel's number encodes channel c and offset i: "CRD" or "DCR".

    >>> shapes = ShuffleShapes(8, (7, 7), (2, 2), channels=3, order="CRD")
    >>> shapes.fine, shapes.stacked
    ((14, 14), 12)
    """

    coarse: tuple[int, ...]
    factors: tuple[int, ...]
    channels: int
    order: str

    @property
    def fine(self) -> tuple[int, ...]:
        """The spatial sizes of the side with few channels."""
        return tuple(n * r for n, r in zip(self.coarse, self.factors, strict=True))

    @property
    def stacked(self) -> int:
        """The channels of the coarse side."""
        return self.channels * math.prod(self.factors)


def shuffle_shapes(
    x: Sequence[int], factor: int | Sequence[int], *, order: str = "CRD"
) -> ShuffleShapes:
    """The shapes of a pixel shuffle, checked.

    >>> shuffle_shapes((8, 7, 7, 12), 2).fine
    (14, 14)
    """
    x = tuple(x)
    batch, spatial, stacked, factors, order = _shuffled(x, factor, order)
    block = math.prod(factors)
    if stacked % block:
        raise InputError(
            f"x of shape {x} has {stacked} channels, which factor {factors} divides into "
            f"{' * '.join(map(str, factors))} = {block} parts; use {_multiples(stacked, block)} "
            f"channels"
        )
    return ShuffleShapes(batch, spatial, factors, stacked // block, order)


def unshuffle_shapes(
    x: Sequence[int], factor: int | Sequence[int], *, order: str = "CRD"
) -> ShuffleShapes:
    """The shapes of a pixel unshuffle, checked.

    >>> unshuffle_shapes((8, 14, 14, 3), 2).stacked
    12
    """
    x = tuple(x)
    batch, spatial, channels, factors, order = _shuffled(x, factor, order)
    for name, size, by in zip(axis_names(len(spatial)), spatial, factors, strict=True):
        if is_symbolic(size % by):
            raise InputError(
                f"{name} {size} of x {x} is not known to be a multiple of factor {by}; use "
                f'"{by}*h", or symbolic_shape(..., constraints=["{size % by} == 0"])'
            )
        if size % by:
            raise InputError(
                f"{name} {size} of x {x} is not a multiple of factor {by}: {size % by} would "
                f"be left over; use {name} {_multiples(size, by)}"
            )
    coarse = tuple(n // r for n, r in zip(spatial, factors, strict=True))
    return ShuffleShapes(batch, coarse, factors, channels, order)


def _shuffled(x: tuple[int, ...], factor: Any, order: str) -> tuple[Any, ...]:
    batch, spatial, channels = split_by(x, "factor", factor)
    require_cells(spatial)
    factors = per_axis("factor", factor, len(spatial), least=1)
    return batch, spatial, channels, factors, choice("order", order, ORDERS)


def _multiples(number: int, of: int) -> str:
    """The multiples of ``of`` nearest to ``number``, as text.

    >>> _multiples(7, 4), _multiples(3, 4)
    ('4 or 8', '4')
    """
    above = -(-number // of) * of
    return f"{above - of} or {above}" if above > of else str(above)


blur_pool = Edge("blur_pool", blur_shapes, require_floating)
pixel_shuffle = Edge("pixel_shuffle", shuffle_shapes)
pixel_unshuffle = Edge("pixel_unshuffle", unshuffle_shapes)
