"""A volume as images: one convolution with one axis less for each tap of the first axis, summed.

The outputs of the first axis join the batch. XLA's CPU compiler is fast at two-dimensional
convolutions, for which it calls Eigen.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

from jaxcnn.convolve import tuning
from jaxcnn.convolve.algorithms.protocol import Rewrite, Solve, Work
from jaxcnn.convolve.algorithms.shared import not_plain_reason, pad_input, traffic
from jaxcnn.convolve.dtypes import accumulator
from jaxcnn.convolve.taps import AxisWindow, along_axes, cells_under, tap_indices

if TYPE_CHECKING:
    import jax

    from jaxcnn.convolve.problem import Problem


def unsupported_reason(problem: Problem) -> str | None:
    """Not supported: fewer than three axes, many taps on the first, grouped kernel gradients."""
    reason, most = not_plain_reason(problem), tuning.DEPTH_TAPS_MOST_TAPS
    if reason is None and problem.axes < 3:
        reason = "fewer than three axes"
    if reason is None and problem.kernel_size[0] > most:
        reason = f"more than {most} taps on the first axis"
    if reason is None and problem.groups > 1 and problem.is_thin:
        reason = "a kernel gradient in groups: many small convolutions"
    return reason


def _images(problem: Problem) -> Problem:
    """The problem of one tap of the first axis, whose outputs are in the batch."""
    return replace(
        problem,
        batch=problem.batch * problem.output[0],
        size=problem.size[1:],
        kernel_size=problem.kernel_size[1:],
        stride=problem.stride[1:],
        padding=problem.padding[1:],
        base_dilation=problem.base_dilation[1:],
        dilation=problem.dilation[1:],
    )


def run(problem: Problem, x: jax.Array, kernel: jax.Array, solve: Solve) -> jax.Array:
    """The sum over the taps, in an accumulator of float32 at least."""
    first = replace(problem, padding=(problem.padding[0], *((0, 0),) * (problem.axes - 1)))
    bare, x = pad_input(first, x)
    images, wide = _images(problem), accumulator(problem.dtype)
    depth = AxisWindow(
        bare.size[0], bare.output[0], bare.kernel_size[0], bare.stride[0], bare.dilation[0]
    )
    window = along_axes(x.shape, 1, [depth])
    results = []
    for tap, index in enumerate(tap_indices(window)):
        cells = cells_under(x, window, index)
        y = solve(images, cells.reshape(images.x_shape), kernel[tap])
        results.append(y.astype(wide))
    return reduce(add, results).astype(problem.dtype).reshape(problem.output_shape)


def work(problem: Problem) -> Work:
    """y written once per tap; the convolutions are parts."""
    return Work(0, (1 + problem.kernel_size[0]) * traffic(problem))


def parts(problem: Problem) -> list[tuple[Problem, int]]:
    """One image problem per tap of the first axis."""
    return [(_images(problem), problem.kernel_size[0])]


DEPTH_TAPS = Rewrite("depth_taps", unsupported_reason, work, parts, run)
