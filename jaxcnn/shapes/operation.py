"""What every entry of this room is made of: arrays checked and typed, and the way back.

Below the edge there is one form: arrays of one dtype, x with a batch axis. The caller may have x
without one, and gets the result as he has x.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from jaxcnn.errors import error_prefix
from jaxcnn.shapes.arrays import Sharding, as_arrays

if TYPE_CHECKING:
    from collections.abc import Callable

    import jax
    import numpy as np

    from jaxcnn.geometry import Window


@dataclass(frozen=True)
class OperationShapes:
    """What the shapes of all operations have in common.

    Attributes:
      batch: N, or None where the caller's x has no batch axis.
      dtype: the result's; None where the operation is described by shapes alone.
    """

    batch: int | None
    dtype: np.dtype | None = field(default=None, kw_only=True)

    def with_batch(self, *sizes: int) -> tuple[int, ...]:
        """The shape with these sizes that the caller has: with a batch axis iff his x has one."""
        return sizes if self.batch is None else (self.batch, *sizes)

    def batched(self, x: jax.Array) -> jax.Array:
        """The caller's array with a batch axis."""
        return x if self.batch is not None else lax.expand_dims(x, (0,))

    def sharding(self, out_sharding: Sharding | None) -> Sharding | None:
        """The sharding of a result with a batch axis, from the one that the caller asks for."""
        if out_sharding is None or self.batch is not None:
            return out_sharding
        if isinstance(out_sharding, NamedSharding):
            return NamedSharding(out_sharding.mesh, PartitionSpec(None, *out_sharding.spec))
        return PartitionSpec(None, *out_sharding)

    def restore(self, y: jax.Array, dtype: Any = None) -> jax.Array:
        """The result as the caller gets it: without an added batch axis, in the result's dtype.

        Args:
          y: the result, with a batch axis.
          dtype: another dtype than the result's, of a second result.
        """
        y = y if self.batch is not None else lax.squeeze(y, (0,))
        return y.astype(self.dtype if dtype is None else dtype)


@dataclass(frozen=True)
class WindowShapes(OperationShapes):
    """What the shapes of all operations over sliding windows have in common.

    Attributes:
      windows: one :class:`jaxcnn.geometry.Window` for each spatial axis.
    """

    windows: tuple[Window, ...]

    @property
    def spatial(self) -> tuple[int, ...]:
        """The output's spatial sizes."""
        return tuple(window.output for window in self.windows)

    @property
    def paddings(self) -> tuple[tuple[int, int], ...]:
        return tuple(window.padding for window in self.windows)


Shapes = TypeVar("Shapes", bound=OperationShapes)


def checked(
    describe: Callable[..., Shapes],
    arrays: dict[str, Any],
    arguments: dict[str, Any],
    *,
    require: Callable[[jax.Array], None] | None = None,
    preferred_element_type: Any = None,
) -> tuple[tuple[Any, ...], Shapes]:
    """The arrays of a call, typed, and its shapes.

    Args:
      describe: makes the operation's shapes of the arrays' shapes and the arguments.
      arrays: by name; the first is x, and one called bias may be None.
      arguments: the other arguments of ``describe``.
      require: refuses an x whose dtype the operation does not take.
      preferred_element_type: the result's dtype; None takes that of x.

    Raises:
      InputError, TypeError: where they do not fit.
    """
    typed, dtype = as_arrays(arrays, preferred_element_type)
    if require is not None:
        require(typed[0])
    shapes = describe(*(None if a is None else a.shape for a in typed), **arguments)
    return typed, replace(shapes, dtype=dtype)


@dataclass(frozen=True)
class Edge(Generic[Shapes]):
    """The edge of an operation on one array: called, it gives x with a batch axis and the shapes.

    Attributes:
      operation: its name, with which errors begin.
      describe: makes its shapes of the shape of x and the arguments.
      require: refuses an x whose dtype the operation does not take.

    >>> import jax.numpy as jnp
    >>> from jaxcnn.shapes import pool_shapes
    >>> x, shapes = Edge("max_pool", pool_shapes)(jnp.ones((28, 28, 3)), (2, 2))
    >>> x.shape, shapes.output
    ((1, 28, 28, 3), (14, 14, 3))
    """

    operation: str
    describe: Callable[..., Shapes]
    require: Callable[[jax.Array], None] | None = None

    def __call__(self, x: jax.Array, *argument: Any, **named: Any) -> tuple[jax.Array, Shapes]:
        with error_prefix(self.operation):
            (x,), shapes = checked(
                lambda x: self.describe(x, *argument, **named), {"x": x}, {}, require=self.require
            )
        return shapes.batched(x), shapes
