"""Windows read tap by tap, and what is made of the taps: sums, maxima, where a maximum lies.

For each tap of a window one strided slice, with cells of padding only where that tap overhangs. So
no padded copy of the input is made, and the transpose of a read is one dilated pad, of which a
compiler makes one pass over all taps. Where a window has many taps the axes are pooled one after
another (:func:`steps`), which is F_1 + F_2 reads for F_1 x F_2 taps.

A program grows with its taps. Where one axis alone has more than :data:`MOST_TAPS`, or sizes are
symbols, the same is asked of lax's ``reduce_window`` in one operation (:func:`by_taps`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

TOGETHER = 16
"""Of so many taps at most, several axes are pooled at once."""

MOST_TAPS = 64
"""Of so many taps at most, a program holds one slice for each. The gradient of a maximum over 128
compiles for 0.7 s, over 2,000 for 91 s (2 cores of an AMD EPYC, jax 0.10.2)."""


@dataclass(frozen=True)
class AxisWindow:
    """How a pool reads one axis of an array; one that is not pooled is read cell by cell.

    Attributes:
      size: the axis's cells.
      output: its outputs, k.
      kernel_size, stride, dilation: of the window.
      low, high: the cells of padding before the first cell and after the last.
    """

    size: int
    output: int
    kernel_size: int = 1
    stride: int = 1
    dilation: int = 1
    low: int = 0
    high: int = 0

    def real(self, tap: int) -> tuple[int, int]:
        """Of the outputs, the range whose cell under ``tap`` is no padding.

        All of them where the size is a symbol: padding has been made cells then.
        """
        if not isinstance(self.size, int):
            return 0, self.output
        place = tap * self.dilation - self.low
        first = max(0, -(place // self.stride))
        last = min(self.output, (self.size - 1 - place) // self.stride + 1)
        return (first, last) if first < last else (0, 0)

    def cells(self, tap: int) -> tuple[int, int]:
        """The cells that those outputs read, as a slice of that stride."""
        place = tap * self.dilation - self.low
        first, last = self.real(tap)
        if first == last:
            return 0, 0
        return place + first * self.stride, place + (last - 1) * self.stride + 1

    @property
    def whole(self) -> AxisWindow:
        """The same axis, read cell by cell."""
        return AxisWindow(self.size, self.size)

    @property
    def done(self) -> AxisWindow:
        """The axis of the outputs, read cell by cell."""
        return AxisWindow(self.output, self.output)

    @property
    def is_pooled(self) -> bool:
        """Whether an output is anything else than the cell at its own place."""
        return self != self.whole


Layout = tuple[AxisWindow, ...]
"""How each axis of an array is read."""


def steps(layout: Layout) -> Iterator[Layout]:
    """Pools that one after another make the whole, the last axes first.

    In that order a tie is settled within the rows before it is settled between them, which is the
    row-major order of the definition.

    >>> window = AxisWindow(9, 3, kernel_size=3, stride=3)
    >>> [[axis.filter for axis in step] for step in steps((window, window, window))]
    [[1, 3, 3], [3, 1, 1]]
    """
    axes = len(layout)
    end = axes
    while end:
        start = end - 1
        while start and _are_few(layout[start - 1 : end]):
            start -= 1
        before = (axis.whole for axis in layout[:start])
        after = (axis.done for axis in layout[end:])
        step = (*before, *layout[start:end], *after)
        if any(axis.is_pooled for axis in step):
            yield step
        end = start


def _are_few(axes: Layout) -> bool:
    """Whether several axes are pooled at once: known ones, of a few taps in all."""
    known = all(isinstance(axis.size, int) for axis in axes if axis.is_pooled)
    return known and math.prod(axis.kernel_size for axis in axes) <= TOGETHER


def by_taps(step: Layout) -> bool:
    """Whether a program holds one slice for each tap of this step of a pool."""
    known = (isinstance(axis.size, int) for axis in step if axis.is_pooled)
    return math.prod(axis.kernel_size for axis in step) <= MOST_TAPS and all(known)


def every_tap(layout: Layout) -> Iterator[tuple[int, ...]]:
    """The taps of a window, one number for each axis, in row-major order."""
    return itertools.product(*(range(axis.kernel_size) for axis in layout))


def taps(x: jax.Array, layout: Layout, fill: float) -> list[jax.Array]:
    """For each tap of the window the cells under it, one for each output; padding is ``fill``."""
    if not all(isinstance(axis.size, int) for axis in layout if axis.is_pooled):
        pads = [(axis.low, axis.high, 0) for axis in layout]
        sizes = [axis.size + axis.low + axis.high for axis in layout]
        x = lax.pad(x, jnp.asarray(fill, x.dtype), pads)
        layout = tuple(
            replace(axis, size=n, low=0, high=0) for axis, n in zip(layout, sizes, strict=True)
        )
    return [_laid(_under(x, layout, tap), layout, tap, fill) for tap in every_tap(layout)]


def _under(x: jax.Array, layout: Layout, tap: tuple[int, ...]) -> jax.Array:
    """The real cells under a tap."""
    starts, ends = zip(*(axis.cells(t) for axis, t in zip(layout, tap, strict=True)), strict=True)
    return lax.slice(x, starts, ends, [axis.stride for axis in layout])


def _of(y: jax.Array, layout: Layout, tap: tuple[int, ...]) -> jax.Array:
    """The outputs that have a real cell under a tap."""
    starts, ends = zip(*(axis.real(t) for axis, t in zip(layout, tap, strict=True)), strict=True)
    return lax.slice(y, starts, ends)


def _laid(cells: jax.Array, layout: Layout, tap: tuple[int, ...], fill: float) -> jax.Array:
    """What belongs to the outputs with a real cell under a tap, and ``fill`` at the others."""
    ranges = [(axis.real(t), axis.output) for axis, t in zip(layout, tap, strict=True)]
    pads = [(first, output - last, 0) for (first, last), output in ranges]
    return lax.pad(cells, jnp.asarray(fill, cells.dtype), pads) if any(map(any, pads)) else cells


def layout_of(size: tuple[Any, ...], output: tuple[Any, ...], params: dict[str, Any]) -> Layout:
    """How a window in lax's parameters reads each axis."""
    each = zip(
        size,
        output,
        params["window_dimensions"],
        params["window_strides"],
        params.get("window_dilation", (1,) * len(size)),
        params["padding"],
        strict=True,
    )
    return tuple(AxisWindow(*axis, *padding) for *axis, padding in each)


def add_up(x: jax.Array, layout: Layout) -> jax.Array:
    """The sum of the taps, all in one expression."""
    if not by_taps(layout):
        return _over_windows(x, layout, lax.add, 0)
    return reduce(lax.add, taps(x, layout, 0))


def choose(x: jax.Array, layout: Layout, upward: bool) -> jax.Array:
    """The largest of the taps, or the smallest, all in one expression."""
    fill, better = (lowest(x.dtype), lax.max) if upward else (highest(x.dtype), lax.min)
    if not by_taps(layout):
        return _over_windows(x, layout, better, fill)
    return reduce(better, taps(x, layout, fill))


def select(x: jax.Array, at: jax.Array, layout: Layout) -> jax.Array:
    """The cells under the taps of number ``at``, by comparing every tap's number."""
    chosen = [
        lax.select(at == number, cells, lax.full_like(cells, 0))
        for number, cells in enumerate(taps(x, layout, 0))
    ]
    return reduce(lax.add, chosen)


def gathered(x: jax.Array, at: jax.Array, layout: Layout) -> jax.Array:
    """The cells under the taps of number ``at``, by their places on the one axis that is pooled."""
    (axis,) = (number for number, reads in enumerate(layout) if reads.is_pooled)
    reads = layout[axis]
    starts = lax.broadcasted_iota(jnp.int32, at.shape, axis) * reads.stride - reads.low
    places = starts + at.astype(jnp.int32) * reads.dilation
    return jnp.take_along_axis(x, places, axis, mode="clip")


def _over_windows(x: Any, layout: Layout, computation: Callable[..., Any], initial: Any) -> Any:
    """lax's ``reduce_window`` of one array or several."""
    return lax.reduce_window(
        x,
        initial,
        computation,
        window_dimensions=tuple(axis.kernel_size for axis in layout),
        window_strides=tuple(axis.stride for axis in layout),
        padding=tuple((axis.low, axis.high) for axis in layout),
        window_dilation=tuple(axis.dilation for axis in layout),
    )


def lowest(dtype: jnp.dtype) -> float | int:
    """The value that loses against every other of ``dtype``."""
    return -jnp.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).min


def highest(dtype: jnp.dtype) -> float | int:
    """The value that wins against every other of ``dtype``."""
    return jnp.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).max


def number_type(layout: Layout) -> Any:
    """The smallest dtype that counts the taps."""
    return jnp.uint8 if math.prod(axis.kernel_size for axis in layout) <= 256 else jnp.int32


def _numbered(hits: Sequence[tuple[int, jax.Array]], at: jax.Array) -> jax.Array:
    """``at``, but where there are hits the number of the last one."""
    for number, hit in hits:
        at = lax.select(hit, lax.full_like(at, number), at)
    return at


def find(x: jax.Array, y: jax.Array, *, layout: Layout) -> jax.Array:
    """The number of the first tap that is y; of the last NaN, if y is one.

    Padding is never taken.
    """
    all_taps = list(enumerate(every_tap(layout)))

    def hits(hit: Callable[[tuple[int, ...]], jax.Array]) -> list[tuple[int, jax.Array]]:
        return [(number, _laid(hit(tap), layout, tap, False)) for number, tap in all_taps]

    at = lax.full_like(y, 0, number_type(layout))
    if jnp.issubdtype(x.dtype, jnp.floating):
        at = _numbered(hits(lambda tap: _isnan(_under(x, layout, tap))), at)
    equal = hits(lambda tap: _under(x, layout, tap) == _of(y, layout, tap))
    return _numbered(equal[::-1], at)


def find_without_nans(x: jax.Array, y: jax.Array, *, layout: Layout, fill: float) -> jax.Array:
    """The same where no y is a NaN. Padding is ``fill``; a NaN there is never taken."""
    equal = [(number, cells == y) for number, cells in enumerate(taps(x, layout, fill))]
    return _numbered(equal[::-1], lax.full_like(y, 0, number_type(layout)))


def find_in_windows(x: jax.Array, layout: Layout, upward: bool) -> jax.Array:
    """The number of the first tap that is the best; of the last NaN, if there is one.

    A cell goes through the windows together with its place. Padding has a place beyond all others,
    so that no tie is won by it.
    """
    pooled = [number for number, axis in enumerate(layout) if axis.is_pooled]
    places = [lax.broadcasted_iota(jnp.int32, x.shape, number) for number in pooled]
    initial = lowest(x.dtype) if upward else highest(x.dtype)
    beyond = jnp.iinfo(jnp.int32).max

    def better(one: tuple[jax.Array, ...], other: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        (x, *at), (y, *by) = one, other
        earlier, equal = jnp.zeros(x.shape, bool), jnp.ones(x.shape, bool)
        for i, j in zip(at, by, strict=True):  # row-major
            earlier, equal = earlier | (equal & (i < j)), equal & (i == j)
        wins = (x > y) if upward else (x < y)
        both = _isnan(x) & _isnan(y)
        keeps = _isnan(x) | wins | ((x == y) & earlier)
        keeps = jnp.where(both, ~earlier, keeps & ~(_isnan(y) & ~_isnan(x)))
        return tuple(jnp.where(keeps, a, b) for a, b in zip(one, other, strict=True))

    start = (jnp.asarray(initial, x.dtype), *(jnp.int32(beyond) for _ in places))
    _, *found = _over_windows((x, *places), layout, better, start)
    number = jnp.zeros(found[0].shape, jnp.int32)
    for axis, place in zip(pooled, found, strict=True):
        reads = layout[axis]
        outputs = lax.broadcasted_iota(jnp.int32, place.shape, axis)
        tap = (place + reads.low - outputs * reads.stride) // reads.dilation
        number = number * reads.kernel_size + tap
    return number.astype(number_type(layout))


def _isnan(x: jax.Array) -> jax.Array:
    return x != x


def branching(
    y: jax.Array, with_nans: Callable[..., Any], without: Callable[..., Any]
) -> Callable[..., Any]:
    """The quicker of two programs where there are no NaNs, seen by the sum of all: it is one then.

    Infinities can make it one as well, and send the array through the program that is never wrong.
    The branch also keeps XLA from computing the result anew wherever it is used.
    """
    return partial(lax.cond, _isnan(jnp.sum(y)), with_nans, without)
