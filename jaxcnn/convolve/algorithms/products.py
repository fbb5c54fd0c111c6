"""A kernel gradient as one matrix product: patches of x, transposed, times the output gradient.

Row (n, place) of the patches holds the cells that a filter meets there, (taps, c); the kernel
gradient is their product with the output gradient's row (n, place), (O,), summed over all rows.
Where the patches would be large they are made for one example at a time, in a loop.
"""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve.algorithms.algorithm import (
    LARGEST_TEMPORARY,
    Algorithm,
    Solve,
    Work,
    accumulator,
    padded,
    refuse_unplain,
    tap_slices,
    traffic,
)
from jaxcnn.convolve.problem import Problem

MOST_TAPS = 128  # slices laid side by side, unrolled


def unsupported_reason(problem: Problem) -> str | None:
    """Groups, or filters of too many taps."""
    reason = refuse_unplain(problem)
    if reason is None and problem.groups > 1:
        reason = "groups"
    if reason is None and not problem.kernel_gradient().is_plain:
        reason = "a forward convolution that is not plain"
    if reason is None and problem.places > MOST_TAPS:
        reason = f"more than {MOST_TAPS} taps"
    return reason


def _product(a: jax.Array, b: jax.Array, precision: lax.PrecisionLike) -> jax.Array:
    """a^T b for a (R, K) and b (R, O)."""
    wide = accumulator(str(a.dtype))
    contract = (((0,), (0,)), ((), ()))
    return lax.dot_general(a, b, contract, precision=precision, preferred_element_type=wide)


def _narrow_first(a: jax.Array, b: jax.Array, precision: lax.PrecisionLike) -> jax.Array:
    """a^T b with the narrower of the two as the one that is transposed: less to lay out anew."""
    if a.shape[1] <= b.shape[1]:
        return _product(a, b, precision)
    return _product(b, a, precision).T


def _run(
    problem: Problem,
    x: jax.Array,
    g: jax.Array,
    solve: Solve,
) -> jax.Array:
    """The product over all examples at once, or example by example."""
    del solve
    forward = problem.kernel_gradient()

    def rows(forward: Problem, x: jax.Array) -> jax.Array:
        bare, x = padded(forward, x)
        slices = tap_slices(bare, x)
        patches = slices[0] if len(slices) == 1 else jnp.concatenate(slices, axis=-1)
        patches = patches.reshape(-1, forward.taps * forward.in_channels)
        return patches if len(slices) == 1 else lax.optimization_barrier(patches)

    if forward.batch == 1 or _patches(forward) <= LARGEST_TEMPORARY:
        total = _narrow_first(rows(forward, x), g.reshape(-1, g.shape[-1]), problem.precision)
    else:
        single = replace(forward, batch=1)

        def add(total: jax.Array, both: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
            x, g = both
            own = _narrow_first(
                rows(single, x[None]), g.reshape(-1, g.shape[-1]), problem.precision
            )
            return total + own.astype(total.dtype), None

        shape = (forward.taps * forward.in_channels, forward.out_channels)
        start = jnp.zeros(shape, accumulator(problem.dtype))
        total = lax.scan(add, start, (x, g))[0]
    y = total.astype(problem.dtype).reshape(forward.taps, problem.batch, -1)
    y = lax.transpose(y, (1, 0, 2))
    return y.reshape(problem.output_shape)


def _patches(forward: Problem) -> float:
    """Bytes of the patches of all examples."""
    if forward.taps == 1 and not any(map(any, forward.padding)):
        return 0
    cells = forward.batch * forward.places * forward.taps * forward.in_channels
    return cells * forward.itemsize


def _work(problem: Problem) -> Work:
    """The definition's multiply-adds; the patches written and read."""
    forward = problem.kernel_gradient()
    patches = _patches(forward)
    turns = forward.batch if patches > LARGEST_TEMPORARY else 1
    narrow = min(forward.taps * forward.in_channels, forward.out_channels) < 16
    return Work(
        problem.multiply_adds,
        traffic(problem) + 2 * patches,
        turns,
        "narrow" if narrow else "",
    )


def _written(problem: Problem) -> int:
    """A slice a tap, side by side."""
    return problem.places


ALGORITHM = Algorithm(
    "products", unsupported_reason, _work, _run, of_forward=True, written=_written
)
