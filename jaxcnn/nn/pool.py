"""Pooling as Flax NNX modules."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from flax import nnx

from jaxcnn import ops
from jaxcnn.errors import error_prefix
from jaxcnn.keywords import suggest_keywords
from jaxcnn.nn._options import PoolOptions, flag, pool_options
from jaxcnn.shapes.checks import norm_order

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import jax

    from jaxcnn.geometry import Padding


Result = TypeVar("Result")


class Pool(nnx.Module):
    """The base class of pooling layers: it stores the options and calls the operation."""

    options: PoolOptions

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        *,
        stride: int | Sequence[int] | None = None,
        padding: Padding = "VALID",
        dilation: int | Sequence[int] = 1,
        rounding: str = "exact",
    ) -> None:
        with error_prefix(type(self).__name__):
            self.options = pool_options(
                kernel_size, stride=stride, padding=padding, dilation=dilation, rounding=rounding
            )

    @property
    def kernel_size(self) -> int | tuple[int, ...]:
        return self.options.kernel_size

    @property
    def stride(self) -> int | tuple[int, ...]:
        return self.options.stride

    @property
    def padding(self) -> str | int | tuple[tuple[int, int], ...]:
        return self.options.padding

    @property
    def dilation(self) -> int | tuple[int, ...]:
        return self.options.dilation

    @property
    def rounding(self) -> str:
        return self.options.rounding

    def _pool(self, pool: Callable[..., Result], x: jax.Array) -> Result:
        options = self.options
        return pool(
            x,
            options.kernel_size,
            stride=options.stride,
            padding=options.padding,
            dilation=options.dilation,
            rounding=options.rounding,
        )


@suggest_keywords
class MaxPool(Pool):
    """:func:`jaxcnn.max_pool` as a layer, with the same arguments, checked when it is built.

    >>> import jax.numpy as jnp
    >>> MaxPool((2, 2))(jnp.ones((4, 4, 1))).shape
    (2, 2, 1)
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        return self._pool(ops.max_pool, x)


@suggest_keywords
class MinPool(Pool):
    """:func:`jaxcnn.min_pool` as a layer, with the same arguments, checked when it is built.

    >>> import jax.numpy as jnp
    >>> MinPool((2, 2))(jnp.ones((4, 4, 1))).shape
    (2, 2, 1)
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        return self._pool(ops.min_pool, x)


@suggest_keywords
class AvgPool(Pool):
    """:func:`jaxcnn.avg_pool` as a layer, with the same arguments, checked when it is built.

    >>> import jax.numpy as jnp
    >>> AvgPool((2, 2))(jnp.ones((4, 4, 1))).shape
    (2, 2, 1)
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        *,
        stride: int | Sequence[int] | None = None,
        padding: Padding = "VALID",
        dilation: int | Sequence[int] = 1,
        rounding: str = "exact",
        count_include_pad: bool = False,
    ) -> None:
        super().__init__(
            kernel_size, stride=stride, padding=padding, dilation=dilation, rounding=rounding
        )
        with error_prefix(type(self).__name__):
            self.count_include_pad = flag("count_include_pad", count_include_pad)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self._pool(partial(ops.avg_pool, count_include_pad=self.count_include_pad), x)


@suggest_keywords
class LpPool(Pool):
    """:func:`jaxcnn.lp_pool` as a layer, with the same arguments, checked when it is built.

    >>> import jax.numpy as jnp
    >>> LpPool((2, 2), 3)(jnp.ones((4, 4, 1))).shape
    (2, 2, 1)
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        p: float = 2,
        *,
        stride: int | Sequence[int] | None = None,
        padding: Padding = "VALID",
        dilation: int | Sequence[int] = 1,
        rounding: str = "exact",
    ) -> None:
        super().__init__(
            kernel_size, stride=stride, padding=padding, dilation=dilation, rounding=rounding
        )
        with error_prefix(type(self).__name__):
            self.p = norm_order(p)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self._pool(partial(ops.lp_pool, p=self.p), x)
