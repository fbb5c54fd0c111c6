"""A kernel gradient as one matrix product: patches of x, transposed, times the output gradient.

Row (n, position) of the patches holds the cells under that window, (taps, c). The kernel gradient
is their product with row (n, position) of the output gradient, (O,), summed over all rows. If the
patches would be large, they are built for one example at a time, in a loop.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve import tuning
from jaxcnn.convolve.algorithms.protocol import Kernel, Work
from jaxcnn.convolve.algorithms.shared import (
    not_plain_gradient_reason,
    pad_input,
    traffic,
    window,
)
from jaxcnn.convolve.dtypes import accumulator
from jaxcnn.convolve.taps import tap_slices

if TYPE_CHECKING:
    from jaxcnn.convolve.problem import Problem


def unsupported_reason(problem: Problem) -> str | None:
    """Not supported: groups, and kernels of many taps."""
    reason = not_plain_gradient_reason(problem)
    if reason is None and problem.groups > 1:
        reason = "groups"
    if reason is None and problem.output_cells > tuning.PATCHES_MOST_TAPS:
        reason = f"more than {tuning.PATCHES_MOST_TAPS} taps"
    return reason


def run(problem: Problem, x: jax.Array, g: jax.Array) -> jax.Array:
    """The product over all examples at once, or example by example."""
    forward = problem.kernel_gradient()

    def patches(forward: Problem, x: jax.Array) -> jax.Array:
        bare, x = pad_input(forward, x)
        slices = tap_slices(x, window(bare))
        rows = slices[0] if len(slices) == 1 else jnp.concatenate(slices, axis=-1)
        rows = rows.reshape(-1, forward.taps * forward.in_channels)
        return rows if len(slices) == 1 else lax.optimization_barrier(rows)

    if forward.batch == 1 or _patch_bytes(forward) <= tuning.LARGEST_TEMPORARY:
        total = _product(patches(forward, x), g.reshape(-1, g.shape[-1]), problem.precision)
    else:
        single = replace(forward, batch=1)

        def add(total: jax.Array, both: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
            x, g = both
            own = _product(patches(single, x[None]), g.reshape(-1, g.shape[-1]), problem.precision)
            return total + own.astype(total.dtype), None

        shape = (forward.taps * forward.in_channels, forward.out_channels)
        start = jnp.zeros(shape, accumulator(problem.dtype))
        total = lax.scan(add, start, (x, g))[0]
    y = total.astype(problem.dtype).reshape(forward.taps, problem.batch, -1)
    y = lax.transpose(y, (1, 0, 2))
    return y.reshape(problem.output_shape)


def _product(a: jax.Array, b: jax.Array, precision: lax.PrecisionLike) -> jax.Array:
    """a^T b for a (R, K) and b (R, O). The narrower one is transposed, which moves less data."""
    if a.shape[1] > b.shape[1]:
        return _product(b, a, precision).T
    wide = accumulator(str(a.dtype))
    contract = (((0,), (0,)), ((), ()))
    return lax.dot_general(a, b, contract, precision=precision, preferred_element_type=wide)


def _patch_bytes(forward: Problem) -> float:
    """Bytes of the patches of all examples."""
    if forward.taps == 1 and not any(map(any, forward.padding)):
        return 0
    cells = forward.batch * forward.output_cells * forward.taps * forward.in_channels
    return cells * forward.itemsize


def work(problem: Problem) -> Work:
    """The definition's multiply-adds; the patches written and read."""
    forward = problem.kernel_gradient()
    size = _patch_bytes(forward)
    turns = forward.batch if size > tuning.LARGEST_TEMPORARY else 1
    narrow = min(forward.taps * forward.in_channels, forward.out_channels) < tuning.VECTOR_LANES
    return Work(
        problem.multiply_adds,
        traffic(problem) + 2 * size,
        turns,
        "narrow" if narrow else "",
    )


def programs(problem: Problem) -> int:
    """One slice per tap."""
    return problem.output_cells


PATCHES_MATMUL = Kernel(
    "patches_matmul", unsupported_reason, work, run, programs, takes_forward_operands=True
)
