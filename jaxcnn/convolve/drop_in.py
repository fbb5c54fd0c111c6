"""The drop-in for :func:`jax.lax.conv_general_dilated`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax import lax

from jaxcnn.convolve.choose import check_algorithm
from jaxcnn.convolve.primitive import evaluate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jax.typing import DTypeLike


def conv_general_dilated(
    lhs: jax.Array,
    rhs: jax.Array,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: DTypeLike | None = None,
    out_sharding: Any = None,
    *,
    algorithm: str | None = None,
) -> jax.Array:
    """:func:`jax.lax.conv_general_dilated`, computed by the algorithm that fits.

    It takes the same arguments with the same meaning, rejects the same calls, and can be
    differentiated, batched, exported and sharded in the same ways. ``rhs`` is the kernel.

    Args:
      lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation, dimension_numbers,
        feature_group_count, batch_group_count, precision, preferred_element_type, out_sharding: as
        in :func:`jax.lax.conv_general_dilated`.
      algorithm: a name of :data:`jaxcnn.convolve.ALGORITHMS`, which is used wherever it supports
        the problem, forward and in the gradients; None chooses by predicted time.

    Raises:
      ValueError, TypeError: as lax does; ValueError for an unknown algorithm.

    >>> import jax.numpy as jnp
    >>> x, kernel = jnp.ones((1, 3, 7, 7)), jnp.ones((6, 3, 3, 3))
    >>> conv_general_dilated(x, kernel, (1, 1), "VALID").shape
    (1, 6, 5, 5)
    """
    if algorithm is not None:
        check_algorithm(algorithm)
    traced = _lax.trace(
        lhs,
        rhs,
        window_strides=_hashable(window_strides),
        padding=_hashable(padding),
        lhs_dilation=_hashable(lhs_dilation),
        rhs_dilation=_hashable(rhs_dilation),
        dimension_numbers=_hashable(dimension_numbers),
        feature_group_count=feature_group_count,
        batch_group_count=batch_group_count,
        precision=_hashable(precision),
        preferred_element_type=preferred_element_type,
        out_sharding=out_sharding,
    )
    return evaluate(traced.jaxpr, algorithm, (lhs, rhs))[0]


# jit keeps the trace: a second call with the same arguments does not trace lax's function again.
_lax = jax.jit(
    lax.conv_general_dilated,
    static_argnames=(
        "window_strides",
        "padding",
        "lhs_dilation",
        "rhs_dilation",
        "dimension_numbers",
        "feature_group_count",
        "batch_group_count",
        "precision",
        "preferred_element_type",
        "out_sharding",
    ),
)


def _hashable(argument: Any) -> Any:
    """The argument with lists and NumPy arrays as tuples, at every depth."""
    if type(argument) in (list, tuple, np.ndarray):
        return tuple(map(_hashable, argument))
    return argument
