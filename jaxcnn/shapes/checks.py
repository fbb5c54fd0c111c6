"""Checks shared by the operations: axes, kernels, channels, groups, biases."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeGuard

from jaxcnn.errors import Advice, InputError
from jaxcnn.geometry._symbolic import is_symbolic, require_at_least
from jaxcnn.geometry.check import integer, is_sequence
from jaxcnn.geometry.window import axis_names

if TYPE_CHECKING:
    from collections.abc import Sequence


def split_shape(
    x: Sequence[int], axes: int, reason: str, *, name: str = "x"
) -> tuple[int | None, tuple[int, ...], int]:
    """The shape of x as (batch or None, spatial sizes, channels).

    Args:
      x: (N, *spatial, C) or (*spatial, C).
      axes: the number of spatial axes.
      reason: the reason for that number, for error texts.
      name: the name of x, for error texts.

    >>> split_shape((8, 7, 7, 3), 2, "rank 2"), split_shape((7, 7, 3), 2, "rank 2")
    ((8, (7, 7), 3), (None, (7, 7), 3))
    """
    x = tuple(x)
    if len(x) not in (axes + 1, axes + 2):
        raise InputError(
            f"{name} of shape {x} has {len(x)} {'axis' if len(x) == 1 else 'axes'}; {reason} "
            f"({axes} spatial {'axis' if axes == 1 else 'axes'}) takes {axes + 2}, "
            f"(N, *spatial, C), or {axes + 1} for one example, (*spatial, C)"
        )
    batch = x[0] if len(x) == axes + 2 else None
    spatial, channels = x[-axes - 1 : -1], x[-1]
    if is_symbolic(channels):
        require_at_least("channels", channels, 1)
    elif channels < 1:
        raise InputError(f"{name} of shape {x} has {channels} channels; use 1 or more")
    return batch, spatial, channels


def split_by(
    x: Sequence[int], argument: str, value: Any, *, name: str = "x"
) -> tuple[int | None, tuple[int, ...], int]:
    """The shape of x as (batch or None, spatial sizes, channels), from an argument's entries.

    A single value is for all spatial axes of an x (N, *spatial, C). A sequence has one entry for
    each spatial axis, which tells whether x has a batch axis.

    >>> split_by((8, 7, 7, 3), "kernel_size", 2), split_by((7, 7, 3), "kernel_size", (2, 2))
    ((8, (7, 7), 3), (None, (7, 7), 3))
    """
    if not is_sequence(value):
        return split_shape(x, max(1, len(x) - 2), f"{argument} {value!r}", name=name)
    if not len(value):
        raise InputError(f"{argument} () has no entry; give one for each spatial axis")
    return split_shape(x, len(value), f"{argument} {tuple(value)!r}", name=name)


def split_by_rank(x: Sequence[int], rank: int | None) -> tuple[int | None, tuple[int, ...], int]:
    """The shape of x as (batch or None, spatial sizes, channels); no spatial size is zero.

    Args:
      x: (N, *spatial, C); or (*spatial, C) if ``rank`` says so.
      rank: the number of spatial axes; None takes all axes between the first and the last.

    >>> split_by_rank((8, 7, 7, 3), None), split_by_rank((7, 7, 3), 2)
    ((8, (7, 7), 3), (None, (7, 7), 3))
    """
    axes = max(1, len(x) - 2) if rank is None else integer("rank", rank, least=1)
    batch, spatial, channels = split_shape(x, axes, f"rank {rank}")
    require_cells(spatial)
    return batch, spatial, channels


def split_kernel(name: str, kernel: tuple[int, ...], *channels: str) -> tuple[int, ...]:
    """The spatial sizes of a kernel (*F, ...); ``channels`` names its last two axes.

    >>> split_kernel("kernel", (3, 3, 1, 8), "C_in", "C_out")
    (3, 3)
    """
    if len(kernel) < 3:
        raise InputError(
            f"{name} of shape {kernel} has {len(kernel)} axes; it needs at least 3: one or more "
            f"spatial sizes, then {' and '.join(channels)}, as in (3, 3, 1, 8)"
        )
    symbolic = next((size for size in kernel if is_symbolic(size)), None)
    if symbolic is not None:
        raise InputError(
            f"{name} of shape {kernel} has a symbolic size, {symbolic}; use a number: the "
            f"kernel's weights fix its size"
        )
    for axis, value in zip(channels, kernel[-2:], strict=True):
        if value < 1:
            raise InputError(f"{name} of shape {kernel} has {axis} = {value}; use 1 or more")
    return kernel[:-2]


def split_for_kernel(
    x: Sequence[int], kernel: tuple[int, ...], axes: int, takes: int, *, name: str = "kernel"
) -> tuple[int | None, tuple[int, ...], int]:
    """The shape of x as (batch or None, spatial sizes, channels), from the kernel's rank.

    Symbolic channels raise an error: a kernel has weights for a fixed number, ``takes``.

    >>> split_for_kernel((7, 7, 3), (3, 3, 3, 6), 2, 3)
    (None, (7, 7), 3)
    """
    batch, spatial, channels = split_shape(x, axes, f"{name} of shape {kernel}")
    if is_symbolic(channels):
        raise InputError(
            f"channels {channels} of x {tuple(x)} must be a number: {name} of shape {kernel} takes "
            f"{takes}; use {takes} for {channels}"
        )
    return batch, spatial, channels


TORCH_KERNEL = "jaxcnn.kernel_from_torch(kernel) if it is in PyTorch's layout"


def other_layouts(x: Sequence[int], axes: int, takes: int, torch: int | None = None) -> list[str]:
    """Advice to convert an x or a kernel whose sizes suggest another layout.

    Args:
      x: the shape of x.
      axes: the number of spatial axes.
      takes: the number of channels that the kernel takes.
      torch: the number it would take if the kernel were in PyTorch's layout.

    >>> other_layouts((8, 3, 28, 28), 2, 3)
    ['jnp.moveaxis(x, 1, -1) if x is channels first']
    """
    first = len(x) - axes - 1
    ways = []
    if x[first] == takes:
        ways.append(f"jnp.moveaxis(x, {first}, -1) if x is channels first")
    if torch == x[-1]:
        ways.append(TORCH_KERNEL)
    if torch == x[first]:
        ways.append(
            f"jnp.moveaxis(x, {first}, -1) and jaxcnn.kernel_from_torch(kernel) if both are in "
            f"PyTorch's layouts"
        )
    return ways


def require_groups(groups: int, in_channels: int, out_channels: int) -> None:
    """Refuses groups that do not divide both numbers of channels."""
    numbers = {"in_channels": in_channels, "out_channels": out_channels}
    for name, number in numbers.items():
        if number % groups:
            ways = [Advice("groups", divisors(math.gcd(in_channels, out_channels)))]
            if all(n % groups == 0 for other, n in numbers.items() if other != name):
                below = number - number % groups
                ways.append(Advice(name, tuple(n for n in (below, below + groups) if n)))
            raise InputError(f"groups {groups} does not divide {name} {number}.", *ways)


def require_bias(bias: Sequence[int] | None, channels: int, owner: str) -> None:
    """Raises an InputError unless the bias has one number for each of the owner's channels."""
    if bias is not None and tuple(bias) != (channels,):
        raise InputError(
            f"bias of shape {tuple(bias)} does not fit {owner}; use shape ({channels},)"
        )


def require_floor_or_exact(rounding: str) -> None:
    """Raises an InputError for ``"ceil"``, which only pools support."""
    if rounding == "ceil":
        raise InputError('rounding "ceil" is for pooling; use "floor", or padding that is exact')


def require_mask(mask: Sequence[int], kernel: tuple[int, ...]) -> None:
    """Raises an InputError unless each axis of the mask has the kernel's size or 1."""
    # The mask needs the kernel's rank. If it were broadcast, a mask (3, 3) would align with the
    # channels of a kernel (3, 3, 3, 3), though it is meant for the taps.
    mask = tuple(mask)
    fits = len(mask) == len(kernel) and all(m in (1, k) for m, k in zip(mask, kernel, strict=True))
    if fits:
        return
    taps = mask == kernel[:-2]
    hint = "mask[..., None, None]" if taps else f"shape {kernel}, or 1 on axes that are shared"
    raise InputError(
        f"mask of shape {mask} does not fit kernel of shape {kernel}: each axis needs the kernel's "
        f"size or 1; use {hint}"
    )


def require_cells(spatial: Sequence[int]) -> None:
    """Raises an InputError if a spatial axis has no cells."""
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
    """Whether ``value`` is a real number, of Python or NumPy."""
    return isinstance(value, Real) and not isinstance(value, bool)


def divisors(number: int) -> tuple[int, ...]:
    """The divisors of ``number``.

    >>> divisors(6)
    (1, 2, 3, 6)
    """
    return tuple(d for d in range(1, number + 1) if number % d == 0)
