"""Checks and shapes of max pooling with indices, and of unpooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jaxcnn.errors import InputError, error_prefix
from jaxcnn.geometry.check import choice, per_axis
from jaxcnn.shapes.arrays import as_arrays, require_ordered
from jaxcnn.shapes.checks import require_cells, split_by
from jaxcnn.shapes.operation import Edge, OperationShapes
from jaxcnn.shapes.pool import PoolShapes, pool_shapes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import jax

INDEX_ORDERS = ("row_major", "column_major")


@dataclass(frozen=True)
class UnpoolShapes(OperationShapes):
    """A checked unpooling of values (N, *k, C) into (N, *output, C).

    Attributes:
      batch, dtype: as in :class:`OperationShapes`.
      sizes: the output's spatial sizes.
      channels: C.

    >>> UnpoolShapes(8, (4, 5), channels=3).output
    (8, 4, 5, 3)
    """

    sizes: tuple[int, ...]
    channels: int

    @property
    def output(self) -> tuple[int, ...]:
        """The shape of the result, with a batch axis if the caller's values have one."""
        return self.with_batch(*self.sizes, self.channels)


def unpool_shapes(
    values: Sequence[int],
    indices: Sequence[int],
    output_size: int | Sequence[int],
    *,
    index_order: str = "row_major",
) -> UnpoolShapes:
    """The shapes of an unpooling, checked.

    Args:
      values: (N, *k, C); or (*k, C) if ``output_size`` has one size for each axis.
      indices: the same shape.
      output_size: the output's spatial sizes, one for all axes or one for each.
      index_order: as in :func:`jaxcnn.max_pool_with_indices`.

    Raises:
      InputError: if these do not fit; names argument and numbers, and what to type instead.

    >>> unpool_shapes((8, 2, 2, 3), (8, 2, 2, 3), (4, 5)).output
    (8, 4, 5, 3)
    """
    choice("index_order", index_order, INDEX_ORDERS)
    values, indices = tuple(values), tuple(indices)
    batch, spatial, channels = split_by(values, "output_size", output_size, name="values")
    if indices != values:
        raise InputError(
            f"indices of shape {indices} do not fit values of shape {values}; use both as "
            f"max_pool_with_indices returned them"
        )
    require_cells(spatial)
    sizes = per_axis("output_size", output_size, len(spatial), least=1, symbolic=True)
    return UnpoolShapes(batch, sizes, channels)


def _indexed_pool_shapes(
    x: Sequence[int],
    kernel_size: int | Sequence[int],
    *,
    index_order: str = "row_major",
    **arguments: Any,
) -> PoolShapes:
    choice("index_order", index_order, INDEX_ORDERS)
    return pool_shapes(x, kernel_size, **arguments)


max_pool_with_indices = Edge("max_pool_with_indices", _indexed_pool_shapes, require_ordered)
_max_unpool = Edge("max_unpool", unpool_shapes, arrays=("values",))


def max_unpool(
    values: jax.Array, indices: jax.Array, output_size: int | Sequence[int], **arguments: Any
) -> tuple[jax.Array, jax.Array, UnpoolShapes]:
    """The checked arrays of :func:`jaxcnn.max_unpool`, which differ in dtype, and the shapes.

    >>> import jax.numpy as jnp
    >>> values, indices, shapes = max_unpool(jnp.ones((2, 3)), jnp.ones((2, 3), int), (4,))
    >>> values.shape, indices.shape, shapes.output
    ((1, 2, 3), (1, 2, 3), (4, 3))
    """
    with error_prefix("max_unpool"):
        (indices,), dtype = as_arrays({"indices": indices})
        if dtype.kind not in "iu":
            raise TypeError(
                f"indices must be integers, got {dtype}; use them as max_pool_with_indices "
                f"returned them"
            )
    values, shapes = _max_unpool(values, indices.shape, output_size, **arguments)
    return values, shapes.batched(indices), shapes
