"""Checks and shapes of adaptive and global pools: one bin per output, for any input size.

    bin i of k on N cells: from floor(i*N/k) up to, not including, ceil((i + 1)*N/k)

This is PyTorch's rule. If k divides N, the bins are windows of N/k cells with that stride;
otherwise neighbouring bins share a cell. One output is the global pool.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jax import lax

from jaxcnn.errors import InputError, error_prefix
from jaxcnn.geometry._symbolic import is_symbolic
from jaxcnn.geometry.check import integer, per_axis
from jaxcnn.geometry.window import axis_names
from jaxcnn.shapes.arrays import require_floating, require_ordered
from jaxcnn.shapes.checks import norm_order, require_cells, split_by, split_by_rank
from jaxcnn.shapes.operation import Edge, OperationShapes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import jax


@dataclass(frozen=True)
class Bins:
    """The bins of ``output`` outputs over ``size`` cells of an axis.

    >>> [list(Bins(*numbers)) for numbers in ((6, 3), (5, 3), (2, 3))]
    [[(0, 2), (2, 4), (4, 6)], [(0, 2), (1, 4), (3, 5)], [(0, 1), (0, 2), (1, 2)]]
    """

    size: int
    output: int

    def __post_init__(self) -> None:
        size = integer("size", self.size, least=1, symbolic=True)
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "output", integer("output_size", self.output, least=1))

    def of(self, output: Any) -> tuple[Any, Any]:
        """The start and the end of an output's bin, end excluded; ``output`` may be an array.

        >>> Bins(5, 3).of(1)
        (1, 4)
        """
        return output * self.size // self.output, -(-(output + 1) * self.size // self.output)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return map(self.of, range(self.output))


@dataclass(frozen=True)
class BinShapes(OperationShapes):
    """A checked pool of x (N, *spatial, C) over bins.

    Attributes:
      batch, dtype: as in :class:`OperationShapes`.
      bins: the bins of each spatial axis.
      channels: C.
      keepdims: whether the result keeps the spatial axes; False needs one bin on each.

    >>> BinShapes(8, (Bins(13, 6), Bins(10, 5)), channels=3).output
    (8, 6, 5, 3)
    """

    bins: tuple[Bins, ...]
    channels: int
    keepdims: bool = True

    @property
    def spatial(self) -> tuple[int, ...]:
        """The output's spatial sizes."""
        return tuple(bins.output for bins in self.bins)

    @property
    def output(self) -> tuple[int, ...]:
        """The shape of the result, with a batch axis if the caller's x has one."""
        return self.with_batch(*(self.spatial if self.keepdims else ()), self.channels)

    def restore(self, y: jax.Array, dtype: Any = None) -> jax.Array:
        """The result as the caller gets it, with or without spatial axes."""
        if not self.keepdims:
            y = lax.squeeze(y, tuple(range(1, 1 + len(self.bins))))
        return super().restore(y, dtype)


def adaptive_shapes(x: Sequence[int], output_size: int | Sequence[int]) -> BinShapes:
    """The shapes of an adaptive pool, checked.

    Args:
      x: (N, *spatial, C); or (*spatial, C) if ``output_size`` has one entry for each axis.
      output_size: the output's spatial sizes, one for all axes or one for each.

    Raises:
      InputError: if these do not fit; names argument and numbers, and what to type instead.

    >>> adaptive_shapes((8, 13, 10, 3), (6, 5)).output
    (8, 6, 5, 3)
    """
    batch, spatial, channels = split_by(x, "output_size", output_size)
    require_cells(spatial)
    outputs = per_axis("output_size", output_size, len(spatial), least=1)
    for name, n, k in zip(axis_names(len(spatial)), spatial, outputs, strict=True):
        if is_symbolic(n) and (is_symbolic(n % k) or n % k):
            raise InputError(
                f"{name} {n} in {k} bins: their sizes depend on {n} modulo {k}, which is not known "
                f'to be 0; use a multiple, as in "{k}*h", or symbolic_shape(..., '
                f'constraints=["mod({n}, {k}) == 0"])'
            )
    bins = tuple(Bins(n, k) for n, k in zip(spatial, outputs, strict=True))
    return BinShapes(batch, bins, channels)


def global_shapes(
    x: Sequence[int], *, rank: int | None = None, keepdims: bool = False
) -> BinShapes:
    """The shapes of a global pool, checked: one bin over each spatial axis.

    Args:
      x: (N, *spatial, C); or (*spatial, C) if ``rank`` says so.
      rank: the number of spatial axes; None takes all axes between the first and the last.
      keepdims: whether the spatial axes stay, with size 1.

    >>> global_shapes((7, 9, 3), rank=2).bins
    (Bins(size=7, output=1), Bins(size=9, output=1))
    """
    batch, spatial, channels = split_by_rank(x, rank)
    return BinShapes(batch, tuple(Bins(n, 1) for n in spatial), channels, keepdims)


adaptive_max_pool = Edge("adaptive_max_pool", adaptive_shapes, require_ordered)
adaptive_avg_pool = Edge("adaptive_avg_pool", adaptive_shapes, require_floating)
global_max_pool = Edge("global_max_pool", global_shapes, require_ordered)
global_avg_pool = Edge("global_avg_pool", global_shapes, require_floating)


def global_lp_pool(x: jax.Array, p: float, **arguments: Any) -> tuple[jax.Array, float, BinShapes]:
    """The checked x of :func:`jaxcnn.global_lp_pool`, the order of the norm, and the shapes.

    >>> import jax.numpy as jnp
    >>> x, p, shapes = global_lp_pool(jnp.ones((28, 28, 3)), 2, rank=2)
    >>> x.shape, p, shapes.output
    ((1, 28, 28, 3), 2, (3,))
    """
    x, shapes = Edge("global_lp_pool", global_shapes, require_floating)(x, **arguments)
    with error_prefix("global_lp_pool"):
        return x, norm_order(p), shapes
