"""What an algorithm states of itself, and what all of them are made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn.convolve.problem import Problem

Solve = Callable[[Problem, jax.Array, jax.Array], jax.Array]
"""(problem, x, kernel) -> y: whatever computes the smaller problems that a rewrite produces."""

LARGEST_TEMPORARY = 32 * 2**20
"""Bytes: a fresh buffer beyond that costs page faults (about 0.3 ms a MB where it was measured)."""


class Work(NamedTuple):
    """What an algorithm does, counted; the cost model turns it into time.

    Attributes:
      operations: multiply-adds.
      traffic: bytes read and written, temporaries included.
      turns: programs entered: calls, and turns of loops.
      kind: which of the algorithm's ways this is, where one rate does not fit all.
    """

    operations: float
    traffic: float
    turns: float = 1
    kind: str = ""


@dataclass(frozen=True)
class Algorithm:
    """One way to compute a convolution.

    Attributes:
      name: what it is called, in errors and in :func:`jaxcnn.explain`.
      unsupported_reason: why it does not take a problem; None where it does.
      work: what it does for a problem that it takes, the smaller problems of a rewrite left out.
      run: (problem, x, kernel, solve) -> y, a pure function of arrays.
      parts: the smaller problems that ``run`` hands to ``solve``, each with how often.
      of_forward: whether ``run`` takes x (N, *size, C) and output gradient (N, *k, O) of the
        convolution whose kernel gradient the problem is: as they lie, not put as the exchange asks.
      local: whether an output depends on its window alone (:mod:`jaxcnn.convolve.algorithms`): it
        adds up the definition's own terms and no others. What is not is taken by its name alone.
      written: how many programs ``run`` writes out for XLA to compile, those of its parts left out:
        a fused expression, a call, a part of a concatenation.
      loops: whether ``run`` goes over its parts in a loop, so that they are written out once.
    """

    name: str
    unsupported_reason: Callable[[Problem], str | None]
    work: Callable[[Problem], Work]
    run: Callable[[Problem, jax.Array, jax.Array, Solve], jax.Array]
    parts: Callable[[Problem], list[tuple[Problem, int]]] = lambda problem: []
    of_forward: bool = False
    local: bool = True
    written: Callable[[Problem], int] = lambda problem: 1
    loops: bool = False


FLOATS = ("float32", "float64", "bfloat16", "float16")


def refuse_unusual(problem: Problem) -> str | None:
    """What every algorithm but the direct call leaves to it."""
    if problem.dtype not in FLOATS:
        return f"dtype {problem.dtype}"
    if problem.out_dtype != problem.dtype:
        return f"a result of {problem.out_dtype} from {problem.dtype}"
    if problem.is_empty:
        return "an empty array"
    if problem.axes == 0:
        return "no spatial axis"
    return None


def refuse_unplain(problem: Problem) -> str | None:
    """Refuses what the rewrites of :mod:`.phases` make plain first."""
    reason = refuse_unusual(problem)
    if reason is None and not problem.is_plain:
        reason = "base dilation or negative padding"
    return reason


def refuse_unspread(problem: Problem) -> str | None:
    """Refuses what the ways around base dilation have nothing to do for."""
    reason = refuse_unusual(problem)
    if reason is None and set(problem.base_dilation) == {1}:
        reason = "no base dilation"
    return reason


def refuse_no_depthwise_gradient(problem: Problem) -> str | None:
    """Refuses all but kernel gradients of plain depthwise convolutions, one filter a channel."""
    reason = refuse_unplain(problem)
    if reason is None:
        forward = problem.kernel_gradient()
        if forward.group_channels != (1, 1) or forward.groups == 1:
            reason = "not the kernel gradient of a depthwise convolution, one filter a channel"
        elif not forward.is_plain:
            reason = "a forward convolution that is not plain"
    return reason


def traffic(problem: Problem) -> float:
    """Bytes of x and kernel read once and y written once."""
    shapes = (problem.x_shape, problem.kernel_shape, problem.output_shape)
    return problem.itemsize * sum(math.prod(shape) for shape in shapes)


def in_lanes(problem: Problem) -> float:
    """Multiply-adds, with a group's filters rounded up to the 16 that a vector holds.

    Of a depthwise convolution the channels fill the vector.
    """
    filters = problem.group_channels[1]
    return problem.multiply_adds * (1 if problem.is_depthwise else -(-filters // 16) * 16 / filters)


def refuse_temporary(problem: Problem, size: float) -> str | None:
    """Refuses temporaries of so many bytes where they dwarf the problem's own arrays."""
    if size > max(LARGEST_TEMPORARY, 2 * traffic(problem)):
        return f"temporaries of {size / 2**20:.0f} MiB"
    return None


def accumulator(dtype: str) -> str:
    """The dtype in which sums of products are kept: float32 at least."""
    return "float64" if dtype == "float64" else "float32"


def padded(problem: Problem, x: jax.Array) -> tuple[Problem, jax.Array]:
    """The problem with its padding laid around x as zeros, behind a barrier.

    The barrier keeps XLA from computing the padding anew for every tap that reads it.
    """
    if not any(map(any, problem.padding)):
        return problem, x
    x = lax.pad(x, jnp.zeros((), x.dtype), _interior(problem.padding))
    size = tuple(n + lo + hi for n, (lo, hi) in zip(problem.size, problem.padding, strict=True))
    bare = replace(problem, size=size, padding=tuple((0, 0) for _ in size))
    return bare, lax.optimization_barrier(x)


def _interior(padding: tuple[tuple[int, int], ...]) -> list[tuple[int, int, int]]:
    return [(0, 0, 0), *((lo, hi, 0) for lo, hi in padding), (0, 0, 0)]


def trimmed(problem: Problem, x: jax.Array) -> tuple[Problem, jax.Array]:
    """The problem without cells that no window reads nor negative padding, x cut to match."""
    bare, kept = problem.trimmed()
    if bare.size == problem.size:
        return bare, x
    return bare, x[(slice(None), *(slice(*ends) for ends in kept))]


def tap_slices(problem: Problem, x: jax.Array) -> list[jax.Array]:
    """For each tap of the filter, in row-major order, the cells it meets: (N, *k, C).

    x must hold the padding already.
    """
    slices = []
    for tap in np.ndindex(*problem.kernel_size):
        starts = [t * d for t, d in zip(tap, problem.dilation, strict=True)]
        stops = [
            start + (k - 1) * s + 1
            for start, k, s in zip(starts, problem.output, problem.stride, strict=True)
        ]
        slices.append(
            lax.slice(
                x,
                (0, *starts, 0),
                (x.shape[0], *stops, x.shape[-1]),
                (1, *problem.stride, 1),
            )
        )
    return slices


def over_batch(
    problem: Problem,
    x: jax.Array,
    bytes_an_example: float,
    each: Callable[[Problem, jax.Array], jax.Array],
) -> jax.Array:
    """``each`` over the whole batch at once, or in a loop where its temporaries would be large.

    Args:
      bytes_an_example: how large they are for one example.
      each: (problem, x) -> y for any batch.
    """
    if problem.batch * bytes_an_example <= LARGEST_TEMPORARY or problem.batch == 1:
        return each(problem, x)
    single = replace(problem, batch=1)
    return lax.map(lambda example: each(single, example[None])[0], x)
