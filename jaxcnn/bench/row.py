"""One problem of a suite: a convolution or a pool, in numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from jaxcnn.geometry import place_windows, transposed_output_size

DTYPES = ("float32", "bfloat16")
"""What a suite can be timed in."""

DIRECTIONS = ("forward", "input", "kernel")
"""The result; its gradient with respect to the input; and with respect to the kernel."""

OPERATIONS = ("conv", "transposed", "max pool", "avg pool")


@dataclass(frozen=True)
class Row:
    """One problem of a suite.

        layout "last":   x: (N, *size, C_in)   kernel: (*F, C_in // groups, C_out)
        layout "first":  x: (N, C_in, *size)   kernel: (C_out, C_in // groups, *F)

    Windows that would not end on the last cell leave the rest unread, as the networks that the rows
    are taken from have it.

    Attributes:
      group: the class it stands for.
      batch, size, in_channels, out_channels, groups: N, the input's cells on each axis, channels in
        and out, and the parts they are divided into.
      kernel_size, stride, dilation: on each axis.
      padding: (lo, hi) on each axis; of a transposed convolution, that of the convolution which it
        transposes.
      operation: one of :data:`OPERATIONS`.
      layout: where the channels are.

    >>> row = Row("dense", 8, (56, 56), 64, 64, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    >>> row.name, row.output_shape, row.terms("forward")
    ('3x3 64-64 @56 b8', (8, 56, 56, 64), 576)
    """

    group: str
    batch: int
    size: tuple[int, ...]
    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int = 1
    operation: str = "conv"
    layout: str = "last"

    @property
    def name(self) -> str:
        """The numbers in the order in which people say them."""
        words = [f"{self.kernel_size[0]}-tap" if self.axes == 1 else _across(self.kernel_size)]
        if self.operation != "conv":
            words.append(self.operation)
        if self.is_pool:
            words.append(str(self.in_channels))
        elif self.is_depthwise:
            words.append(f"depthwise {self.in_channels}")
        else:
            words.append(f"{self.in_channels}-{self.out_channels}")
            words += [f"g{self.groups}"] if self.groups > 1 else []
        for letter, numbers in (("s", self.stride), ("d", self.dilation)):
            words += [f"{letter}{_across(numbers, True)}"] if set(numbers) != {1} else []
        words += [f"@{_across(self.size, True)}", f"b{self.batch}"]
        words += ["channels first"] if self.layout == "first" else []
        return " ".join(words)

    @property
    def is_pool(self) -> bool:
        """Whether there is no kernel."""
        return self.operation.endswith("pool")

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel has a filter of its own."""
        return 1 < self.groups == self.in_channels == self.out_channels

    @property
    def axes(self) -> int:
        """How many spatial axes there are."""
        return len(self.size)

    @property
    def directions(self) -> tuple[str, ...]:
        """What can be timed of it."""
        return DIRECTIONS[:2] if self.is_pool else DIRECTIONS

    @property
    def output(self) -> tuple[int, ...]:
        """The result's spatial sizes."""
        if self.operation == "transposed":
            numbers = zip(
                self.size, self.kernel_size, self.stride, self.padding, self.dilation, strict=True
            )
            return tuple(
                transposed_output_size(size, taps, stride=stride, padding=pair, dilation=dilation)
                for size, taps, stride, pair, dilation in numbers
            )
        laid = place_windows(
            self.size,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            rounding="floor",
        )
        return tuple(window.output for window in laid)

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self._image(self.size, self.in_channels)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self._image(self.output, self.out_channels)

    @property
    def kernel_shape(self) -> tuple[int, ...] | None:
        """None for a pool."""
        if self.is_pool:
            return None
        inside = self.in_channels // self.groups
        if self.layout == "first":
            return (self.out_channels, inside, *self.kernel_size)
        return (*self.kernel_size, inside, self.out_channels)

    @property
    def multiply_adds(self) -> int:
        """The same in each direction: every tap at every place (of a pool, comparisons or adds)."""
        places = math.prod(self.size if self.operation == "transposed" else self.output)
        inside = 1 if self.is_pool else self.in_channels // self.groups
        return self.batch * places * math.prod(self.kernel_size) * inside * self.out_channels

    def numbers_moved(self) -> int:
        """How many numbers the operands and the result hold, together: the same each direction."""
        shapes = (self.x_shape, self.kernel_shape or (0,), self.output_shape)
        return sum(map(math.prod, shapes))

    def terms(self, direction: str) -> int:
        """The most products that are summed for one number of the result."""
        taps = math.prod(self.kernel_size)
        if self.is_pool:
            return taps
        if direction == "kernel":
            places = self.size if self.operation == "transposed" else self.output
            return self.batch * math.prod(places)
        # Against the stride, a number meets only the taps that are whole strides apart.
        if (direction == "forward") == (self.operation == "transposed"):
            steps = (s // math.gcd(s, d) for s, d in zip(self.stride, self.dilation, strict=True))
            taps = math.prod(-(-f // step) for f, step in zip(self.kernel_size, steps, strict=True))
        return taps * (
            (self.in_channels if direction == "forward" else self.out_channels) // self.groups
        )

    def _image(self, size: tuple[int, ...], channels: int) -> tuple[int, ...]:
        if self.layout == "first":
            return (self.batch, channels, *size)
        return (self.batch, *size, channels)


def row(
    group: str,
    kernel_size: int,
    in_channels: int,
    out_channels: int,
    size: int,
    *,
    axes: int = 2,
    batch: int = 8,
    stride: int = 1,
    padding: int | tuple[int, int] | None = None,
    dilation: int = 1,
    groups: int = 1,
    operation: str = "conv",
    layout: str = "last",
) -> Row:
    """A row whose axes are all alike; padding None puts half a filter on both sides.

    >>> row("dense", 3, 64, 64, 56).padding
    ((1, 1), (1, 1))
    """
    if padding is None:
        padding = dilation * (kernel_size - 1) // 2
    pair = (padding, padding) if isinstance(padding, int) else padding
    return Row(
        group,
        batch,
        (size,) * axes,
        in_channels,
        out_channels,
        (kernel_size,) * axes,
        (stride,) * axes,
        (pair,) * axes,
        (dilation,) * axes,
        groups,
        operation,
        layout,
    )


def depthwise(kernel_size: int, channels: int, size: int, **more: Any) -> Row:
    """A row with one filter for each channel."""
    return row("depthwise", kernel_size, channels, channels, size, groups=channels, **more)


def pool(kind: str, window: int, channels: int, size: int, stride: int, padding: int = 0) -> Row:
    """A row of a max or avg pool."""
    operation = f"{kind} pool"
    return row(
        "pool",
        window,
        channels,
        channels,
        size,
        stride=stride,
        padding=padding,
        operation=operation,
    )


def _across(numbers: tuple[int, ...], once: bool = False) -> str:
    if once and len(set(numbers)) == 1:
        return str(numbers[0])
    return "x".join(map(str, numbers))
