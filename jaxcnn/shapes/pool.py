"""The shapes of a pool over sliding windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxcnn.errors import InputError
from jaxcnn.geometry import Padding, Window, place_windows
from jaxcnn.geometry.check import is_sequence, per_axis
from jaxcnn.geometry.coverage import first_empty_output
from jaxcnn.geometry.padding_advice import nonempty_window_advice
from jaxcnn.shapes.checks import batch_axis, split_shape


@dataclass(frozen=True)
class PoolShapes:
    """A checked pool over x (N, *spatial, C), which leaves the channels alone.

    Attributes:
      batch: N, or None where x came without a batch axis.
      windows: one :class:`Window` for each spatial axis.
      channels: C.

    >>> PoolShapes(8, (Window(28, 2, stride=2),), channels=3).output
    (8, 14, 3)
    """

    batch: int | None
    windows: tuple[Window, ...]
    channels: int

    @property
    def spatial(self) -> tuple[int, ...]:
        """The output's spatial sizes."""
        return tuple(window.output for window in self.windows)

    @property
    def output(self) -> tuple[int, ...]:
        """The output's shape, with a batch axis iff x had one."""
        return (*batch_axis(self.batch), *self.spatial, self.channels)

    @property
    def paddings(self) -> tuple[tuple[int, int], ...]:
        return tuple(window.padding for window in self.windows)


def pool_shapes(
    x: Sequence[int],
    kernel_size: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
) -> PoolShapes:
    """Checks the shape and arguments of a pool and lays its windows.

    Args:
      x: (N, *spatial, C); or (*spatial, C) where ``kernel_size`` lists one size for each axis.
      kernel_size: the window's size, one for all spatial axes or one each.
      stride: None takes the window's size, so that windows neither overlap nor leave gaps.
      padding, dilation, rounding: as in :func:`jaxcnn.conv`.

    Raises:
      InputError: as for a convolution, and where a window would hold nothing but padding.

    >>> pool_shapes((8, 28, 28, 3), 2).output
    (8, 14, 14, 3)
    """
    x = tuple(x)
    if is_sequence(kernel_size):
        axes, asked = len(kernel_size), f"kernel_size {tuple(kernel_size)!r}"
    else:
        axes, asked = max(1, len(x) - 2), f"kernel_size {kernel_size!r}"
    batch, spatial, channels = split_shape(x, axes, asked)
    kernel_size = per_axis("kernel_size", kernel_size, axes, least=1)
    laid = place_windows(
        spatial,
        kernel_size,
        stride=kernel_size if stride is None else stride,
        padding=padding,
        dilation=dilation,
        rounding=rounding,
        check=_require_cells,
    )
    return PoolShapes(batch, laid, channels)


def _require_cells(laid: Sequence[Window], rounding: str) -> None:
    """Refuses windows that hold nothing but padding."""
    for axis in laid:
        empty = first_empty_output(axis)
        if empty is not None:
            raise InputError(
                f"{axis.axis} {axis.size} with kernel_size {axis.kernel_size}, dilation {axis.dilation}, "
                f"stride {axis.stride}, padding {axis.padding}: output {empty} would pool "
                f"nothing but padding.",
                *nonempty_window_advice(laid, rounding),
                *(["a smaller dilation"] if axis.dilation > 1 else []),
            )
