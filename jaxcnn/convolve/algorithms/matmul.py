"""One matrix product: filters of one cell, and filters that tile the input (filter = stride)."""

from __future__ import annotations

import jax
from jax import lax

from jaxcnn.convolve.algorithms.algorithm import (
    Algorithm,
    Solve,
    Work,
    accumulator,
    padded,
    refuse_unplain,
    traffic,
    trimmed,
)
from jaxcnn.convolve.problem import Problem


def unsupported_reason(problem: Problem) -> str | None:
    """Groups, and windows that overlap or leave holes; a filter of one cell may leave holes."""
    reason = refuse_unplain(problem)
    if reason is None and problem.groups > 1:
        reason = "groups"
    tiles = problem.kernel_size == problem.stride and set(problem.dilation) == {1}
    if reason is None and problem.taps > 1 and not tiles:
        reason = "a filter of several cells that differs from the stride"
    return reason


def run(problem: Problem, x: jax.Array, kernel: jax.Array, solve: Solve) -> jax.Array:
    """Each window laid out as a row, times the kernel as a matrix."""
    del solve
    problem, x = trimmed(problem, x)
    problem, x = padded(problem, x)
    if problem.taps == 1:
        x = lax.slice(x, (0,) * x.ndim, x.shape, (1, *problem.stride, 1))
    else:
        x = _tiles(problem, x)
    y = lax.dot_general(
        x,
        # As it lies in memory: XLA would fold a transposed kernel into a slower product.
        lax.optimization_barrier(kernel.reshape(-1, problem.out_channels)),
        (((x.ndim - 1,), (0,)), ((), ())),
        precision=problem.precision,
        preferred_element_type=accumulator(problem.dtype),
    )
    return y.astype(problem.dtype)


def _tiles(problem: Problem, x: jax.Array) -> jax.Array:
    """(N, k*F, ..., C) as (N, *k, prod(F)*C)."""
    shape = [problem.batch]
    for k, f in zip(problem.output, problem.kernel_size, strict=True):
        shape += [k, f]
    x = x.reshape(*shape, problem.in_channels)
    axes = problem.axes
    outputs, taps = range(1, 2 * axes, 2), range(2, 2 * axes + 1, 2)
    x = lax.transpose(x, (0, *outputs, *taps, 2 * axes + 1))
    return x.reshape(problem.batch, *problem.output, -1)


def work(problem: Problem) -> Work:
    """The definition's multiply-adds; x read, laid out where it must be, y written."""
    moved = 0 if problem.taps == 1 else 2 * problem.itemsize * problem.batch
    moved *= problem.places * problem.taps * problem.in_channels
    return Work(problem.multiply_adds, traffic(problem) + moved)


ALGORITHM = Algorithm("matmul", unsupported_reason, work, run)
