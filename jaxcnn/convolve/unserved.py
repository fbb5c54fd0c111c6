"""Convolutions of dtypes that lax has none for on NVIDIA's devices: integers, and floats of 8 bits.

XLA:GPU hands every convolution to cuDNN, which refuses these (UNIMPLEMENTED, H100, jax 0.11.2), but
for int8 in cases, of which some are wrong (https://github.com/openxla/xla/issues/49123). Floats are
computed in float32 and rounded once; integers as products of matrices, tap by tap, which XLA
compiles itself.
"""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn.convolve.algorithms import direct
from jaxcnn.convolve.algorithms.algorithm import FLOATS, trimmed
from jaxcnn.convolve.problem import Problem


def serves(platform: str | None, problem: Problem) -> bool:
    """Whether lax has nothing for the problem's dtype on the platform."""
    dtype = jnp.dtype(problem.dtype)
    known = problem.dtype in FLOATS or jnp.issubdtype(dtype, jnp.complexfloating)
    return platform == "cuda" and not known


def run(problem: Problem, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """y (N, *k, O) of a canonical problem; integers wrap around as everywhere."""
    if jnp.issubdtype(x.dtype, jnp.floating):
        wide = replace(problem, dtype="float32", out_dtype="float32")
        y = direct.ALGORITHM.run(
            wide, x.astype(wide.dtype), kernel.astype(wide.dtype), lambda *_: NotImplemented
        )
        return y.astype(problem.out_dtype)
    return _by_taps(problem, x, kernel).astype(problem.out_dtype)


def _by_taps(problem: Problem, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The sum over taps of cells times weights, kept in 32 bits at least."""
    problem, x = trimmed(problem, x)
    out = jnp.dtype(problem.out_dtype)
    wide = out if out.itemsize > 4 else jnp.dtype("uint32" if out.kind == "u" else "int32")
    groups, (c, filters) = problem.groups, problem.group_channels
    inside = [
        (lo, hi, b - 1) for (lo, hi), b in zip(problem.padding, problem.base_dilation, strict=True)
    ]
    x = lax.pad(x.astype(wide), jnp.zeros((), wide), [(0, 0, 0), *inside, (0, 0, 0)])
    spans = [(k - 1) * s + 1 for k, s in zip(problem.output, problem.stride, strict=True)]
    starts = np.indices(problem.filter, np.int32).reshape(problem.axes, problem.taps).T
    starts = jnp.asarray(starts * np.array(problem.dilation, np.int32))
    weights = kernel.astype(wide).reshape(problem.taps, c, groups, filters)
    places, zero = problem.axes + 1, jnp.zeros((), jnp.int32)

    def add(total: jax.Array, tap: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        start, own = tap
        begin = (zero, *(start[axis] for axis in range(problem.axes)), zero)
        cells = lax.dynamic_slice(x, begin, (problem.batch, *spans, problem.in_channels))
        cells = lax.slice(cells, (0,) * cells.ndim, cells.shape, (1, *problem.stride, 1))
        cells = cells.reshape(*cells.shape[:-1], groups, c)
        return total + lax.dot_general(cells, own, (((places + 1,), (0,)), ((places,), (1,)))), None

    start = jnp.zeros((groups, problem.batch, *problem.output, filters), wide)
    y, _ = lax.scan(add, start, (starts, weights))
    return jnp.moveaxis(y, 0, -2).reshape(problem.output_shape)
