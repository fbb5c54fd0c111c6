"""One convolution, described by numbers alone: canonical, hashable, in one layout.

Everything that decides how a convolution is computed reads this description and touches no array.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Problem:
    """A convolution with channels last and groups of channels.

        x: (N, *size, C)      kernel: (*F, C // groups, O)      returns (N, *k, O), with
        k = (D + lo + hi - F')//stride + 1,   D = base_dilation*(size - 1) + 1,
        F' = dilation*(F - 1) + 1

    A kernel gradient is such a problem too, with batch and channels exchanged
    (:meth:`kernel_gradient`); so is an input gradient, whose base dilation is the stride.

    Attributes:
      batch, in_channels, out_channels, groups: N, C, O and the parts the channels are divided into.
      size, filter: cells on each spatial axis.
      stride, dilation, base_dilation: cells from one to the next, of windows, taps and inputs.
      padding: (lo, hi) on each axis; negative numbers cut cells off.
      dtype: of x and kernel, by name.
      out_dtype: of the result, by name.
      precision: as :func:`jax.lax.conv_general_dilated` holds it: None or a pair.

    >>> Problem(1, (7,), 3, (3,), 6, stride=(2,)).output
    (3,)
    """

    batch: int
    size: tuple[int, ...]
    in_channels: int
    kernel_size: tuple[int, ...]
    out_channels: int
    groups: int = 1
    stride: tuple[int, ...] = ()
    padding: Pairs = ()
    base_dilation: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    dtype: str = "float32"
    out_dtype: str = ""
    precision: Any = None

    def __post_init__(self) -> None:
        ones = (1,) * len(self.size)
        for name in ("stride", "base_dilation", "dilation"):
            if not getattr(self, name):
                object.__setattr__(self, name, ones)
        if not self.padding:
            object.__setattr__(self, "padding", tuple((0, 0) for _ in self.size))
        if not self.out_dtype:
            object.__setattr__(self, "out_dtype", self.dtype)

    @property
    def axes(self) -> int:
        """How many spatial axes there are."""
        return len(self.size)

    @property
    def extent(self) -> tuple[int, ...]:
        """F' on each axis: the cells a window spans."""
        return tuple(d * (f - 1) + 1 for f, d in zip(self.kernel_size, self.dilation, strict=True))

    @property
    def spread(self) -> tuple[int, ...]:
        """D on each axis: the size once base dilation has put zeros between the cells."""
        return tuple(
            b * (n - 1) + 1 if n else 0 for n, b in zip(self.size, self.base_dilation, strict=True)
        )

    @property
    def output(self) -> tuple[int, ...]:
        """k on each axis."""
        return tuple(
            max(0, (size + lo + hi - extent) // stride + 1)
            for size, (lo, hi), extent, stride in zip(
                self.spread, self.padding, self.extent, self.stride, strict=True
            )
        )

    @property
    def x_shape(self) -> tuple[int, ...]:
        return (self.batch, *self.size, self.in_channels)

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        return (*self.kernel_size, self.in_channels // self.groups, self.out_channels)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (self.batch, *self.output, self.out_channels)

    @property
    def group_channels(self) -> tuple[int, int]:
        """Channels in and out of one group."""
        return self.in_channels // self.groups, self.out_channels // self.groups

    @property
    def taps(self) -> int:
        """Cells of one filter on one channel."""
        return math.prod(self.kernel_size)

    @property
    def places(self) -> int:
        """Outputs of one filter on one example."""
        return math.prod(self.output)

    @property
    def multiply_adds(self) -> int:
        """As the definition counts them, padding included."""
        return self.batch * self.places * self.out_channels * self.taps * self.group_channels[0]

    @property
    def itemsize(self) -> int:
        """Bytes of one number."""
        return {"bfloat16": 2, "float16": 2, "float32": 4, "float64": 8}.get(self.dtype, 16)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to read or nothing to write."""
        return 0 in self.x_shape or 0 in self.kernel_shape or 0 in self.output_shape

    @property
    def is_plain(self) -> bool:
        """Whether no input cell is dilated and none is cut off."""
        return all(b == 1 for b in self.base_dilation) and min(map(min, self.padding)) >= 0

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel has filters of its own: one channel in a group."""
        return self.group_channels[0] == 1 and self.groups > 1

    @property
    def is_thin(self) -> bool:
        """Whether a filter of many taps is slid to fewer places than it has taps.

        So it is in kernel gradients: the sums are long and the outputs few.
        """
        return self.taps > self.places

    def with_padding_for(self, output: Sequence[int]) -> Problem:
        """The problem with the padding after each axis that makes exactly ``output`` outputs."""
        pairs = tuple(
            (lo, (k - 1) * stride + extent - size - lo)
            for k, stride, extent, size, (lo, _) in zip(
                output, self.stride, self.extent, self.spread, self.padding, strict=True
            )
        )
        return replace(self, padding=pairs)

    def trimmed(self) -> tuple[Problem, Pairs]:
        """The problem without cells that no window reads, and the range kept on each axis.

        No padding is negative then. What is empty stays as it is, and base dilation stays.
        """
        if self.is_empty:
            return self, tuple((0, n) for n in self.size)
        exact = self.with_padding_for(self.output)
        size, pairs, kept = [], [], []
        for n, base, (lo, hi) in zip(exact.size, exact.base_dilation, exact.padding, strict=True):
            first, last, pair = cut(n, base, lo, hi)
            size.append(n - first - last)
            pairs.append(pair)
            kept.append((first, n - last))
        return replace(exact, size=tuple(size), padding=tuple(pairs)), tuple(kept)

    def kernel_gradient(self) -> Problem:
        """The problem whose kernel gradient this is, its output as large as this filter.

        With x: (N, *size, g*c) and output gradient (N, *k, O), the kernel gradient is the
        convolution of x as (c, *size, g*N) with the output gradient as a kernel (*k, N, O), its
        dilation the stride and its stride the dilation, giving (c, *F, O). The exchange is its own
        inverse.
        """
        c, _ = self.group_channels
        other = replace(
            self,
            batch=c,
            in_channels=self.batch * self.groups,
            kernel_size=self.output,
            stride=self.dilation,
            dilation=self.stride,
        )
        return other.with_padding_for(self.kernel_size)

    def input_gradient(self) -> Problem:
        """The problem that is the gradient with respect to x: the transposed convolution."""
        other = replace(
            self,
            size=self.output,
            in_channels=self.out_channels,
            out_channels=self.in_channels,
            stride=self.base_dilation,
            base_dilation=self.stride,
            padding=tuple(
                (extent - 1 - lo, 0)
                for extent, (lo, _) in zip(self.extent, self.padding, strict=True)
            ),
        )
        return other.with_padding_for(self.size)

    def __str__(self) -> str:
        def across(numbers: Sequence[object]) -> str:
            return "x".join(map(str, numbers))

        words = [
            f"{across(self.x_shape)} * {across(self.kernel_shape)} -> {across(self.output_shape)}",
            self.dtype,
        ]
        for word, value in (("groups", self.groups), ("stride", self.stride)):
            if value not in (1, (1,) * self.axes):
                words.append(f"{word} {value if isinstance(value, int) else across(value)}")
        for word, numbers in (("dilation", self.dilation), ("base dilation", self.base_dilation)):
            if set(numbers) != {1}:
                words.append(f"{word} {across(numbers)}")
        if any(map(any, self.padding)):
            words.append(f"padding {', '.join(f'{lo}-{hi}' for lo, hi in self.padding)}")
        return ", ".join(words)


def cut(n: int, base: int, lo: int, hi: int) -> tuple[int, int, tuple[int, int]]:
    """How many cells negative padding cuts off n cells that lie ``base`` apart, and what is left.

    A cut of a cells off spread-out ones is a cut of ceil(a/base) cells, and what that took too much
    is padding.

    Returns:
      cells cut off before and after, and a pair of padding that is not negative. Where all cells
      are cut off, padding alone is left.

    >>> cut(5, 1, -2, 1), cut(3, 2, -1, 0)
    ((2, 0, (0, 1)), (1, 0, (1, 0)))
    """
    first = min(n, max(0, -(lo // base)))
    last = min(n - first, max(0, -(hi // base)))
    if first + last < n:
        return first, last, (lo + first * base, hi + last * base)
    spread = base * (n - 1) + 1 if n else 0
    return first, last, (max(0, spread + lo + hi), 0)
