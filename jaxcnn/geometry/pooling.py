"""The shapes of the pool family's odd members: global and unpooling, and which axes are pooled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeGuard

from jaxcnn.errors import InputError
from jaxcnn.geometry.check import integer, is_sequence, per_axis
from jaxcnn.geometry.shapes import split_shape
from jaxcnn.geometry.window import axis_names


def split_by(
    x: Sequence[int], name: str, value: Any, *, called: str = "x"
) -> tuple[int | None, tuple[int, ...], int]:
    """x's shape as (batch or None, spatial sizes, channels), by the number of entries of ``value``.

    One number serves all the axes of an x (N, *spatial, C); one for each tells how many there are,
    and so whether x has a batch axis. Errors name x as it is ``called``.

    >>> split_by((8, 7, 7, 3), "window", 2), split_by((7, 7, 3), "window", (2, 2))
    ((8, (7, 7), 3), (None, (7, 7), 3))
    """
    x = tuple(x)
    if is_sequence(value):
        if not len(value):
            raise InputError(f"{name} () has no entry; give one for each spatial axis")
        return split_shape(x, len(value), f"{name} {tuple(value)!r}", called=called)
    return split_shape(x, max(1, len(x) - 2), f"{name} {value!r}", called=called)


def split_by_rank(x: Sequence[int], rank: int | None) -> tuple[int | None, tuple[int, ...], int]:
    """x's shape as (batch or None, spatial sizes, channels), where none of the sizes is zero.

    Args:
      x: (N, *spatial, C); or (*spatial, C) where ``rank`` says so.
      rank: the number of spatial axes; None takes all between the first and the last.

    >>> split_by_rank((8, 7, 7, 3), None), split_by_rank((7, 7, 3), 2)
    ((8, (7, 7), 3), (None, (7, 7), 3))
    """
    x = tuple(x)
    axes = max(1, len(x) - 2) if rank is None else integer("rank", rank, least=1)
    batch, spatial, channels = split_shape(x, axes, f"rank {rank}")
    require_cells(spatial)
    return batch, spatial, channels


def require_cells(spatial: Sequence[int]) -> None:
    """Refuses a spatial axis with nothing on it."""
    for name, size in zip(axis_names(len(spatial)), spatial, strict=True):
        integer(name, size, least=1, symbolic=True)


def norm_order(p: Any) -> float:
    """``p`` as the order of a norm.

    >>> norm_order(2), norm_order(1.5)
    (2, 1.5)
    """
    if not _is_real(p):
        raise TypeError(f"p must be a number >= 1, got {p!r} of type {type(p).__name__}")
    if not 1 <= p < math.inf:
        raise InputError(
            f"p must be a finite number >= 1, got {p}; use 1 or more, or for p = infinity max_pool "
            f"or global_max_pool of abs(x)"
        )
    return int(p) if p == int(p) else float(p)


def _is_real(value: Any) -> TypeGuard[float]:
    """Whether ``value`` is a number that can be ordered, NumPy's among them."""
    return isinstance(value, Real) and not isinstance(value, bool)


@dataclass(frozen=True)
class UnpoolShapes:
    """A checked unpooling of values (N, *k, C) into (N, *output, C).

    Attributes:
      batch: N, or None where the values came without a batch axis.
      spatial: the values' spatial sizes, k.
      sizes: the output's spatial sizes.
      channels: C.
    """

    batch: int | None
    spatial: tuple[int, ...]
    sizes: tuple[int, ...]
    channels: int

    @property
    def output(self) -> tuple[int, ...]:
        """The output's shape, with a batch axis iff the values had one."""
        return (*(() if self.batch is None else (self.batch,)), *self.sizes, self.channels)


def unpool_shapes(
    values: Sequence[int], indices: Sequence[int], output_size: int | Sequence[int]
) -> UnpoolShapes:
    """Checks the shapes of an unpooling.

    Args:
      values: (N, *k, C); or (*k, C) where ``output_size`` lists one size for each axis.
      indices: the same shape.
      output_size: the output's spatial sizes, one for all axes or one each.

    Raises:
      InputError: naming the argument and the numbers, and what to type instead.

    >>> unpool_shapes((8, 2, 2, 3), (8, 2, 2, 3), (4, 5)).output
    (8, 4, 5, 3)
    """
    values, indices = tuple(values), tuple(indices)
    batch, spatial, channels = split_by(values, "output_size", output_size, called="values")
    if indices != values:
        raise InputError(
            f"indices of shape {indices} do not fit values of shape {values}; use both as "
            f"max_pool_with_indices gave them"
        )
    require_cells(spatial)
    sizes = per_axis("output_size", output_size, len(spatial), least=1, symbolic=True)
    return UnpoolShapes(batch, spatial, sizes, channels)


def require_index_kind(dtype: Any) -> None:
    """Refuses indices that are no integers, by their dtype."""
    if dtype.kind not in "iu":
        raise TypeError(
            f"indices must be integers, got {dtype}; use them as max_pool_with_indices gave them"
        )
