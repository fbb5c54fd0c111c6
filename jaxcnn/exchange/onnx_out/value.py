"""A value of the traced program, and the array or ONNX tensor that holds it.

Two differences between them make most transpositions and broadcasts unnecessary:

- The axes of a tensor may be in another order. Axis i of the tensor is axis ``axes[i]`` of the
  value: a map (N, H, W, C) is held as (N, C, H, W), with ``axes == (0, 3, 1, 2)``, as ONNX's
  convolutions need it. Elementwise operators keep the order.
- An axis along which the value repeats one entry has size 1 in ``stored``; ONNX's elementwise
  operators broadcast it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Shape = tuple[Any, ...]
"""Sizes: an int, or a symbolic multiple of the batch size."""

TYPES = {
    "float16": "FLOAT16",
    "bfloat16": "BFLOAT16",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "bool": "BOOL",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
}
"""The dtypes of tensors, and their names in ONNX."""


@dataclass(frozen=True)
class Value:
    """A value of the traced program.

    Attributes:
      shape, dtype: of the value.
      stored: the shape of what is held, in the order of the value's axes.
      axes: the value's axis that each axis of the tensor holds.
      name: the tensor's name.
      array: the numbers, of shape ``stored``, if they do not depend on the input.
      origin: the path of the parameter from which they were computed.
    """

    shape: Shape
    dtype: np.dtype
    stored: Shape
    axes: tuple[int, ...]
    name: str = ""
    array: Any = None
    origin: str = ""

    @property
    def is_constant(self) -> bool:
        """Whether the value does not depend on the input."""
        return self.array is not None

    @property
    def is_whole(self) -> bool:
        """Whether no axis is stored with size 1 instead of its own."""
        return self.stored == self.shape

    @property
    def scalar(self) -> np.ndarray | None:
        """The one number that a constant repeats, if it is one number."""
        if self.is_constant and np.size(self.array) == 1:
            return np.reshape(self.array, ())
        return None

    def with_array(self, array: Any) -> Value:
        """The constant with other numbers, which it stores whole."""
        return replace(
            self, shape=array.shape, stored=array.shape, axes=tuple(range(array.ndim)), array=array
        )


def constant(array: Any, origin: str = "", shape: Shape | None = None) -> Value:
    """The value of an array, which repeats its entries along axes that are larger in ``shape``."""
    if not jnp.issubdtype(jnp.result_type(array), jax.dtypes.prng_key):
        array = np.asarray(array)
    axes = tuple(range(array.ndim))
    return Value(
        array.shape if shape is None else shape, array.dtype, array.shape, axes, "", array, origin
    )


def carrier(dtype: Any) -> np.dtype:
    """The dtype of the ONNX tensor for a dtype of JAX: float32 for bfloat16.

    ONNX Runtime computes nothing in bfloat16 on a CPU, and every bfloat16 is a float32.
    """
    return np.dtype(np.float32) if dtype == jnp.bfloat16 else np.dtype(dtype)
