"""Reductions over the taps of a window: sums, extrema, and the tap of an extremum.

A program grows with its taps. If a single axis has more than :data:`.tuning.POOL_MOST_TAPS`, or
sizes are symbols, lax's ``reduce_window`` does the same in one operation (:func:`is_unrolled`).
"""

from __future__ import annotations

import math
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve import tuning
from jaxcnn.convolve.taps import (
    ArrayWindow,
    cells_under,
    fill_missing,
    has_symbols,
    outputs_over,
    tap_indices,
    tap_slices,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def is_unrolled(step: ArrayWindow) -> bool:
    """Whether the program for this step of a pool holds one slice for each tap."""
    taps = math.prod(axis.kernel_size for axis in step)
    return taps <= tuning.POOL_MOST_TAPS and not has_symbols(step)


def sum_taps(x: jax.Array, window: ArrayWindow) -> jax.Array:
    """The sum of the taps, in one expression."""
    if not is_unrolled(window):
        return _reduce_window(x, window, lax.add, 0)
    return reduce(lax.add, tap_slices(x, window, 0))


def extremum(x: jax.Array, window: ArrayWindow, is_max: bool) -> jax.Array:
    """The largest of the taps, or the smallest, in one expression."""
    fill, better = (lowest(x.dtype), lax.max) if is_max else (highest(x.dtype), lax.min)
    if not is_unrolled(window):
        return _reduce_window(x, window, better, fill)
    return reduce(better, tap_slices(x, window, fill))


def select_taps(x: jax.Array, at: jax.Array, window: ArrayWindow) -> jax.Array:
    """The cells under tap number ``at``, found by a comparison with every tap's number."""
    chosen = [
        lax.select(at == number, cells, lax.full_like(cells, 0))
        for number, cells in enumerate(tap_slices(x, window, 0))
    ]
    return reduce(lax.add, chosen)


def gather_taps(x: jax.Array, at: jax.Array, window: ArrayWindow) -> jax.Array:
    """The cells under tap number ``at``, gathered along the only pooled axis."""
    (axis,) = (number for number, read in enumerate(window) if read.is_pooled)
    read = window[axis]
    starts = lax.broadcasted_iota(jnp.int32, at.shape, axis) * read.stride - read.low
    places = starts + at.astype(jnp.int32) * read.dilation
    return jnp.take_along_axis(x, places, axis, mode="clip")


def _reduce_window(
    x: Any, window: ArrayWindow, computation: Callable[..., Any], initial: Any
) -> Any:
    """lax's ``reduce_window`` of one or more arrays."""
    return lax.reduce_window(
        x,
        initial,
        computation,
        window_dimensions=tuple(axis.kernel_size for axis in window),
        window_strides=tuple(axis.stride for axis in window),
        padding=tuple((axis.low, axis.high) for axis in window),
        window_dilation=tuple(axis.dilation for axis in window),
    )


def lowest(dtype: jnp.dtype) -> float | int:
    """The lowest value of ``dtype``."""
    return -jnp.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).min


def highest(dtype: jnp.dtype) -> float | int:
    """The highest value of ``dtype``."""
    return jnp.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).max


# -- the tap of an extremum ------------------------------------------------------------------------


def tap_number_dtype(window: ArrayWindow) -> Any:
    """The smallest dtype that can number the taps."""
    return jnp.uint8 if math.prod(axis.kernel_size for axis in window) <= 256 else jnp.int32


def first_tap_equal(x: jax.Array, y: jax.Array, *, window: ArrayWindow) -> jax.Array:
    """The number of the first tap that equals y, or of the last NaN if y is NaN; never padding."""
    all_taps = list(enumerate(tap_indices(window)))

    def hits(hit: Callable[[tuple[int, ...]], jax.Array]) -> list[tuple[int, jax.Array]]:
        return [(number, fill_missing(hit(tap), window, tap, False)) for number, tap in all_taps]

    at = lax.full_like(y, 0, tap_number_dtype(window))
    if jnp.issubdtype(x.dtype, jnp.floating):
        at = _last_hit(hits(lambda tap: _isnan(cells_under(x, window, tap))), at)
    equal = hits(lambda tap: cells_under(x, window, tap) == outputs_over(y, window, tap))
    return _last_hit(equal[::-1], at)


def first_tap_equal_without_nans(
    x: jax.Array, y: jax.Array, *, window: ArrayWindow, fill: float
) -> jax.Array:
    """:func:`first_tap_equal` for y without NaN.

    Padding holds ``fill``; if ``fill`` is NaN, padding never equals y.
    """
    equal = [(number, cells == y) for number, cells in enumerate(tap_slices(x, window, fill))]
    return _last_hit(equal[::-1], lax.full_like(y, 0, tap_number_dtype(window)))


def _last_hit(hits: Sequence[tuple[int, jax.Array]], at: jax.Array) -> jax.Array:
    """The number of the last hit; ``at`` if there is none."""
    for number, hit in hits:
        at = lax.select(hit, lax.full_like(at, number), at)
    return at


def first_tap_reduced(x: jax.Array, window: ArrayWindow, is_max: bool) -> jax.Array:
    """The number of the first tap that holds the extremum, or of the last NaN if there is one.

    ``reduce_window`` reduces each cell together with its position. Padding has a position beyond
    all others, so that it wins no tie.
    """
    pooled = [number for number, axis in enumerate(window) if axis.is_pooled]
    places = [lax.broadcasted_iota(jnp.int32, x.shape, number) for number in pooled]
    initial = lowest(x.dtype) if is_max else highest(x.dtype)
    beyond = jnp.iinfo(jnp.int32).max

    def better(one: tuple[jax.Array, ...], other: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        (x, *at), (y, *by) = one, other
        earlier, equal = jnp.zeros(x.shape, bool), jnp.ones(x.shape, bool)
        for i, j in zip(at, by, strict=True):  # row-major
            earlier, equal = earlier | (equal & (i < j)), equal & (i == j)
        wins = (x > y) if is_max else (x < y)
        both = _isnan(x) & _isnan(y)
        keeps = _isnan(x) | wins | ((x == y) & earlier)
        keeps = jnp.where(both, ~earlier, keeps & ~(_isnan(y) & ~_isnan(x)))
        return tuple(jnp.where(keeps, a, b) for a, b in zip(one, other, strict=True))

    start = (jnp.asarray(initial, x.dtype), *(jnp.int32(beyond) for _ in places))
    _, *found = _reduce_window((x, *places), window, better, start)
    number = jnp.zeros(found[0].shape, jnp.int32)
    for axis, place in zip(pooled, found, strict=True):
        read = window[axis]
        outputs = lax.broadcasted_iota(jnp.int32, place.shape, axis)
        tap = (place + read.low - outputs * read.stride) // read.dilation
        number = number * read.kernel_size + tap
    return number.astype(tap_number_dtype(window))


def _isnan(x: jax.Array) -> jax.Array:
    return x != x


def branch_on_nans(
    y: jax.Array, with_nans: Callable[..., Any], without: Callable[..., Any]
) -> Callable[..., Any]:
    """``without`` if y holds no NaN, else ``with_nans``; decided when the program runs.

    The test is whether the sum of y is NaN. Infinities can also make the sum NaN; the array then
    takes the program that is always right. The branch also keeps XLA from computing the result
    again at each use.
    """
    return partial(lax.cond, _isnan(jnp.sum(y)), with_nans, without)
