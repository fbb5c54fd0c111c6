"""One problem of a suite: the sizes of a convolution or a pool."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from jaxcnn.geometry import place_windows, transposed_output_size

DTYPES = ("float32", "bfloat16")
"""The dtypes a suite can be timed in."""

DIRECTIONS = ("forward", "input", "kernel")
"""The forward pass, and the gradients with respect to the input and to the kernel."""

OPERATIONS = ("conv", "transposed", "max pool", "avg pool")


@dataclass(frozen=True)
class Row:
    """One problem of a suite.

        layout "last":   x: (N, *size, C_in)   kernel: (*F, C_in // groups, C_out)
        layout "first":  x: (N, C_in, *size)   kernel: (C_out, C_in // groups, *F)

    Output sizes are rounded down, as in the networks the rows come from.

    Attributes:
      group: the class of convolution, such as ``"depthwise"``.
      batch: N.
      size: the input's cells on each axis.
      in_channels, out_channels, groups: as in :func:`jaxcnn.conv`.
      kernel_size, stride, dilation: on each axis.
      padding: (lo, hi) on each axis. A transposed convolution has the padding of the convolution it
        transposes.
      operation: one of :data:`OPERATIONS`.
      layout: ``"last"`` or ``"first"``, the position of the channels.

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
        """The sizes in short, such as ``3x3 64-64 @56 b8``."""
        words = [f"{self.kernel_size[0]}-tap" if self.axes == 1 else _joined(self.kernel_size)]
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
            words += [f"{letter}{_joined(numbers, True)}"] if set(numbers) != {1} else []
        words += [f"@{_joined(self.size, True)}", f"b{self.batch}"]
        words += ["channels first"] if self.layout == "first" else []
        return " ".join(words)

    @property
    def is_pool(self) -> bool:
        """Whether the row is a pool, which has no kernel."""
        return self.operation.endswith("pool")

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel has its own kernel."""
        return 1 < self.groups == self.in_channels == self.out_channels

    @property
    def axes(self) -> int:
        """The number of spatial axes."""
        return len(self.size)

    @property
    def directions(self) -> tuple[str, ...]:
        """The directions the row has: a pool has no kernel gradient."""
        return DIRECTIONS[:2] if self.is_pool else DIRECTIONS

    @property
    def output(self) -> tuple[int, ...]:
        """The output's cells on each axis."""
        if self.operation == "transposed":
            numbers = zip(
                self.size, self.kernel_size, self.stride, self.padding, self.dilation, strict=True
            )
            return tuple(
                transposed_output_size(size, taps, stride=stride, padding=pair, dilation=dilation)
                for size, taps, stride, pair, dilation in numbers
            )
        windows = place_windows(
            self.size,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            rounding="floor",
        )
        return tuple(window.output for window in windows)

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
        """Multiply-adds, the same in each direction; for a pool, comparisons or additions."""
        places = math.prod(self.size if self.operation == "transposed" else self.output)
        inside = 1 if self.is_pool else self.in_channels // self.groups
        return self.batch * places * math.prod(self.kernel_size) * inside * self.out_channels

    def numbers_moved(self) -> int:
        """The sizes of operands and result together, the same in each direction."""
        shapes = (self.x_shape, self.kernel_shape or (0,), self.output_shape)
        return sum(map(math.prod, shapes))

    def terms(self, direction: str) -> int:
        """The largest number of products summed into one element of the result."""
        taps = math.prod(self.kernel_size)
        if self.is_pool:
            return taps
        if direction == "kernel":
            places = self.size if self.operation == "transposed" else self.output
            return self.batch * math.prod(places)
        # A transposed convolution sums only the taps that are whole strides apart.
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
    """A row with equal axes; by default the padding is half the kernel on both sides.

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
    """A row of a depthwise convolution."""
    return row("depthwise", kernel_size, channels, channels, size, groups=channels, **more)


def pool(
    kind: str, kernel_size: int, channels: int, size: int, stride: int, padding: int = 0
) -> Row:
    """A row of a max or average pool; ``kind`` is ``"max"`` or ``"avg"``."""
    operation = f"{kind} pool"
    return row(
        "pool",
        kernel_size,
        channels,
        channels,
        size,
        stride=stride,
        padding=padding,
        operation=operation,
    )


def _joined(numbers: tuple[int, ...], shorten: bool = False) -> str:
    if shorten and len(set(numbers)) == 1:
        return str(numbers[0])
    return "x".join(map(str, numbers))
