"""The values of a graph: arrays in ONNX's order of axes, and feature maps with channels last.

A value that is known before the data, such as a shape, is a NumPy array. One that depends on the
data or on parameters is a JAX array, or :class:`Maps`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

Array = np.ndarray | jax.Array

_NAMES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    16: "bfloat16",
}
DTYPES = {number: np.dtype(jnp.dtype(name)) for number, name in _NAMES.items()}
"""The dtypes that are supported, by the number that ONNX gives them."""


@dataclass(frozen=True)
class Maps:
    """Feature maps (N, *spatial, C), which are (N, C, *spatial) in ONNX."""

    array: Array

    @property
    def ndim(self) -> int:
        return self.array.ndim

    def axis(self, axis: int) -> int:
        """The axis of :attr:`array` that is this axis in ONNX's order.

        >>> [Maps(jnp.zeros((1, 4, 5, 3))).axis(i) for i in (0, 1, 2, -1)]
        [0, 3, 1, 2]
        """
        axis %= self.ndim
        return axis if axis == 0 else self.ndim - 1 if axis == 1 else axis - 1


Value = Array | Maps


def onnx_order(value: Value) -> Array:
    """The array with the channels second."""
    return jnp.moveaxis(value.array, -1, 1) if isinstance(value, Maps) else value


def channels_last(value: Value) -> jax.Array:
    """The array with the channels last."""
    return (
        jnp.asarray(value.array)
        if isinstance(value, Maps)
        else jnp.moveaxis(jnp.asarray(value), 1, -1)
    )


def namespace(*arrays: Any) -> ModuleType:
    """NumPy for NumPy's arrays, which are known before the data; else ``jax.numpy``."""
    return np if all(isinstance(each, np.ndarray) for each in arrays) else jnp


def with_rank(array: Any, rank: int) -> Any:
    """The array with axes of size 1 in front, so that it has this rank."""
    return array.reshape((1,) * (rank - array.ndim) + array.shape)


def aligned(values: tuple[Value | None, ...]) -> tuple[bool, list[Array | None]]:
    """Whether the values have channels last, and the values with one order of axes and one rank.

    They have channels last if one of them has, and no other has more axes.
    """
    given = [value for value in values if value is not None]
    rank = max(value.ndim for value in given)
    maps = any(isinstance(value, Maps) and value.ndim == rank for value in given)

    def align(value: Value | None) -> Array | None:
        if value is None:
            return None
        if maps and isinstance(value, Maps) and value.ndim == rank:
            return value.array
        array = with_rank(onnx_order(value), rank)
        return namespace(array).moveaxis(array, 1, -1) if maps else array

    return maps, [align(value) for value in values]


def integers(array: np.ndarray) -> tuple[int, ...]:
    """The entries of a list of sizes or axes; sizes may be symbolic."""
    return tuple(np.atleast_1d(array).tolist())


def sizes_array(sizes: tuple[int, ...]) -> np.ndarray:
    """Sizes, some of which may be symbolic, as a value of a graph."""
    if all(isinstance(size, int) for size in sizes):
        return np.array(sizes, np.int64)
    array = np.empty(len(sizes), object)
    array[:] = sizes
    return array


def canonical(dtype: Any) -> np.dtype:
    """The dtype that JAX gives to numbers of ``dtype``: int32 for int64, unless 64 bits are on."""
    return jax.dtypes.canonicalize_dtype(dtype)


def layout_of(value: Value) -> tuple[Array, Callable[[int], int], Callable[[Array], Value]]:
    """The value's array, the axis of it for an axis in ONNX's order, and the way back to a value.

    >>> array, axis, back = layout_of(Maps(jnp.zeros((1, 4, 5, 3))))
    >>> axis(1), back(array.sum(axis(2), keepdims=True)).array.shape
    (3, (1, 1, 5, 3))
    """
    if isinstance(value, Maps):
        return value.array, value.axis, Maps
    return value, lambda axis: axis % value.ndim, lambda array: array
