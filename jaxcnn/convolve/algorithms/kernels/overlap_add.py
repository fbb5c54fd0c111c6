"""A transposed convolution as one product and overlapping sums.

Every input cell, times the kernel, is a patch of the output. Patches of neighbours start one base
dilation apart and are added where they overlap. If a patch is cut into J pieces of that width, the
output is the sum of J arrays, each shifted by one cell: J additions instead of a convolution.
Source: the overlap-add method, Oppenheim and Schafer, "Discrete-Time Signal Processing", 8.7.3.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve import tuning
from jaxcnn.convolve.algorithms.protocol import Kernel, Work
from jaxcnn.convolve.algorithms.shared import (
    large_temporary_reason,
    no_base_dilation_reason,
    traffic,
)
from jaxcnn.convolve.dtypes import accumulator

if TYPE_CHECKING:
    from jaxcnn.convolve.problem import Problem


def unsupported_reason(problem: Problem) -> str | None:
    """Not supported: no base dilation; groups, strides or dilations with it; many pieces."""
    reason, most = no_base_dilation_reason(problem), tuning.OVERLAP_ADD_MOST_PIECES
    if reason is None and problem.groups > 1:
        reason = "groups"
    if reason is None and (set(problem.stride) | set(problem.dilation)) != {1}:
        reason = "stride or dilation with base dilation"
    if reason is None and max(_pieces(problem)) > most:
        reason = f"more than {most} pieces on an axis"
    return reason or large_temporary_reason(problem, 4 * _patches(problem))


def _pieces(problem: Problem) -> list[int]:
    """Pieces of a patch on each axis."""
    return [-(-f // b) for f, b in zip(problem.kernel_size, problem.base_dilation, strict=True)]


def _patches(problem: Problem) -> int:
    """Numbers in all patches."""
    return problem.batch * math.prod(problem.size) * problem.taps * problem.out_channels


def run(problem: Problem, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The output: the patches, summed axis by axis and cropped."""
    axes, wide = problem.axes, accumulator(problem.dtype)
    flipped = jnp.flip(kernel, tuple(range(axes)))
    patches = lax.dot_general(
        x,
        jnp.moveaxis(flipped, -2, 0).reshape(problem.in_channels, -1),
        (((x.ndim - 1,), (0,)), ((), ())),
        precision=problem.precision,
        preferred_element_type=wide,
    )
    y = patches.reshape(*x.shape[:-1], *problem.kernel_size, problem.out_channels)
    for axis in range(axes):
        # y: (N, summed axes..., size, other sizes..., kernel axis, other kernel axes..., O)
        y = _summed(y, 1 + axis, axes + 1, problem.base_dilation[axis], _pieces(problem)[axis])
    cuts = []
    for f, (lo, _), k, size in zip(
        problem.kernel_size, problem.padding, problem.output, y.shape[1:-1], strict=True
    ):
        first = f - 1 - lo
        cuts.append((-first, first + k - size, 0))
    # Cells that no patch covers are zeros; cells outside the output are cut off.
    y = lax.pad(y, jnp.zeros((), y.dtype), [(0, 0, 0), *cuts, (0, 0, 0)])
    return y.astype(problem.dtype)


def _summed(y: jax.Array, size: int, kernel: int, base: int, pieces: int) -> jax.Array:
    """y with axis ``kernel`` summed into axis ``size``, with neighbours ``base`` apart."""
    y = jnp.moveaxis(y, kernel, size + 1)
    fill = [(0, 0)] * y.ndim
    fill[size + 1] = (0, pieces * base - y.shape[size + 1])
    y = jnp.pad(y, fill)
    total = jnp.zeros((), y.dtype)
    for piece in range(pieces):
        part = lax.slice_in_dim(y, piece * base, (piece + 1) * base, axis=size + 1)
        around = [(0, 0)] * y.ndim
        around[size] = (piece, pieces - 1 - piece)
        total = total + jnp.pad(part, around)
    shape = total.shape
    return total.reshape(*shape[:size], shape[size] * base, *shape[size + 2 :])


def work(problem: Problem) -> Work:
    """A multiply-add for each input cell and weight; the patches written and read."""
    cells = _patches(problem)
    kind = "large" if 4 * cells > tuning.LARGEST_TEMPORARY else ""
    return Work(cells * problem.in_channels, traffic(problem) + 3 * 4 * cells, kind=kind)


def programs(problem: Problem) -> int:
    """One sum per axis, with one term per piece."""
    return sum(_pieces(problem))


OVERLAP_ADD = Kernel("overlap_add", unsupported_reason, work, run, programs)
