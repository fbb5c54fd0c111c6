"""The convolutions and pools of a model as rows, read from its traced program."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcnn.bench.row import Row
from jaxcnn.convolve.layout import describe
from jaxcnn.errors import InputError
from jaxcnn.inspect.equations import inner_of
from jaxcnn.inspect.program import read_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jaxcnn.convolve.problem import Problem

CONVOLUTIONS = ("jaxcnn_conv", "conv_general_dilated")
POOLS = {
    "jaxcnn_window_max": "max pool",
    "reduce_window_max": "max pool",
    "jaxcnn_window_sum": "avg pool",
    "reduce_window_sum": "avg pool",
}
STEM_CHANNELS = 4
"""A convolution of at most this many channels is the network's stem."""


def rows_of_model(
    model: Callable[[Any], Any], input_shape: Sequence[int], *, batch: int = 8
) -> tuple[Row, ...]:
    """The distinct convolutions and pools of a model for inputs (batch, *input_shape).

    The model is traced in evaluation mode, not run. A fully connected layer is a matrix product,
    and no row. A model that takes no batch axis has the rows of one example.

    Raises:
      InputError: if the model does not accept the input, with its reasons, or if it has neither a
        convolution nor a pool.

    >>> from flax import nnx
    >>> model = nnx.eval_shape(lambda: nnx.Conv(3, 8, (3, 3), rngs=nnx.Rngs(0)))
    >>> [row.name for row in rows_of_model(model, (28, 28, 3))]
    ['3x3 3-8 @28 b8']
    """
    program = read_program(model, input_shape, "float32", batch=batch).jaxpr
    rows = tuple(dict.fromkeys(_rows(program.jaxpr)))
    if not rows:
        raise InputError("the model has neither a convolution nor a pool; there is nothing to time")
    return rows


def _rows(program: Any) -> Iterator[Row]:
    for equation in program.eqns:
        name, inner = equation.primitive.name, inner_of(equation)
        if inner is not None:
            yield from _rows(inner[0])
        elif name in CONVOLUTIONS:
            x, kernel = (variable.aval for variable in equation.invars)
            operation = describe(x, kernel, equation.params)
            if operation is not None:
                yield from _convolution(operation.problem)
        elif name in POOLS:
            yield from _pool(POOLS[name], equation)


def _convolution(problem: Problem) -> Iterator[Row]:
    """The row of a convolution; none for one with base dilation and a stride."""
    padding, steps, operation = problem.padding, problem.stride, "conv"
    if max(problem.base_dilation) > 1:
        if max(steps) > 1:
            return
        # The padding of the convolution that this one transposes.
        operation, steps = "transposed", problem.base_dilation
        numbers = zip(problem.dilation, problem.kernel_size, padding, strict=True)
        padding = tuple((d * (f - 1) - lo, d * (f - 1) - hi) for d, f, (lo, hi) in numbers)
    yield Row(
        _group(problem, operation),
        problem.batch,
        problem.size,
        problem.in_channels,
        problem.out_channels,
        problem.kernel_size,
        steps,
        padding,
        problem.dilation,
        problem.groups,
        operation,
    )


def _group(problem: Problem, operation: str) -> str:
    if operation == "transposed":
        return operation
    if problem.groups > 1:
        return "depthwise" if problem.groups == problem.in_channels else "grouped"
    if problem.in_channels <= STEM_CHANNELS:
        return "stem"
    return "1x1" if math.prod(problem.kernel_size) == 1 else "dense"


def _pool(operation: str, equation: Any) -> Iterator[Row]:
    """The row of a pool over the axes between the first and the last."""
    shape, params = equation.invars[0].aval.shape, equation.params
    names = ("window_dimensions", "window_strides", "padding", "window_dilation")
    sizes, steps, padding, dilation = (params[name] for name in names)
    inside = slice(1, len(shape) - 1)
    if len(shape) < 3 or np.prod(sizes[inside]) != np.prod(sizes):
        return
    yield Row(
        "pool",
        shape[0],
        tuple(shape[inside]),
        shape[-1],
        shape[-1],
        tuple(sizes[inside]),
        tuple(steps[inside]),
        tuple(tuple(pair) for pair in padding[inside]),
        tuple(dilation[inside]),
        operation=operation,
    )
