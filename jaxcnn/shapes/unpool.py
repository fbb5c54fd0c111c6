"""The shapes of an unpooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxcnn.errors import InputError
from jaxcnn.geometry.check import per_axis
from jaxcnn.shapes.checks import require_cells, split_by


@dataclass(frozen=True)
class UnpoolShapes:
    """A checked unpooling of values (N, *k, C) into (N, *output, C).

    Attributes:
      batch: N, or None where the values came without a batch axis.
      spatial: the values' spatial sizes, k.
      sizes: the output's spatial sizes.
      channels: C.

    >>> UnpoolShapes(8, (2, 2), (4, 5), channels=3).output
    (8, 4, 5, 3)
    """

    batch: int | None
    spatial: tuple[int, ...]
    sizes: tuple[int, ...]
    channels: int

    @property
    def output(self) -> tuple[int, ...]:
        """The output's shape, with a batch axis iff the values had one."""
        return (*(() if self.batch is None else (self.batch,)), *self.sizes, self.channels)


def unpool_shapes(
    values: Sequence[int], indices: Sequence[int], output_size: int | Sequence[int]
) -> UnpoolShapes:
    """Checks the shapes of an unpooling.

    Args:
      values: (N, *k, C); or (*k, C) where ``output_size`` lists one size for each axis.
      indices: the same shape.
      output_size: the output's spatial sizes, one for all axes or one each.

    Raises:
      InputError: naming the argument and the numbers, and what to type instead.

    >>> unpool_shapes((8, 2, 2, 3), (8, 2, 2, 3), (4, 5)).output
    (8, 4, 5, 3)
    """
    values, indices = tuple(values), tuple(indices)
    batch, spatial, channels = split_by(values, "output_size", output_size, called="values")
    if indices != values:
        raise InputError(
            f"indices of shape {indices} do not fit values of shape {values}; use both as "
            f"max_pool_with_indices gave them"
        )
    require_cells(spatial)
    sizes = per_axis("output_size", output_size, len(spatial), least=1, symbolic=True)
    return UnpoolShapes(batch, spatial, sizes, channels)
