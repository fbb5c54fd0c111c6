"""Tap by tap: y is the sum over the kernel's taps of shifted x times the tap's weights.

If each filter reads few channels (mainly in depthwise convolutions) the products vectorise over
channels, and XLA makes one loop of the whole sum. Any stride and dilation is supported: a tap is a
strided slice.
"""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import jax
from jax import lax

from jaxcnn.convolve import tuning
from jaxcnn.convolve.algorithms.protocol import Kernel, Work
from jaxcnn.convolve.algorithms.shared import (
    map_examples,
    not_plain_reason,
    pad_input,
    traffic,
    window,
)
from jaxcnn.convolve.dtypes import accumulator
from jaxcnn.convolve.layout import split_groups
from jaxcnn.convolve.taps import tap_slices

if TYPE_CHECKING:
    from jaxcnn.convolve.problem import Problem


def unsupported_reason(problem: Problem) -> str | None:
    """Not supported: more than a few channels in a group, and more taps than are unrolled."""
    reason, most = not_plain_reason(problem), tuning.TAPS_MOST_PRODUCTS
    if reason is None and problem.taps * problem.group_channels[0] > most:
        reason = f"more than {most} products for one output"
    if reason is None and problem.group_channels[0] > tuning.TAPS_MOST_CHANNELS:
        reason = f"more than {tuning.TAPS_MOST_CHANNELS} channels in a group"
    return reason


def run(problem: Problem, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The sum over taps, in an accumulator of float32 at least."""
    c, filters = problem.group_channels
    wide = accumulator(problem.dtype)
    weights = split_groups(kernel.reshape(problem.taps, c, -1), problem.groups).astype(wide)
    ones = (1,) * (problem.axes + 1)

    def sum_taps(problem: Problem, x: jax.Array) -> jax.Array:
        problem, x = pad_input(problem, x)
        total, pending = None, []
        for tap, cells in enumerate(tap_slices(x, window(problem))):
            for channel in range(c):
                seen = cells if c == 1 else cells[..., channel::c]
                if filters == 1:
                    own = weights[tap, channel, :, 0]
                else:
                    seen, own = seen[..., None], weights[tap, channel]
                pending.append(seen.astype(wide) * own.reshape(*ones, *own.shape))
            if len(pending) >= tuning.TAPS_FUSED_PRODUCTS:
                total = reduce(add, pending if total is None else [total, *pending])
                total, pending = lax.optimization_barrier(total), []
        total = reduce(add, pending if total is None else [total, *pending])
        return total.astype(problem.dtype).reshape(problem.output_shape)

    size = problem.itemsize * max(
        problem.output_cells * problem.out_channels,
        x.size / problem.batch,
    )
    return map_examples(problem, x, size, sum_taps)


def work(problem: Problem) -> Work:
    """The definition's multiply-adds, in vector lanes; each tap reads x once more from cache."""
    kind = "one" if problem.group_channels == (1, 1) else "many"
    return Work(problem.multiply_adds, traffic(problem), kind=kind)


def programs(problem: Problem) -> int:
    """One fused expression for every few products."""
    return -(-problem.taps * problem.group_channels[0] // tuning.TAPS_FUSED_PRODUCTS)


TAPS = Kernel("taps", unsupported_reason, work, run, programs)
