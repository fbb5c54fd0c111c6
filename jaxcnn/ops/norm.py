"""The p-norm of cells, over the full range of their dtype, with derivatives of every order."""

from __future__ import annotations

import math
from functools import partial, reduce
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve.materialize import materialize, materialize_cotangent
from jaxcnn.convolve.taps import ArrayWindow, AxisWindow, steps, tap_slices
from jaxcnn.convolve.tuning import POOL_JOINT_TAPS

if TYPE_CHECKING:
    from collections.abc import Sequence


def window_norm(x: jax.Array, layout: ArrayWindow, p: float) -> jax.Array:
    """The p-norm of the cells under each window; a norm of norms if the window is large."""
    for step in steps(layout):
        axis = max(range(len(step)), key=lambda axis: step[axis].kernel_size)
        x = _stored(_long_norm(x, step, axis, p))
    return x


def _long_norm(x: jax.Array, layout: ArrayWindow, axis: int, p: float) -> jax.Array:
    """The norms under windows with many taps on one axis: norms of blocks, then norms of those.

    The program grows with the logarithm of the window's size.
    """
    read = layout[axis]
    if read.kernel_size <= POOL_JOINT_TAPS:
        return norm(tap_slices(x, layout, 0), p)

    def along(read: AxisWindow) -> ArrayWindow:
        others = (other.pooled for other in layout)
        return tuple(read if a == axis else other for a, other in enumerate(others))

    count, left = divmod(read.kernel_size, POOL_JOINT_TAPS)
    apart = POOL_JOINT_TAPS * read.dilation
    step = math.gcd(read.stride, apart)
    starts = ((read.output - 1) * read.stride + (count - 1) * apart) // step + 1
    blocks = AxisWindow(
        read.size, starts, POOL_JOINT_TAPS, step, read.dilation, read.low, read.high
    )
    of_blocks = AxisWindow(starts, read.output, count, read.stride // step, apart // step)
    y = _stored(norm(tap_slices(x, along(blocks), 0), p))
    y = _stored(_long_norm(y, along(of_blocks), axis, p))
    if not left:
        return y
    low = read.low - count * apart
    rest = AxisWindow(read.size, read.output, left, read.stride, read.dilation, low, read.high)
    return norm([y, *tap_slices(x, along(rest), 0)], p)


def norm(cells: Sequence[jax.Array], p: float, axes: tuple[int, ...] = ()) -> jax.Array:
    """(sum |cell|^p)^(1/p) over several arrays, entry by entry, and over ``axes``, kept as 1.

    If p is not 1, the cells are divided by the largest of them, because its power may overflow even
    if the norm does not. The norm is homogeneous, norm(c*x) = c*norm(x), so its derivative at x
    equals that at x/c, where nothing overflows either.
    """
    cells = tuple(cells)
    return _plain_norm(cells, 1, axes) if p == 1 else _norm(cells, p, axes)


@partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _norm(cells: tuple[jax.Array, ...], p: float, axes: tuple[int, ...]) -> jax.Array:
    largest = _largest(cells, axes)
    return largest * _plain_norm(_scaled(cells, largest), p, axes)


@_norm.defjvp
def _tangent_of_norm(
    p: float,
    axes: tuple[int, ...],
    primals: tuple[tuple[jax.Array, ...]],
    tangents: tuple[tuple[jax.Array, ...]],
) -> tuple[jax.Array, jax.Array]:
    (cells,) = primals
    scaled = _scaled(cells, lax.stop_gradient(_largest(cells, axes)))
    _, slope = jax.jvp(lambda cells: _plain_norm(cells, p, axes), (scaled,), tangents)
    return _norm(cells, p, axes), slope


def _largest(cells: Sequence[jax.Array], axes: tuple[int, ...]) -> jax.Array:
    return _stored(jnp.max(reduce(jnp.maximum, map(jnp.abs, cells)), axes, keepdims=True))


def _stored(x: jax.Array) -> jax.Array:
    """x, computed once on CPUs instead of once for each tap that reads it."""
    return materialize_cotangent(materialize(x))


def _scaled(cells: Sequence[jax.Array], largest: jax.Array) -> tuple[jax.Array, ...]:
    """The cells divided by the largest; with infinite cells, those become +-1 and the others 0."""
    by = jnp.where(largest == 0, 1, largest)
    return tuple(jnp.where(jnp.isinf(cell), jnp.sign(cell), cell / by) for cell in cells)


def _plain_norm(cells: Sequence[jax.Array], p: float, axes: tuple[int, ...]) -> jax.Array:
    powers = reduce(jnp.add, (_power(cell, p) for cell in cells))
    total = materialize_cotangent(jnp.sum(powers, axes, keepdims=True))
    if p == 1:
        return total
    # If all cells are zero the norm has no derivative; it is defined as 0 here.
    zero = total == 0
    away = jnp.where(zero, 1, total)
    return jnp.where(zero, 0, jnp.sqrt(away) if p == 2 else away ** (1 / p))


def _power(x: jax.Array, p: float) -> jax.Array:
    """|x|^p; a derivative at 0 that is infinite or does not exist is 0."""
    if p == 2:
        return x * x
    magnitude = x * jnp.sign(x)  # not jnp.abs, whose derivative at 0 is 1
    if p == 1:
        return magnitude
    if p > 2:
        return magnitude ** float(p)
    zero = x == 0
    return jnp.where(zero, 0, jnp.where(zero, 1, magnitude) ** float(p))
