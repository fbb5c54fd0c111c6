"""One matrix product: kernels of one cell, and windows that tile the input (kernel = stride)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
from jax import lax

from jaxcnn.convolve.algorithms.protocol import Kernel, Work
from jaxcnn.convolve.algorithms.shared import not_plain_reason, pad_input, traffic, trim_input
from jaxcnn.convolve.dtypes import accumulator

if TYPE_CHECKING:
    from jaxcnn.convolve.problem import Problem


def unsupported_reason(problem: Problem) -> str | None:
    """Not supported: groups; windows that overlap, or leave gaps unless the kernel is one cell."""
    reason = not_plain_reason(problem)
    if reason is None and problem.groups > 1:
        reason = "groups"
    tiles = problem.kernel_size == problem.stride and set(problem.dilation) == {1}
    if reason is None and problem.taps > 1 and not tiles:
        reason = "a kernel of several cells that differs from the stride"
    return reason


def run(problem: Problem, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The cells of each window as a row, times the kernel as a matrix."""
    problem, x = trim_input(problem, x)
    problem, x = pad_input(problem, x)
    if problem.taps == 1:
        x = lax.slice(x, (0,) * x.ndim, x.shape, (1, *problem.stride, 1))
    else:
        x = _tiles(problem, x)
    y = lax.dot_general(
        x,
        # The barrier keeps the layout: XLA would fold a transposed kernel into a slower product.
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
    """The definition's multiply-adds; x read, and rearranged for several taps; y written."""
    moved = 0 if problem.taps == 1 else 2 * problem.itemsize * problem.batch
    moved *= problem.output_cells * problem.taps * problem.in_channels
    return Work(problem.multiply_adds, traffic(problem) + moved)


MATMUL = Kernel("matmul", unsupported_reason, work, run)
