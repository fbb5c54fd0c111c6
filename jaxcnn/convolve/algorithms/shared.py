"""Helpers shared by several algorithms: conditions, counts, and steps on arrays."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve import tuning
from jaxcnn.convolve.dtypes import FLOATS
from jaxcnn.convolve.taps import ArrayWindow, AxisWindow, along_axes

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxcnn.convolve.problem import Problem

# -- why an algorithm does not support a problem ---------------------------------------------------


def unusual_reason(problem: Problem) -> str | None:
    """Supported only by the direct call: other dtypes, empty arrays, no spatial axis."""
    if problem.dtype not in FLOATS:
        return f"dtype {problem.dtype}"
    if problem.out_dtype != problem.dtype:
        return f"a result of {problem.out_dtype} from {problem.dtype}"
    if problem.is_empty:
        return "an empty array"
    if problem.axes == 0:
        return "no spatial axis"
    return None


def not_plain_reason(problem: Problem) -> str | None:
    """Not supported: unusual problems, base dilation, negative padding."""
    reason = unusual_reason(problem)
    if reason is None and not problem.is_plain:
        reason = "base dilation or negative padding"
    return reason


def not_plain_gradient_reason(problem: Problem) -> str | None:
    """Not supported: problems that are not plain, or whose forward convolution is not plain."""
    reason = not_plain_reason(problem)
    if reason is None and not problem.kernel_gradient().is_plain:
        reason = "a forward convolution that is not plain"
    return reason


def no_base_dilation_reason(problem: Problem) -> str | None:
    """Not supported: unusual problems, and problems without base dilation."""
    reason = unusual_reason(problem)
    if reason is None and set(problem.base_dilation) == {1}:
        reason = "no base dilation"
    return reason


def large_temporary_reason(problem: Problem, size: float) -> str | None:
    """Not supported: temporaries of ``size`` bytes, if large, also relative to the arrays."""
    if size > max(tuning.LARGEST_TEMPORARY, 2 * traffic(problem)):
        return f"temporaries of {size / 2**20:.0f} MiB"
    return None


# -- counts ----------------------------------------------------------------------------------------


def traffic(problem: Problem) -> float:
    """Bytes of x and kernel read once and y written once."""
    shapes = (problem.x_shape, problem.kernel_shape, problem.output_shape)
    return problem.itemsize * sum(math.prod(shape) for shape in shapes)


def lane_operations(problem: Problem) -> float:
    """Multiply-adds, with a group's filters rounded up to whole vectors.

    In a depthwise convolution vectors hold channels instead.
    """
    filters, lanes = problem.group_channels[1], tuning.VECTOR_LANES
    rounded = 1 if problem.is_depthwise else -(-filters // lanes) * lanes / filters
    return problem.multiply_adds * rounded


# -- steps on arrays -------------------------------------------------------------------------------


def pad_input(problem: Problem, x: jax.Array) -> tuple[Problem, jax.Array]:
    """The problem without padding, and x with the padding as zeros around it, behind a barrier.

    The barrier keeps XLA from computing the padding again for each tap that reads it.
    """
    if not any(map(any, problem.padding)):
        return problem, x
    sides = [(0, 0, 0), *((lo, hi, 0) for lo, hi in problem.padding), (0, 0, 0)]
    x = lax.pad(x, jnp.zeros((), x.dtype), sides)
    size = tuple(n + lo + hi for n, (lo, hi) in zip(problem.size, problem.padding, strict=True))
    bare = replace(problem, size=size, padding=tuple((0, 0) for _ in size))
    return bare, lax.optimization_barrier(x)


def dilate_input(problem: Problem, x: jax.Array) -> jax.Array:
    """x with its padding around it and the zeros of base dilation between its cells."""
    sides = [
        (lo, hi, b - 1) for (lo, hi), b in zip(problem.padding, problem.base_dilation, strict=True)
    ]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *sides, (0, 0, 0)])


def trim_input(problem: Problem, x: jax.Array) -> tuple[Problem, jax.Array]:
    """:meth:`.Problem.trimmed`, and x cut to match."""
    bare, kept = problem.trimmed()
    if bare.size == problem.size:
        return bare, x
    return bare, x[(slice(None), *(slice(*ends) for ends in kept))]


def window(problem: Problem) -> ArrayWindow:
    """How the windows of a problem without padding read x (N, *size, C)."""
    axes = zip(
        problem.size,
        problem.output,
        problem.kernel_size,
        problem.stride,
        problem.dilation,
        strict=True,
    )
    return along_axes(problem.x_shape, 1, [AxisWindow(*axis) for axis in axes])


def map_examples(
    problem: Problem,
    x: jax.Array,
    bytes_an_example: float,
    run: Callable[[Problem, jax.Array], jax.Array],
) -> jax.Array:
    """``run`` for the whole batch, or in a loop over the examples if temporaries would be large.

    Args:
      problem: the convolution to compute.
      x: (N, *size, C).
      bytes_an_example: bytes of the temporaries of one example.
      run: (problem, x) -> y for any batch.
    """
    if problem.batch * bytes_an_example <= tuning.LARGEST_TEMPORARY or problem.batch == 1:
        return run(problem, x)
    single = replace(problem, batch=1)
    return lax.map(lambda example: run(single, example[None])[0], x)
