"""Base dilation by phases: one ordinary convolution for each phase of the output.

With input cells b apart, output n = P*m + r reads real cells only under the taps f for which
s*r + d*f - lo is divisible by b. On each axis, with P = b/gcd(s, b) phases and q = gcd(d, b), phase
r has the taps f0, f0 + b/q, ... with dilation d/q, moves by s*P/b cells from one output to the
next, and starts at cell (s*r + d*f0 - lo)/b. So input gradients of strided convolutions, and
transposed convolutions, cost b times less than with zeros inserted.
Source: W. Shi et al., "Is the deconvolution layer the same as a convolutional layer?",
arXiv:1609.07009.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve import tuning
from jaxcnn.convolve.algorithms.protocol import Rewrite, Solve, Work
from jaxcnn.convolve.algorithms.shared import no_base_dilation_reason

if TYPE_CHECKING:
    from jaxcnn.convolve.problem import Problem


class _Axis(NamedTuple):
    """One axis in one phase: the first tap, the step between taps, and the ordinary window."""

    first: int
    spacing: int
    taps: int
    dilation: int
    stride: int
    lo: int


def _phases(problem: Problem) -> tuple[tuple[int, ...], list[list[_Axis | None]]]:
    """The number of phases on each axis, and the phases; None for one that reads no cell."""
    counts, axes = [], []
    for f, s, d, b, (lo, _) in zip(
        problem.kernel_size,
        problem.stride,
        problem.dilation,
        problem.base_dilation,
        problem.padding,
        strict=True,
    ):
        count, q = b // math.gcd(s, b), math.gcd(d, b)
        phases: list[_Axis | None] = []
        for r in range(count):
            first = next((t for t in range(min(f, b // q)) if (s * r + d * t - lo) % b == 0), None)
            if first is None:
                phases.append(None)
                continue
            taps = -(-(f - first) // (b // q))
            begin = (s * r + d * first - lo) // b
            phases.append(_Axis(first, b // q, taps, d // q, s * count // b, -begin))
        counts.append(count)
        axes.append(phases)
    return tuple(counts), axes


def _each(problem: Problem) -> tuple[tuple[int, ...], list[tuple[list[_Axis], Problem] | None]]:
    """The number of phases on each axis, and all combined phases in row-major order."""
    counts, axes = _phases(problem)
    output = tuple(-(-k // count) for k, count in zip(problem.output, counts, strict=True))
    found: list[tuple[list[_Axis], Problem] | None] = []
    for phase in product(*axes):
        met = [axis for axis in phase if axis is not None]
        if len(met) < len(phase):
            found.append(None)
            continue
        plain = replace(
            problem,
            kernel_size=tuple(axis.taps for axis in met),
            stride=tuple(axis.stride for axis in met),
            dilation=tuple(axis.dilation for axis in met),
            base_dilation=(1,) * problem.axes,
            padding=tuple((axis.lo, 0) for axis in met),
        ).with_padding_for(output)
        found.append((met, plain))
    return counts, found


def unsupported_reason(problem: Problem) -> str | None:
    """Not supported: no base dilation, or too many phases."""
    reason, most = no_base_dilation_reason(problem), tuning.POLYPHASE_MOST_PHASES
    counts = [
        b // math.gcd(s, b) for s, b in zip(problem.stride, problem.base_dilation, strict=True)
    ]
    if reason is None and math.prod(counts) > most:
        reason = f"more than {most} phases"
    return reason


def run(problem: Problem, x: jax.Array, kernel: jax.Array, solve: Solve) -> jax.Array:
    """The convolutions of the phases, interleaved."""
    counts, phases = _each(problem)
    output = tuple(-(-k // count) for k, count in zip(problem.output, counts, strict=True))
    shape = (problem.batch, *output, problem.out_channels)
    results = []
    for phase in phases:
        if phase is None:
            results.append(jnp.zeros(shape, x.dtype))
            continue
        axes, plain = phase
        taps = tuple(slice(axis.first, None, axis.spacing) for axis in axes)
        results.append(solve(plain, x, kernel[taps]))
    return _interleaved(problem, counts, results)


def _interleaved(problem: Problem, counts: tuple[int, ...], results: list[jax.Array]) -> jax.Array:
    """The phases' results interleaved: output P*m + r is entry m of phase r, on every axis."""
    axes = problem.axes
    if len(results) == 1:
        y = results[0]
    else:
        y = jnp.stack(results, axis=axes + 1)  # (N, *m, phases, O)
        y = y.reshape(*y.shape[: axes + 1], *counts, problem.out_channels)
        order = [0]
        for axis in range(axes):
            order += [1 + axis, 1 + axes + axis]
        y = lax.transpose(y, (*order, 2 * axes + 1))
        cells = tuple(m * count for m, count in zip(results[0].shape[1:-1], counts, strict=True))
        y = y.reshape(problem.batch, *cells, problem.out_channels)
    return y[(slice(None), *(slice(k) for k in problem.output))]


def work(problem: Problem) -> Work:
    """The output written by phases and then interleaved; the convolutions are parts."""
    return Work(0, 3 * problem.itemsize * math.prod(problem.output_shape))


def parts(problem: Problem) -> list[tuple[Problem, int]]:
    """One ordinary convolution per phase."""
    return [(phase[1], 1) for phase in _each(problem)[1] if phase is not None]


POLYPHASE = Rewrite("polyphase", unsupported_reason, work, parts, run)
