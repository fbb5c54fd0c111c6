"""The entries of this room: they check and type arrays, and give results back.

Below the edge there is one form: arrays of one dtype, x with a batch axis. The caller may have x
without one, and gets the result as he has x.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from jaxcnn.errors import error_prefix
from jaxcnn.shapes.arrays import Sharding, as_arrays, require_floating

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

    >>> import jax.numpy as jnp
    >>> shapes = OperationShapes(None, dtype=jnp.dtype("bfloat16"))
    >>> x = shapes.batched(jnp.ones((7, 3)))
    >>> x.shape, shapes.restore(x).shape, shapes.restore(x).dtype
    ((1, 7, 3), (7, 3), dtype(bfloat16))
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

    @property
    def has_fractions(self) -> bool:
        """Whether the arguments make fractions of whole numbers, so that x must be floating."""
        return False

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

    >>> from jaxcnn.geometry import Window
    >>> shapes = WindowShapes(8, (Window(7, 3, padding=(1, 1)),))
    >>> shapes.spatial, shapes.paddings
    ((7,), ((1, 1),))
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


@dataclass(frozen=True)
class Edge(Generic[Shapes]):
    """The entry of an operation: called, it gives the checked arrays, then the shapes.

    Attributes:
      operation: its name, with which errors begin.
      describe: makes its shapes of those of the arrays and of the other arguments.
      require: refuses an x whose dtype the operation does not take.
      arrays: the names of its arrays, of one dtype; the first is x, and ``bias`` may be None.
      batched: how many of them, from the first on, have a batch axis.

    >>> import jax.numpy as jnp
    >>> from jaxcnn.shapes import pool_shapes
    >>> x, shapes = Edge("max_pool", pool_shapes)(jnp.ones((28, 28, 3)), (2, 2))
    >>> x.shape, shapes.output
    ((1, 28, 28, 3), (14, 14, 3))
    """

    operation: str
    describe: Callable[..., Shapes]
    require: Callable[[jax.Array], None] = lambda _: None
    arrays: tuple[str, ...] = ("x",)
    batched: int = 1

    def __call__(
        self, *given: Any, preferred_element_type: Any = None, **arguments: Any
    ) -> tuple[*tuple[Any, ...], Shapes]:
        """The arrays, those with a batch axis first, and the shapes.

        Args:
          given: the arrays, then other arguments by position.
          preferred_element_type: the result's dtype; None takes that of x.
          arguments: other arguments by name.

        Raises:
          InputError, TypeError: where they do not fit.
        """
        count = len(self.arrays)
        with error_prefix(self.operation):
            named = dict(zip(self.arrays, given, strict=False))
            arrays, dtype = as_arrays(named, preferred_element_type)
            self.require(arrays[0])
            described = (None if array is None else array.shape for array in arrays)
            shapes = self.describe(*described, *given[count:], **arguments)
            if shapes.has_fractions:
                require_floating(arrays[0])
        shapes = replace(shapes, dtype=dtype)
        batched, others = arrays[: self.batched], arrays[self.batched :]
        checked: tuple[Any, ...] = (*map(shapes.batched, batched), *others)
        return *checked, shapes
