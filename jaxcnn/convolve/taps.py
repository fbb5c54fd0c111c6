"""Windows read tap by tap, and what is made of the taps: sums, maxima, where a maximum lies.

For each tap of a window one strided slice, with cells of padding only where that tap overhangs. So
no padded copy of the input is made, and the transpose of a read is one dilated pad, of which a
compiler makes one pass over all taps. Where a window has many taps the axes are pooled one after
another (:func:`steps`), which is F_1 + F_2 reads for F_1 x F_2 taps.
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


@dataclass(frozen=True)
class Reads:
    """How a pool reads one axis of an array; one that is not pooled is read cell by cell.

    Attributes:
      size: the axis's cells.
      output: its outputs, k.
      filter, stride, dilation: of the window.
      low: the cells of padding before the first.
    """

    size: int
    output: int
    filter: int = 1
    stride: int = 1
    dilation: int = 1
    low: int = 0

    def real(self, tap: int) -> tuple[int, int]:
        """Of the outputs, the range whose cell under ``tap`` is no padding."""
        place = tap * self.dilation - self.low
        first = max(0, -(place // self.stride))
        if self.low == 0 == self.after:
            return 0, self.output
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
    def high(self) -> int:
        """The cells of padding that are read after the last; negative, if the last are not read."""
        extent = (self.filter - 1) * self.dilation + 1
        return (self.output - 1) * self.stride + extent - self.size - self.low

    @property
    def after(self) -> int:
        """Cells of padding after the last with which so many windows fit, and a number always.

        Where the size is symbolic, so may be what the last window leaves unread or overhangs.
        """
        if isinstance(self.high, int):
            return max(0, self.high)
        fewest = self.filter * self.dilation + self.stride
        return next(n for n in range(fewest) if self._fit(n) == self.output)

    def _fit(self, after: int) -> int:
        extent = (self.filter - 1) * self.dilation + 1
        return (self.size + self.low + after - extent) // self.stride + 1

    @property
    def whole(self) -> Reads:
        """The same axis, read cell by cell."""
        return Reads(self.size, self.size)

    @property
    def done(self) -> Reads:
        """The axis of the outputs, read cell by cell."""
        return Reads(self.output, self.output)


Layout = tuple[Reads, ...]
"""How each axis of an array is read."""


def steps(layout: Layout) -> Iterator[Layout]:
    """Pools that one after another make the whole, the last axes first.

    In that order a tie is settled within the rows before it is settled between them, which is the
    row-major order of the definition.

    >>> window = Reads(9, 3, filter=3, stride=3)
    >>> [[axis.filter for axis in step] for step in steps((window, window, window))]
    [[1, 3, 3], [3, 1, 1]]
    """
    axes = len(layout)
    end = axes
    while end:
        start = end - 1
        while start and math.prod(axis.filter for axis in layout[start - 1 : end]) <= TOGETHER:
            start -= 1
        before = (axis.whole for axis in layout[:start])
        after = (axis.done for axis in layout[end:])
        step = (*before, *layout[start:end], *after)
        if any(axis != axis.whole for axis in step):
            yield step
        end = start


def every_tap(layout: Layout) -> Iterator[tuple[int, ...]]:
    """The taps of a window, one number for each axis, in row-major order."""
    return itertools.product(*(range(axis.filter) for axis in layout))


def taps(x: jax.Array, layout: Layout, fill: float) -> list[jax.Array]:
    """For each tap of the window the cells under it, one for each output; padding is ``fill``."""
    if not _numbers(layout):
        x, layout = _filled(x, layout, fill)
    return [_laid(_under(x, layout, tap), layout, tap, fill) for tap in every_tap(layout)]


def _numbers(layout: Layout) -> bool:
    """Whether all sizes are known; of symbolic ones it is not known which taps overhang."""
    return all(isinstance(n, int) for axis in layout for n in (axis.size, axis.output))


def _filled(x: jax.Array, layout: Layout, fill: float) -> tuple[jax.Array, Layout]:
    """The same windows, with their padding made cells."""
    pads = [(axis.low, axis.after, 0) for axis in layout]
    sizes = [axis.size + axis.low + axis.after for axis in layout]
    whole = [replace(axis, size=n, low=0) for axis, n in zip(layout, sizes, strict=True)]
    return lax.pad(x, jnp.asarray(fill, x.dtype), pads), tuple(whole)


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
        (low for low, _ in params["padding"]),
        strict=True,
    )
    return tuple(Reads(*axis) for axis in each)


def add_up(x: jax.Array, layout: Layout) -> jax.Array:
    """The sum of the taps, all in one expression."""
    return reduce(lax.add, taps(x, layout, 0))


def choose(x: jax.Array, layout: Layout, upward: bool) -> jax.Array:
    """The largest of the taps, or the smallest, all in one expression."""
    fill, better = (lowest(x.dtype), lax.max) if upward else (highest(x.dtype), lax.min)
    return reduce(better, taps(x, layout, fill))


def lowest(dtype: jnp.dtype) -> float | int:
    """The value that loses against every other of ``dtype``."""
    return -jnp.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).min


def highest(dtype: jnp.dtype) -> float | int:
    """The value that wins against every other of ``dtype``."""
    return jnp.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).max


def number_type(layout: Layout) -> Any:
    """The smallest dtype that counts the taps."""
    return jnp.uint8 if math.prod(axis.filter for axis in layout) <= 256 else jnp.int32


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
    real = None
    if not _numbers(layout):
        real, _ = _filled(lax.full_like(x, True, bool), layout, False)
        x, layout = _filled(x, layout, 0)

    def holds(tap: tuple[int, ...]) -> jax.Array:
        equal = _under(x, layout, tap) == _of(y, layout, tap)
        return equal if real is None else equal & _under(real, layout, tap)

    def hits(hit: Callable[[tuple[int, ...]], jax.Array]) -> list[tuple[int, jax.Array]]:
        return [(number, _laid(hit(tap), layout, tap, False)) for number, tap in all_taps]

    at = lax.full_like(y, 0, number_type(layout))
    if jnp.issubdtype(x.dtype, jnp.floating):
        at = _numbered(hits(lambda tap: _isnan(_under(x, layout, tap))), at)
    return _numbered(hits(holds)[::-1], at)


def find_without_nans(x: jax.Array, y: jax.Array, *, layout: Layout, fill: float) -> jax.Array:
    """The same where no y is a NaN. Padding is ``fill``; a NaN there is never taken."""
    equal = [(number, cells == y) for number, cells in enumerate(taps(x, layout, fill))]
    return _numbered(equal[::-1], lax.full_like(y, 0, number_type(layout)))


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
