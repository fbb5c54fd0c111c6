"""Checks that arguments are arrays whose dtypes fit each other and the operation."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import AbstractValue
from jax.sharding import NamedSharding, PartitionSpec

Sharding = NamedSharding | PartitionSpec
"""The sharding of a result on a mesh with explicit axes."""


def as_arrays(
    arrays: dict[str, Any], preferred_element_type: Any = None
) -> tuple[tuple[Any, ...], np.dtype]:
    """The named arguments as JAX arrays, and the dtype of the result.

    All arrays have the dtype of the first. So has the result, unless ``preferred_element_type``
    names another dtype; then ``bias``, which is added to the result, has that dtype. Only ``bias``
    may be None.

    Raises:
      TypeError: if one is not an array, or if two dtypes differ; it says how to convert.

    >>> (x, bias), dtype = as_arrays({"x": np.ones(3, "int8"), "bias": None}, "int32")
    >>> x.dtype, bias, dtype
    (dtype('int8'), None, dtype('int32'))
    """
    typed = {name: _as_array(name, value) for name, value in arrays.items()}
    first, model = next((name, array.dtype) for name, array in typed.items())
    result = result_dtype(first, model, preferred_element_type)
    for name, array in typed.items():
        if array is None:
            continue
        if name == "bias" and result != model:
            if array.dtype != result:
                raise TypeError(
                    f"bias is {array.dtype} but the result is {result}, as preferred_element_type "
                    f"says; convert it, for instance bias.astype(jnp.{result})"
                )
        elif array.dtype != model:
            raise TypeError(
                f"{first} is {model} but {name} is {array.dtype}; convert one, for instance "
                f"{_conversion(first, model, name, array.dtype)}"
            )
    return tuple(typed.values()), result


def result_dtype(name: str, dtype: np.dtype, preferred_element_type: Any) -> np.dtype:
    """The dtype of a sum of products of ``dtype`` numbers, given ``preferred_element_type``.

    It follows lax's rule: not narrower, not from floating to integer, not from signed to unsigned.
    """
    if preferred_element_type is None:
        return dtype
    result = jax.dtypes.canonicalize_dtype(preferred_element_type)
    ranks = [_rank(each) for each in (dtype, result)]
    fits = ranks[0] == ranks[1] or ranks == [0, 1]
    signs = not (jnp.issubdtype(dtype, jnp.signedinteger) and result.kind == "u")
    if fits and signs and result.itemsize >= dtype.itemsize and _is_computed_with(result):
        return result
    wide = ("int32", "float32", "complex64")[_rank(dtype)]
    wide = wide if jnp.dtype(wide).itemsize > dtype.itemsize else dtype
    raise TypeError(
        f"preferred_element_type {result} cannot hold sums of {name}'s {dtype}; use one that is as "
        f"wide and of the same kind, for instance jnp.{wide}"
    )


def _conversion(first: str, model: np.dtype, name: str, dtype: np.dtype) -> str:
    """The code that converts two arrays to one dtype without loss."""
    rank, other = _rank(model), _rank(dtype)
    if rank < other:
        scaled = f", or {first}.astype({name}.dtype) / 255 for an image"
        return f"{first}.astype({name}.dtype){scaled if model == np.uint8 else ''}"
    if rank == other == 0:
        wide = np.promote_types(model, dtype)
        wide = jax.dtypes.canonicalize_dtype(wide if wide.kind in "iu" else "float32")
        pairs = ((first, model), (name, dtype))
        return " and ".join(f"{n}.astype(jnp.{wide})" for n, each in pairs if each != wide)
    return f"{name}.astype({first}.dtype)"


def _rank(dtype: np.dtype) -> int:
    """0 for integers, 1 for floating numbers, 2 for complex numbers, -1 for all others."""
    kinds = (jnp.integer, jnp.floating, jnp.complexfloating)
    return next((rank for rank, kind in enumerate(kinds) if jnp.issubdtype(dtype, kind)), -1)


def _as_array(name: str, value: Any) -> Any:
    if name == "bias" and value is None:
        return None
    if not (hasattr(value, "shape") and hasattr(value, "dtype")):
        raise TypeError(
            f"{name} must be an array, got {type(value).__name__}; use jnp.asarray({name})"
        )
    if isinstance(value, jax.ShapeDtypeStruct | AbstractValue):
        raise TypeError(
            f"{name} has a shape and a dtype but no data, {value}; use jax.eval_shape(function, "
            f"{name}, ...) to get the shape and dtype of the result"
        )
    try:
        if not isinstance(value, np.ndarray | np.generic | jax.Array):
            value = jnp.asarray(value)  # an array of another library
        if _is_computed_with(value.dtype):
            return jnp.asarray(value)
    except TypeError:  # a NumPy dtype that JAX does not have
        pass
    raise TypeError(f"{name} is {value.dtype}; convert it, for instance {name}.astype(jnp.float32)")


def _is_computed_with(dtype: Any) -> bool:
    """Whether JAX can compute with numbers of this dtype.

    JAX only stores numbers of fewer than 8 bits: arithmetic with them crashes XLA on CPUs.
    """
    if jnp.issubdtype(dtype, jnp.integer):
        return jnp.iinfo(dtype).bits >= 8
    if jnp.issubdtype(dtype, jnp.floating):  # float8_e8m0fnu has neither zero nor sign
        return jnp.finfo(dtype).bits >= 8 and bool(jnp.finfo(dtype).min < 0)
    return jnp.issubdtype(dtype, jnp.complexfloating)


def widened(x: jax.Array, bits: int = 32) -> jax.Array:
    """x in the dtype of sums of its cells: float32 if x is floating with fewer than ``bits``.

    A long sum of 16-bit numbers stops growing: in bfloat16, 256 + 1 is 256. The gradient with
    respect to a widened x is also summed in float32, then rounded once to the dtype of x.

    >>> widened(jnp.ones(3, "bfloat16")).dtype, widened(jnp.ones(3, "int8")).dtype
    (dtype('float32'), dtype('int8'))
    """
    return x.astype(sum_dtype(x.dtype, bits))


def sum_dtype(dtype: Any, bits: int = 32) -> np.dtype:
    """The dtype in which a result of ``dtype`` is summed: see :func:`widened`.

    >>> sum_dtype("float16"), sum_dtype("int8")
    (dtype('float32'), dtype('int8'))
    """
    narrow = jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits < bits
    return np.dtype("float32" if narrow else dtype)


def require_floating(x: jax.Array) -> None:
    """Raises a TypeError unless the dtype of x can hold the fractions of the result."""
    require_ordered(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"x is {x.dtype}, but the result holds fractions; use x.astype(jnp.float32)"
        )


def require_ordered(x: jax.Array) -> None:
    """Raises a TypeError for complex numbers, which have no order."""
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise TypeError(f"x is {x.dtype}, which is not supported; use x.real and x.imag separately")
