"""The base of all checked calls: it converts a call to a common form, and the result back.

Operations compute with one form: arrays of one dtype, x with a batch axis. If the caller's x has no
batch axis, neither has the result.
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
    """The part that the shapes of all operations share.

    Attributes:
      batch: N, or None if the caller's x has no batch axis.
      dtype: the result's dtype; None if the operation is described by shapes alone.

    >>> import jax.numpy as jnp
    >>> shapes = OperationShapes(None, dtype=jnp.dtype("bfloat16"))
    >>> x = shapes.batched(jnp.ones((7, 3)))
    >>> x.shape, shapes.restore(x).shape, shapes.restore(x).dtype
    ((1, 7, 3), (7, 3), dtype(bfloat16))
    """

    batch: int | None
    dtype: np.dtype | None = field(default=None, kw_only=True)

    def with_batch(self, *sizes: int) -> tuple[int, ...]:
        """The caller's shape of these sizes: with a batch axis if the caller's x has one."""
        return sizes if self.batch is None else (self.batch, *sizes)

    def batched(self, x: jax.Array) -> jax.Array:
        """The caller's array with a batch axis."""
        return x if self.batch is not None else lax.expand_dims(x, (0,))

    def sharding(self, out_sharding: Sharding | None) -> Sharding | None:
        """The caller's ``out_sharding`` for a result that has a batch axis."""
        if out_sharding is None or self.batch is not None:
            return out_sharding
        if isinstance(out_sharding, NamedSharding):
            return NamedSharding(out_sharding.mesh, PartitionSpec(None, *out_sharding.spec))
        return PartitionSpec(None, *out_sharding)

    @property
    def has_fractions(self) -> bool:
        """Whether the result may hold fractions, so that x must be floating."""
        return False

    def restore(self, y: jax.Array, dtype: Any = None) -> jax.Array:
        """The result as the caller gets it: without an added batch axis, in the result's dtype.

        Args:
          y: the result, with a batch axis.
          dtype: the dtype of a second result; None takes the result's.
        """
        y = y if self.batch is not None else lax.squeeze(y, (0,))
        return y.astype(self.dtype if dtype is None else dtype)


@dataclass(frozen=True)
class WindowShapes(OperationShapes):
    """The part that the shapes of all operations over sliding windows share.

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
    """The checks of an operation: a call returns the checked arrays, then the shapes.

    Attributes:
      operation: the operation's name, with which errors begin.
      describe: makes the operation's shapes from the arrays' shapes and the other arguments.
      require: raises a TypeError if the operation does not support the dtype of x.
      arrays: the names of the arrays, of one dtype; the first is x, and ``bias`` may be None.
      batched: the number of arrays, from the first on, that have a batch axis.

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
          InputError, TypeError: if the arrays and arguments do not fit.
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
