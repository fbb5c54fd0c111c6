"""A description of one convolution by numbers: canonical, hashable, in one layout.

The code that decides how to compute a convolution reads only this description, never an array.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Problem:
    """A convolution with channels last and groups of channels.

        x: (N, *size, C)      kernel: (*F, C // groups, O)      returns (N, *k, O), with
        k = (D + lo + hi - F')//stride + 1,   D = base_dilation*(size - 1) + 1,
        F' = dilation*(F - 1) + 1

    A kernel gradient is also a problem, with batch and channels exchanged
    (:meth:`kernel_gradient`). So is an input gradient, whose base dilation is the forward stride.

    Attributes:
      batch, in_channels, out_channels, groups: N, C, O and the number of groups.
      size, kernel_size: cells on each spatial axis of x and of the kernel.
      stride, dilation, base_dilation: cells from one window, tap or input to the next.
      padding: (lo, hi) on each axis; negative numbers crop.
      dtype: the dtype of x and kernel, by name.
      out_dtype: the dtype of the result, by name.
      precision: None or a pair, as in the parameters of ``lax.conv_general_dilated_p``.

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
        """The number of spatial axes."""
        return len(self.size)

    @property
    def extent(self) -> tuple[int, ...]:
        """F' on each axis: cells from the first tap of a window to its last."""
        return tuple(d * (f - 1) + 1 for f, d in zip(self.kernel_size, self.dilation, strict=True))

    @property
    def dilated_size(self) -> tuple[int, ...]:
        """D on each axis: the size with the zeros that base dilation adds between cells."""
        return tuple(
            b * (n - 1) + 1 if n else 0 for n, b in zip(self.size, self.base_dilation, strict=True)
        )

    @property
    def output(self) -> tuple[int, ...]:
        """k on each axis."""
        return tuple(
            max(0, (size + lo + hi - extent) // stride + 1)
            for size, (lo, hi), extent, stride in zip(
                self.dilated_size, self.padding, self.extent, self.stride, strict=True
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
        """Input and output channels of one group."""
        return self.in_channels // self.groups, self.out_channels // self.groups

    @property
    def taps(self) -> int:
        """Taps of the kernel: F_1 * F_2 * ..."""
        return math.prod(self.kernel_size)

    @property
    def output_cells(self) -> int:
        """Outputs of one filter for one example: k_1 * k_2 * ..."""
        return math.prod(self.output)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the definition, including those with padding."""
        return (
            self.batch * self.output_cells * self.out_channels * self.taps * self.group_channels[0]
        )

    @property
    def itemsize(self) -> int:
        """Bytes of one number."""
        return {"bfloat16": 2, "float16": 2, "float32": 4, "float64": 8}.get(self.dtype, 16)

    @property
    def is_empty(self) -> bool:
        """Whether an operand or the output has no entries."""
        return 0 in self.x_shape or 0 in self.kernel_shape or 0 in self.output_shape

    @property
    def is_plain(self) -> bool:
        """Whether there is neither base dilation nor negative padding."""
        return all(b == 1 for b in self.base_dilation) and min(map(min, self.padding)) >= 0

    @property
    def is_depthwise(self) -> bool:
        """Whether each input channel is a group of its own."""
        return self.group_channels[0] == 1 and self.groups > 1

    @property
    def is_thin(self) -> bool:
        """Whether there are more taps than outputs, as in kernel gradients (few, long sums)."""
        return self.taps > self.output_cells

    def with_padding_for(self, output: Sequence[int]) -> Problem:
        """The problem with ``hi`` of the padding changed to give exactly ``output`` outputs."""
        pairs = tuple(
            (lo, (k - 1) * stride + extent - size - lo)
            for k, stride, extent, size, (lo, _) in zip(
                output, self.stride, self.extent, self.dilated_size, self.padding, strict=True
            )
        )
        return replace(self, padding=pairs)

    def trimmed(self) -> tuple[Problem, Pairs]:
        """The problem without the cells that no window reads, and the range kept on each axis.

        The trimmed problem has no negative padding. An empty problem is returned unchanged.
        """
        if self.is_empty:
            return self, tuple((0, n) for n in self.size)
        exact = self.with_padding_for(self.output)
        size, pairs, kept = [], [], []
        for n, base, (lo, hi) in zip(exact.size, exact.base_dilation, exact.padding, strict=True):
            first, last, pair = crop_axis(n, base, lo, hi)
            size.append(n - first - last)
            pairs.append(pair)
            kept.append((first, n - last))
        return replace(exact, size=tuple(size), padding=tuple(pairs)), tuple(kept)

    def kernel_gradient(self) -> Problem:
        """The convolution that computes the gradient with respect to the kernel.

        With x: (N, *size, g*c) and output gradient (N, *k, O), the kernel gradient is the
        convolution of x as (c, *size, g*N) with the output gradient as a kernel (*k, N, O). It
        exchanges stride and dilation, and gives (c, *F, O). The map is its own inverse: applied to
        a kernel gradient it gives the forward convolution.
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
        """The convolution that computes the gradient with respect to x: the transposed one."""
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


def crop_axis(n: int, base: int, lo: int, hi: int) -> tuple[int, int, tuple[int, int]]:
    """The cells to crop for the negative padding of an axis, and the padding that is left.

    Args:
      n: cells on the axis.
      base: base dilation. Cropping a dilated axis by a removes ceil(a/base) cells; the excess
        becomes padding.
      lo, hi: the padding.

    Returns:
      cells to crop before and after, and the remaining (lo, hi), not negative. If no cell is left,
      there is only padding.

    >>> crop_axis(5, 1, -2, 1), crop_axis(3, 2, -1, 0)
    ((2, 0, (0, 1)), (1, 0, (1, 0)))
    """
    first = min(n, max(0, -(lo // base)))
    last = min(n - first, max(0, -(hi // base)))
    if first + last < n:
        return first, last, (lo + first * base, hi + last * base)
    dilated = base * (n - 1) + 1 if n else 0
    return first, last, (max(0, dilated + lo + hi), 0)
