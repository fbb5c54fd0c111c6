"""Checks that operations share: axes, kernels, channels, groups, biases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, TypeGuard

from jaxcnn.errors import Advice, InputError
from jaxcnn.geometry._symbolic import is_symbolic, require_at_least
from jaxcnn.geometry.check import integer, is_sequence
from jaxcnn.geometry.window import axis_names


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


def require_cells(spatial: Sequence[int]) -> None:
    """Refuses a spatial axis with nothing on it."""
    for name, size in zip(axis_names(len(spatial)), spatial, strict=True):
        integer(name, size, least=1, symbolic=True)


def require_index_kind(dtype: Any) -> None:
    """Refuses indices that are no integers, by their dtype."""
    if dtype.kind not in "iu":
        raise TypeError(
            f"indices must be integers, got {dtype}; use them as max_pool_with_indices gave them"
        )


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


def divisors(number: int) -> tuple[int, ...]:
    """The divisors of ``number``.

    >>> divisors(6)
    (1, 2, 3, 6)
    """
    return tuple(d for d in range(1, number + 1) if number % d == 0)


def batch_axis(batch: int | None) -> tuple[int, ...]:
    """The batch axis of a shape that has one."""
    return () if batch is None else (batch,)
