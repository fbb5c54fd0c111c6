"""Equations whose inputs are constants, computed while the model is exported.

A weight that repeats along an axis stays small: elementwise functions compute one entry. What only
arranges entries has a rule that serves constants as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from jaxcnn.exchange.onnx_out.elementwise import ELEMENTWISE
from jaxcnn.exchange.onnx_out.value import Value, constant

if TYPE_CHECKING:
    from jaxcnn.exchange.onnx_out.operation import Operation

_BY_RULE = ("broadcast_in_dim", "reshape", "squeeze", "transpose")
_NUMPY = {
    "add": np.add,
    "div": np.divide,
    "max": np.maximum,
    "min": np.minimum,
    "mul": np.multiply,
    "neg": np.negative,
    "sqrt": np.sqrt,
    "sub": np.subtract,
}
"""Functions that NumPy rounds as JAX does, without compiling a program for each shape."""


def computed(op: Operation) -> list[Value] | None:
    """The outputs of an equation of constants; None if a rule computes them."""
    if op.name in _BY_RULE:
        return None
    origin = next((value.origin for value in op.values if value.origin), "")
    if op.name in ELEMENTWISE:
        arrays = _aligned(op)
        if op.name in _NUMPY and np.issubdtype(op.dtype, np.floating):
            with np.errstate(all="ignore"):
                found = _NUMPY[op.name](*arrays)
        else:
            found = op.eqn.primitive.bind(*map(jnp.asarray, _spread(arrays)), **op.params)
        return [constant(np.asarray(found).astype(op.dtype), origin, op.shape)]
    shapes = [v.aval.shape for v in (*op.eqn.invars, *op.eqn.outvars)]
    if not all(isinstance(size, int) for shape in shapes for size in shape):
        return None
    found = op.eqn.primitive.bind(
        *(jnp.asarray(op.whole(value).array) for value in op.values), **op.params
    )
    outputs = found if op.eqn.primitive.multiple_results else [found]
    return [constant(output, origin) for output in outputs]


def _aligned(op: Operation) -> list[np.ndarray]:
    """The inputs with one rank: a number without axes is broadcast to any shape."""
    rank = len(op.shape)
    return [np.reshape(v.array, v.stored or (1,) * rank) for v in op.values]


def _spread(arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The inputs with one shape, the smallest to which all of them broadcast."""
    return list(np.broadcast_arrays(*arrays))
