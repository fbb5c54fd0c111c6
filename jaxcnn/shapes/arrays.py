"""The door for arrays: what is checked of them before an operation, fast or from scratch, runs."""

from __future__ import annotations

from typing import Any, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import AbstractValue
from jax.sharding import NamedSharding, PartitionSpec

Sharding = NamedSharding | PartitionSpec
"""How a result is divided among devices whose mesh has explicit axes."""


@overload
def as_arrays(
    *, bias: jax.Array | None, **named: Any
) -> tuple[*tuple[jax.Array, ...], jax.Array | None]: ...
@overload
def as_arrays(**named: Any) -> tuple[jax.Array, ...]: ...
def as_arrays(**named: Any) -> tuple[Any, ...]:
    """The named arguments as JAX arrays of one dtype; ``bias``, and it alone, may be None.

    Raises:
      TypeError: where one is not an array, or two dtypes differ, saying how to convert.
    """
    arrays = {name: _as_array(name, value) for name, value in named.items()}
    given = {name: array for name, array in arrays.items() if array is not None}
    (first, model), *rest = given.items()
    for name, array in rest:
        if array.dtype != model.dtype:
            raise TypeError(
                f"{first} is {model.dtype} but {name} is {array.dtype}; convert one, for instance "
                f"{_conversion(first, model.dtype, name, array.dtype)}"
            )
    return tuple(arrays.values())


def _conversion(first: str, model: np.dtype, name: str, dtype: np.dtype) -> str:
    """What brings two arrays to one dtype and loses nothing: least of all weights' fractions."""
    kinds = (jnp.integer, jnp.floating, jnp.complexfloating)
    rank, other = ([jnp.issubdtype(d, kind) for kind in kinds].index(True) for d in (model, dtype))
    if rank < other:
        scaled = f", or {first}.astype({name}.dtype) / 255 for an image"
        return f"{first}.astype({name}.dtype){scaled if model == np.uint8 else ''}"
    if rank == other == 0:
        wide = np.promote_types(model, dtype)
        wide = jax.dtypes.canonicalize_dtype(wide if wide.kind in "iu" else "float32")
        pairs = ((first, model), (name, dtype))
        return " and ".join(f"{n}.astype(jnp.{wide})" for n, each in pairs if each != wide)
    return f"{name}.astype({first}.dtype)"


def _as_array(name: str, value: Any) -> Any:
    if name == "bias" and value is None:
        return None
    if not (hasattr(value, "shape") and hasattr(value, "dtype")):
        raise TypeError(
            f"{name} must be an array, got {type(value).__name__}; use jnp.asarray({name})"
        )
    if isinstance(value, jax.ShapeDtypeStruct | AbstractValue):
        raise TypeError(
            f"{name} is a shape and a dtype without numbers, {value}; use jax.eval_shape(function, "
            f"{name}, ...) to have those of the result"
        )
    try:
        if not isinstance(value, np.ndarray | np.generic | jax.Array):
            value = jnp.asarray(value)  # another library's
        if _is_computed_with(value.dtype):
            return jnp.asarray(value)
    except TypeError:  # a dtype of NumPy's that JAX does not have
        pass
    raise TypeError(f"{name} is {value.dtype}; convert it, for instance {name}.astype(jnp.float32)")


def _is_computed_with(dtype: Any) -> bool:
    """Whether ``dtype`` is one of numbers that JAX computes with.

    Those of fewer than 8 bits it only stores: asked for more, XLA's CPU compiler ends the process.
    """
    if jnp.issubdtype(dtype, jnp.integer):
        return jnp.iinfo(dtype).bits >= 8
    if jnp.issubdtype(dtype, jnp.floating):  # float8_e8m0fnu has neither zero nor sign
        return jnp.finfo(dtype).bits >= 8 and bool(jnp.finfo(dtype).min < 0)
    return jnp.issubdtype(dtype, jnp.complexfloating)


def widened(x: jax.Array, bits: int = 32) -> jax.Array:
    """x in the dtype that sums of its cells are made in: float32 where x has fewer ``bits``.

    Sums of more than a handful of 16-bit numbers stall: in bfloat16 256 + 1 is 256. What is made of
    the widened x has its gradient summed in float32 too, and rounded once where it reaches x.
    """
    narrow = jnp.issubdtype(x.dtype, jnp.floating) and jnp.finfo(x.dtype).bits < bits
    return x.astype(jnp.float32) if narrow else x


def require_floating(x: jax.Array) -> None:
    """Refuses an x whose dtype cannot hold the fractions that the result is made of."""
    require_ordered(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"x is {x.dtype}, but the result is made of fractions; use x.astype(jnp.float32)"
        )


def require_ordered(x: jax.Array) -> None:
    """Refuses complex numbers: of two of them neither is the larger."""
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise TypeError(f"x is {x.dtype}, which this does not take; use x.real and x.imag apart")
