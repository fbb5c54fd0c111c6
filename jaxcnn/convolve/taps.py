"""Windows read tap by tap: for each tap one strided slice of the cells under it.

Padding cells are added only if a tap is outside the input, so the input is not copied into a padded
array. The transpose of a read is one dilated pad, and a compiler fuses the pads of all taps.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve import tuning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True)
class AxisWindow:
    """How a window reads one axis of an array; by default cell by cell.

    Attributes:
      size: cells on the axis.
      output: outputs on the axis, k.
      kernel_size, stride, dilation: those of the window on this axis.
      low, high: the padding cells before the first cell and after the last.

    >>> AxisWindow(7, 3, kernel_size=3, stride=2).cell_range(1)
    (1, 6)
    """

    size: int
    output: int
    kernel_size: int = 1
    stride: int = 1
    dilation: int = 1
    low: int = 0
    high: int = 0

    def valid_outputs(self, tap: int) -> tuple[int, int]:
        """The range of outputs whose cell under ``tap`` is not padding.

        If the size is a symbol these are all outputs, because padding then consists of real cells.
        """
        if not isinstance(self.size, int):
            return 0, self.output
        place = tap * self.dilation - self.low
        first = max(0, -(place // self.stride))
        last = min(self.output, (self.size - 1 - place) // self.stride + 1)
        return (first, last) if first < last else (0, 0)

    def cell_range(self, tap: int) -> tuple[int, int]:
        """The cells that these outputs read: start and end of a slice with the window's stride."""
        place = tap * self.dilation - self.low
        first, last = self.valid_outputs(tap)
        if first == last:
            return 0, 0
        return place + first * self.stride, place + (last - 1) * self.stride + 1

    @property
    def unpooled(self) -> AxisWindow:
        """The same axis, read cell by cell."""
        return AxisWindow(self.size, self.size)

    @property
    def pooled(self) -> AxisWindow:
        """The axis of the outputs, read cell by cell."""
        return AxisWindow(self.output, self.output)

    @property
    def is_pooled(self) -> bool:
        """Whether an output may differ from the cell at the same position."""
        return self != self.unpooled


ArrayWindow = tuple[AxisWindow, ...]
"""How a window reads each axis of an array."""


def along_axes(shape: Sequence[int], first: int, axes: Sequence[AxisWindow]) -> ArrayWindow:
    """A window over some neighbouring axes of an array; the others are read cell by cell.

    Args:
      shape: the shape of the array.
      first: the first of these axes.
      axes: how each of them is read.

    >>> [axis.kernel_size for axis in along_axes((8, 5, 3), 1, [AxisWindow(5, 3, 3)])]
    [1, 3, 1]
    """
    whole = tuple(AxisWindow(size, size) for size in shape)
    return (*whole[:first], *axes, *whole[first + len(axes) :])


def window_of(
    size: tuple[Any, ...], output: tuple[Any, ...], params: dict[str, Any]
) -> ArrayWindow:
    """The window that lax's parameters describe.

    Args:
      size, output: the shapes of input and output.
      params: the parameters of ``lax.reduce_window`` or a primitive like it.
    """
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


def has_symbols(window: ArrayWindow) -> bool:
    """Whether the size of a pooled axis is a symbol, as in exported programs."""
    return not all(isinstance(axis.size, int) for axis in window if axis.is_pooled)


def steps(window: ArrayWindow) -> Iterator[ArrayWindow]:
    """Splits a window into windows to apply one after another, the last axes first.

    This takes F_1 + F_2 reads instead of F_1 * F_2. In this order a tie is resolved within rows
    before it is resolved between them, which is the row-major order of the definition.

    >>> axis = AxisWindow(9, 3, kernel_size=3, stride=3)
    >>> [[axis.kernel_size for axis in step] for step in steps((axis, axis, axis))]
    [[1, 3, 3], [3, 1, 1]]
    """
    axes = len(window)
    end = axes
    while end:
        start = end - 1
        while start and _are_few(window[start - 1 : end]):
            start -= 1
        before = (axis.unpooled for axis in window[:start])
        after = (axis.pooled for axis in window[end:])
        step = (*before, *window[start:end], *after)
        if any(axis.is_pooled for axis in step):
            yield step
        end = start


def _are_few(axes: ArrayWindow) -> bool:
    """Whether these axes are pooled in one step: sizes are known and there are few taps."""
    taps = math.prod(axis.kernel_size for axis in axes)
    return not has_symbols(axes) and taps <= tuning.POOL_JOINT_TAPS


def tap_indices(window: ArrayWindow) -> Iterator[tuple[int, ...]]:
    """The taps of a window, one number for each axis, in row-major order."""
    return itertools.product(*(range(axis.kernel_size) for axis in window))


def tap_slices(x: jax.Array, window: ArrayWindow, fill: float = 0) -> list[jax.Array]:
    """The cells under each tap, in row-major order: one for each output.

    Args:
      x: the array.
      window: how the array is read, one entry for each axis.
      fill: the value of padding.

    >>> window = (AxisWindow(4, 3, kernel_size=2, stride=2, low=1, high=1),)
    >>> [cells.tolist() for cells in tap_slices(jnp.arange(4), window, fill=9)]
    [[9, 1, 3], [0, 2, 9]]
    """
    if has_symbols(window):
        pads = [(axis.low, axis.high, 0) for axis in window]
        sizes = [axis.size + axis.low + axis.high for axis in window]
        x = lax.pad(x, jnp.asarray(fill, x.dtype), pads)
        window = tuple(
            replace(axis, size=n, low=0, high=0) for axis, n in zip(window, sizes, strict=True)
        )
    return [
        fill_missing(cells_under(x, window, tap), window, tap, fill) for tap in tap_indices(window)
    ]


def cells_under(x: jax.Array, window: ArrayWindow, tap: tuple[int, ...]) -> jax.Array:
    """The cells under a tap that are not padding."""
    ranges = [axis.cell_range(t) for axis, t in zip(window, tap, strict=True)]
    starts, ends = zip(*ranges, strict=True)
    return lax.slice(x, starts, ends, [axis.stride for axis in window])


def outputs_over(y: jax.Array, window: ArrayWindow, tap: tuple[int, ...]) -> jax.Array:
    """The outputs whose cell under a tap is not padding."""
    ranges = [axis.valid_outputs(t) for axis, t in zip(window, tap, strict=True)]
    starts, ends = zip(*ranges, strict=True)
    return lax.slice(y, starts, ends)


def fill_missing(
    cells: jax.Array, window: ArrayWindow, tap: tuple[int, ...], fill: float
) -> jax.Array:
    """``cells`` with ``fill`` at the outputs whose cell under the tap is padding."""
    ranges = [(axis.valid_outputs(t), axis.output) for axis, t in zip(window, tap, strict=True)]
    pads = [(first, output - last, 0) for (first, last), output in ranges]
    return lax.pad(cells, jnp.asarray(fill, cells.dtype), pads) if any(map(any, pads)) else cells


def cells_from(
    x: jax.Array, start: Sequence[Any], output: Sequence[int], stride: Sequence[int]
) -> jax.Array:
    """The cells that one tap reads, from a start that is known only when the program runs.

    Args:
      x: (N, *size, C), padding included.
      start: the cell of the first output on each spatial axis, as int32 scalars.
      output, stride: the outputs on each axis, and the cells from one to the next.

    Returns:
      (N, *output, C)
    """
    zero = jnp.zeros((), jnp.int32)
    spans = [(k - 1) * s + 1 for k, s in zip(output, stride, strict=True)]
    cells = lax.dynamic_slice(x, (zero, *start, zero), (x.shape[0], *spans, x.shape[-1]))
    return lax.slice(cells, (0,) * cells.ndim, cells.shape, (1, *stride, 1))
