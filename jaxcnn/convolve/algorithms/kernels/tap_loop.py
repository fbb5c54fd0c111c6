"""A depthwise convolution with a long kernel: tap by tap, a few taps per loop iteration.

The sum is that of :mod:`.taps`, for any number of taps: each iteration adds the products of as many
shifted images as one fused expression holds. No image is copied into another layout, and no cell
is multiplied by a weight that is not its own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn.convolve import tuning
from jaxcnn.convolve.algorithms.protocol import Kernel, Work
from jaxcnn.convolve.algorithms.shared import (
    map_examples,
    not_plain_reason,
    pad_input,
    traffic,
)
from jaxcnn.convolve.dtypes import accumulator
from jaxcnn.convolve.taps import cells_from

if TYPE_CHECKING:
    from jaxcnn.convolve.problem import Problem


def unsupported_reason(problem: Problem) -> str | None:
    """Supported: depthwise, one filter per channel, with more taps than ``taps`` unrolls."""
    reason, unrolled = not_plain_reason(problem), tuning.TAPS_MOST_PRODUCTS
    if reason is None and problem.group_channels != (1, 1):
        reason = "not one filter per channel"
    if reason is None and problem.taps <= unrolled:
        reason = f"at most {unrolled} taps"
    return reason


def run(problem: Problem, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The sum over taps, in an accumulator of float32 at least."""
    a_turn = tuning.TAP_LOOP_TAPS_A_TURN
    columns, wide = problem.output[-1], accumulator(problem.dtype)
    multiple = tuning.TAP_LOOP_ROW_MULTIPLE
    step = multiple // math.gcd(multiple, problem.out_channels)
    problem = problem.with_padding_for((*problem.output[:-1], -(-columns // step) * step))
    weights = kernel.reshape(problem.taps, problem.out_channels).astype(wide)
    starts = np.indices(problem.kernel_size, np.int32).reshape(problem.axes, -1).T
    starts = starts * np.array(problem.dilation, np.int32)
    whole = problem.taps // a_turn * a_turn
    places = jnp.asarray(starts)
    turns = (
        places[:whole].reshape(-1, a_turn, problem.axes),
        weights[:whole].reshape(-1, a_turn, problem.out_channels),
    )
    rest = places[whole:], weights[whole:]

    def sum_taps(problem: Problem, x: jax.Array) -> jax.Array:
        problem, x = pad_input(problem, x)

        def add(total: jax.Array, taps: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
            for start, own in zip(*taps, strict=True):
                cells = cells_from(x, start, problem.output, problem.stride)
                total += cells.astype(wide) * own.reshape(*(1,) * (cells.ndim - 1), -1)
            return total, None

        total, _ = lax.scan(add, jnp.zeros(problem.output_shape, wide), turns)
        return add(total, rest)[0].astype(problem.dtype)

    size = problem.itemsize * max(
        problem.output_cells * problem.out_channels, x.size / problem.batch
    )
    return lax.slice_in_dim(map_examples(problem, x, size, sum_taps), 0, columns, axis=-2)


def work(problem: Problem) -> Work:
    """The definition's multiply-adds; every iteration reads and writes the sum once more."""
    turns = -(-problem.taps // tuning.TAP_LOOP_TAPS_A_TURN)
    return Work(problem.multiply_adds, traffic(problem), turns)


def programs(_problem: Problem) -> int:
    """One iteration, and the taps that are left over."""
    return 4


TAP_LOOP = Kernel("tap_loop", unsupported_reason, work, run, programs)
