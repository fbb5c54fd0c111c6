"""Checks and shapes of pools over sliding windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jaxcnn.errors import InputError, error_prefix
from jaxcnn.geometry import Padding, Window, place_windows
from jaxcnn.geometry.check import per_axis
from jaxcnn.geometry.coverage import first_empty_output
from jaxcnn.geometry.padding_advice import nonempty_window_advice
from jaxcnn.shapes.arrays import require_floating, require_ordered
from jaxcnn.shapes.checks import norm_order, split_by
from jaxcnn.shapes.operation import Edge, WindowShapes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import jax


@dataclass(frozen=True)
class PoolShapes(WindowShapes):
    """A checked pool over x (N, *spatial, C); the channels stay the same.

    Attributes:
      batch, dtype: as in :class:`OperationShapes`.
      windows: one :class:`jaxcnn.geometry.Window` for each spatial axis.
      channels: C.

    >>> PoolShapes(8, (Window(28, 2, stride=2),), channels=3).output
    (8, 14, 3)
    """

    channels: int

    @property
    def output(self) -> tuple[int, ...]:
        """The shape of the result, with a batch axis if the caller's x has one."""
        return self.with_batch(*self.spatial, self.channels)


def pool_shapes(
    x: Sequence[int],
    kernel_size: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
) -> PoolShapes:
    """The shapes of a pool, checked.

    Args:
      x: (N, *spatial, C); or (*spatial, C) if ``kernel_size`` has one size for each axis.
      kernel_size: the window's size, one for all spatial axes or one each.
      stride: None takes the window's size: windows neither overlap nor leave gaps.
      padding, dilation, rounding: as in :func:`jaxcnn.conv`.

    Raises:
      InputError: as for a convolution, and if a window would cover only padding.

    >>> pool_shapes((8, 28, 28, 3), 2).output
    (8, 14, 14, 3)
    """
    batch, spatial, channels = split_by(x, "kernel_size", kernel_size)
    kernel_size = per_axis("kernel_size", kernel_size, len(spatial), least=1)
    windows = place_windows(
        spatial,
        kernel_size,
        stride=kernel_size if stride is None else stride,
        padding=padding,
        dilation=dilation,
        rounding=rounding,
        check=_require_cells,
    )
    return PoolShapes(batch, windows, channels)


def _require_cells(windows: Sequence[Window], rounding: str) -> None:
    """Raises an InputError if a window covers nothing but padding."""
    for axis in windows:
        empty = first_empty_output(axis)
        if empty is not None:
            raise InputError(
                f"{axis.axis} {axis.size} with kernel_size {axis.kernel_size}, dilation "
                f"{axis.dilation}, stride {axis.stride}, padding {axis.padding}: output {empty} "
                f"would pool nothing but padding.",
                *nonempty_window_advice(windows, rounding),
                *(["a smaller dilation"] if axis.dilation > 1 else []),
            )


max_pool = Edge("max_pool", pool_shapes, require_ordered)
min_pool = Edge("min_pool", pool_shapes, require_ordered)
avg_pool = Edge("avg_pool", pool_shapes, require_floating)
_lp_pool = Edge("lp_pool", pool_shapes, require_floating)


def lp_pool(
    x: jax.Array, kernel_size: int | Sequence[int], p: float, **arguments: Any
) -> tuple[jax.Array, float, PoolShapes]:
    """The checked x of :func:`jaxcnn.lp_pool`, the order of the norm, and the shapes.

    >>> import jax.numpy as jnp
    >>> x, p, shapes = lp_pool(jnp.ones((28, 28, 3)), (2, 2), 2)
    >>> x.shape, p, shapes.output
    ((1, 28, 28, 3), 2, (14, 14, 3))
    """
    with error_prefix("lp_pool"):
        p = norm_order(p)
    x, shapes = _lp_pool(x, kernel_size, **arguments)
    return x, p, shapes
