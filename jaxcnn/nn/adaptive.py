"""Adaptive and global pools as Flax NNX modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flax import nnx

from jaxcnn import ops
from jaxcnn.errors import error_prefix
from jaxcnn.geometry.check import integer
from jaxcnn.keywords import suggest_keywords
from jaxcnn.nn._options import flag, one_or_each
from jaxcnn.shapes.checks import norm_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    import jax


class AdaptivePool(nnx.Module):
    """The base class of adaptive pools: it stores the size of their output."""

    def __init__(self, output_size: int | Sequence[int]) -> None:
        with error_prefix(type(self).__name__):
            self.output_size = one_or_each("output_size", output_size)


@suggest_keywords
class AdaptiveAvgPool(AdaptivePool):
    """:func:`jaxcnn.adaptive_avg_pool` as a layer, with the same arguments.

    >>> import jax.numpy as jnp
    >>> AdaptiveAvgPool(3)(jnp.ones((2, 7, 8, 1))).shape
    (2, 3, 3, 1)
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        return ops.adaptive_avg_pool(x, self.output_size)


@suggest_keywords
class AdaptiveMaxPool(AdaptivePool):
    """:func:`jaxcnn.adaptive_max_pool` as a layer, with the same arguments.

    >>> import jax.numpy as jnp
    >>> AdaptiveMaxPool((3, 2))(jnp.ones((7, 8, 1))).shape
    (3, 2, 1)
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        return ops.adaptive_max_pool(x, self.output_size)


class GlobalPool(nnx.Module):
    """The base class of global pools: it stores the number of axes and what remains of them."""

    def __init__(self, *, rank: int | None = None, keepdims: bool = False) -> None:
        with error_prefix(type(self).__name__):
            self.rank = None if rank is None else integer("rank", rank, least=1)
            self.keepdims = flag("keepdims", keepdims)


@suggest_keywords
class GlobalAvgPool(GlobalPool):
    """:func:`jaxcnn.global_avg_pool` as a layer, with the same arguments.

    >>> import jax.numpy as jnp
    >>> GlobalAvgPool()(jnp.ones((2, 7, 8, 3))).shape
    (2, 3)
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        return ops.global_avg_pool(x, rank=self.rank, keepdims=self.keepdims)


@suggest_keywords
class GlobalMaxPool(GlobalPool):
    """:func:`jaxcnn.global_max_pool` as a layer, with the same arguments.

    >>> import jax.numpy as jnp
    >>> GlobalMaxPool(keepdims=True)(jnp.ones((2, 7, 8, 3))).shape
    (2, 1, 1, 3)
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        return ops.global_max_pool(x, rank=self.rank, keepdims=self.keepdims)


@suggest_keywords
class GlobalLpPool(GlobalPool):
    """:func:`jaxcnn.global_lp_pool` as a layer, with the same arguments.

    >>> import jax.numpy as jnp
    >>> GlobalLpPool(3, rank=2)(jnp.ones((7, 8, 3))).shape
    (3,)
    """

    def __init__(self, p: float = 2, *, rank: int | None = None, keepdims: bool = False) -> None:
        super().__init__(rank=rank, keepdims=keepdims)
        with error_prefix(type(self).__name__):
            self.p = norm_order(p)

    def __call__(self, x: jax.Array) -> jax.Array:
        return ops.global_lp_pool(x, self.p, rank=self.rank, keepdims=self.keepdims)
