"""Matrix products."""

from __future__ import annotations

from string import ascii_lowercase
from typing import TYPE_CHECKING

import jax.numpy as jnp

from jaxcnn.exchange.onnx_out.data_movement import transposed
from jaxcnn.exchange.onnx_out.reshape import reshaped

if TYPE_CHECKING:
    from jaxcnn.exchange.onnx_out.operation import Operation
    from jaxcnn.exchange.onnx_out.value import Value


def dot_general(op: Operation) -> Value:
    """``dot_general``: MatMul or a 1x1 Conv where it is one, else Einsum."""
    x, y = map(op.whole, op.values)
    contracted, batch = op.params["dimension_numbers"]
    if not jnp.issubdtype(op.dtype, jnp.floating) and op.dtype.name not in ("int32", "int64"):
        op.refuse(f"of {op.dtype.name} has no rule for ONNX")
    is_matrix = len(y.shape) == 2 and y.is_constant and not batch[0]
    if is_matrix and len(contracted[0]) == 1 and x.dtype == op.dtype:
        (axis,), (row,) = contracted
        return _times_matrix(op, x, axis, y if row == 0 else transposed(y, (1, 0)))
    letters = iter(ascii_lowercase)
    of_x, of_y = [""] * len(x.shape), [""] * len(y.shape)
    for left, right in (*zip(*batch, strict=True), *zip(*contracted, strict=True)):
        of_x[left] = of_y[right] = next(letters)
    of_x, of_y = ([each or next(letters) for each in names] for names in (of_x, of_y))
    free = [name for name in (*of_x, *of_y) if (name in of_x) != (name in of_y)]
    result = "".join([*(of_x[axis] for axis in batch[0]), *free])
    # A tensor of Einsum may have its axes in any order.
    terms = ["".join(names[axis] for axis in v.axes) for names, v in ((of_x, x), (of_y, y))]
    names = [op.cast(op.tensor(v, v.axes), v.dtype, op.dtype) for v in (x, y)]
    return op.result(op.node("Einsum", *names, equation=f"{','.join(terms)}->{result}"))


def _times_matrix(op: Operation, x: Value, axis: int, matrix: Value) -> Value:
    """The product over one axis of x; the columns of the matrix become the last axis."""
    rest = [each for each in range(len(x.shape)) if each != axis]
    is_float = jnp.issubdtype(op.dtype, jnp.floating)
    if is_float and 3 <= len(x.shape) <= 5 and x.axes[1] == axis:  # that of ONNX's channels
        kernel = transposed(matrix, (1, 0))
        kernel = reshaped(op, kernel, (*kernel.shape, *(1,) * (len(x.shape) - 2)))
        name = op.node("Conv", x.name, op.tensor(kernel))
        place = {each: number for number, each in enumerate([*rest, axis])}
        return op.result(name, [place[each] for each in x.axes])
    return op.result(op.node("MatMul", op.tensor(x, (*rest, axis)), op.tensor(matrix)))


RULES = {"dot_general": dot_general}
