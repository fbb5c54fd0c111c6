"""What is done on NVIDIA's devices where lax's call is slow, wrong or refused there.

XLA hands every convolution to cuDNN. Most run there as fast as PyTorch's and are left alone; these
are not (H100, jax 0.11.2; ``experiments/results/convolution_on_gpu.json``):

- dtypes that cuDNN has none for: integers as products, tap by tap, and floats of 8 bits in float32
  (these have not run there yet). int8 in groups is even wrong by lax
  (https://github.com/openxla/xla/issues/49123);
- kernel gradients of dilated convolutions, 16 to 106 times PyTorch's time: by images, as
  :mod:`.algorithms.space_to_batch` takes dilation apart. What that moves and the gradient without
  dilation took 1.5 ms where lax took 49; the whole has not run there yet;
- bfloat16 with channels that are no multiple of 8: filled up with zeros, 1.1 to 2.0 times as fast;
- dilated filters beside padding that differs between the ends of an axis: XLA fills the gaps
  between their taps with zeros then, and a cell that is NaN or infinite makes NaN of outputs that
  do not read it. Of even padding that was not seen, so the padding is laid before; nor has this
  run there yet.

Transposed convolutions take 3.7 times PyTorch's time, and by ``algorithm="phases"`` half of that.
It is not taken unasked: gradients of x are the same problems here. XLA knows them by their reversed
kernels and hands them to cuDNN's own way; phases take 2.3 times as long for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from itertools import product
from operator import add
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn.convolve.algorithms.algorithm import FLOATS, accumulator, padded, trimmed
from jaxcnn.convolve.layout import Operation, channels_last
from jaxcnn.convolve.primitive import direct_p
from jaxcnn.convolve.problem import Problem

MOST_IMAGES = 64  # into which one is taken apart
FEWEST_TAPS = 4  # of a kernel gradient's filter, for each of its outputs
LANES = 8  # channels

Program = Callable[[jax.Array, jax.Array], jax.Array]


def program(operation: Operation, params: dict[str, Any]) -> Program | None:
    """What is computed instead of lax's call, of its operands; None where that is the best.

    Args:
      operation: the call.
      params: those of ``lax.conv_general_dilated_p``.
    """
    problem, _ = operation.problem.trimmed()
    dtype = jnp.dtype(problem.dtype)
    if problem.dtype not in FLOATS:
        if jnp.issubdtype(dtype, jnp.complexfloating):
            return None
        way = _in_float32 if jnp.issubdtype(dtype, jnp.floating) else _integers
        return lambda x, kernel: way(operation, params, x, kernel)
    if problem.out_dtype != problem.dtype:
        return None
    if _is_gradient_of_dilated(operation):
        return lambda x, g: _by_images(operation, x, g)
    if problem.dtype == "bfloat16" and problem.taps > 1 and _is_odd(operation):
        return lambda x, kernel: _filled(operation, params, x, kernel)
    if _is_uneven(problem) and not problem.is_thin:
        return lambda x, kernel: _padded_before(operation, params, x, kernel)
    return None


# -- dtypes that cuDNN has none for ----------------------------------------------------------------


def _in_float32(
    operation: Operation, params: dict[str, Any], x: jax.Array, kernel: jax.Array
) -> jax.Array:
    """Rounded once. Behind barriers: XLA would make one call for cuDNN of it again."""
    wide = lax.optimization_barrier((x.astype("float32"), kernel.astype("float32")))
    y = direct_p.bind(*wide, **params | {"preferred_element_type": None})
    return lax.optimization_barrier(y).astype(operation.problem.out_dtype)


def _integers(
    operation: Operation, params: dict[str, Any], x: jax.Array, kernel: jax.Array
) -> jax.Array:
    """The sum over taps of cells times weights in 32 bits at least; it wraps around."""
    del params
    x, kernel = operation.canonical(x, kernel)
    problem, x = trimmed(operation.problem, x)
    out = jnp.dtype(problem.out_dtype)
    wide = out if out.itemsize > 4 else jnp.dtype("uint32" if out.kind == "u" else "int32")
    groups, (c, filters) = problem.groups, problem.group_channels
    inside = [
        (lo, hi, b - 1) for (lo, hi), b in zip(problem.padding, problem.base_dilation, strict=True)
    ]
    x = lax.pad(x.astype(wide), jnp.zeros((), wide), [(0, 0, 0), *inside, (0, 0, 0)])
    spans = [(k - 1) * s + 1 for k, s in zip(problem.output, problem.stride, strict=True)]
    starts = np.indices(problem.kernel_size, np.int32).reshape(problem.axes, problem.taps).T
    starts = jnp.asarray(starts * np.array(problem.dilation, np.int32))
    weights = kernel.astype(wide).reshape(problem.taps, c, groups, filters)
    places, zero = problem.axes + 1, jnp.zeros((), jnp.int32)

    def one_more(total: jax.Array, tap: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        start, own = tap
        begin = (zero, *(start[axis] for axis in range(problem.axes)), zero)
        cells = lax.dynamic_slice(x, begin, (problem.batch, *spans, problem.in_channels))
        cells = lax.slice(cells, (0,) * cells.ndim, cells.shape, (1, *problem.stride, 1))
        cells = cells.reshape(*cells.shape[:-1], groups, c)
        return total + lax.dot_general(cells, own, (((places + 1,), (0,)), ((places,), (1,)))), None

    start = jnp.zeros((groups, problem.batch, *problem.output, filters), wide)
    y, _ = lax.scan(one_more, start, (starts, weights))
    y = jnp.moveaxis(y, 0, -2).reshape(problem.output_shape)
    return operation.restored(y.astype(out))


# -- kernel gradients of dilated convolutions ------------------------------------------------------


def _is_gradient_of_dilated(operation: Operation) -> bool:
    """Whether a call is one, of a convolution without stride beside it, and images will be few."""
    problem, _ = operation.problem.trimmed()
    forward = problem.kernel_gradient()
    return (
        max(problem.stride, default=1) > 1 == max(problem.dilation)
        and problem.taps >= FEWEST_TAPS * problem.places
        and math.prod(problem.stride) <= MOST_IMAGES
        and operation.batch_groups == problem.groups
        and problem.is_plain
        and forward.is_plain
    )


def _by_images(operation: Operation, x: jax.Array, g: jax.Array) -> jax.Array:
    """The sum, over the residues modulo the dilation, of gradients without dilation.

    Output d*q + r of the convolution reads the cells d*(q + f) + r. Residues with as many outputs
    are images of one batch; where the dilation does not divide the outputs there are two such
    batches an axis, so that no cell meets a gradient that is not there.
    """
    x, g = operation.of_forward(x, g)  # x (N, *size, C) and output gradient (N, *k, O)
    problem, x = trimmed(operation.problem, x)
    bare, x = padded(problem.kernel_gradient(), x)
    axes = []
    for k, d in zip(bare.output, bare.dilation, strict=True):
        more = k % d
        parts = (range(more), k // d + 1), (range(more, d), k // d)
        axes.append([part for part in parts if part[0] and part[1]])
    gradients = []
    for parts in product(*axes):
        every = list(product(*(residues for residues, _ in parts)))
        images = replace(
            bare,
            batch=bare.batch * len(every),
            size=tuple(k + f - 1 for (_, k), f in zip(parts, bare.kernel_size, strict=True)),
            dilation=(1,) * bare.axes,
        )

        def laid(a: jax.Array, cells: tuple[int, ...], every: Any = every) -> jax.Array:
            slices = []
            for first in every:
                ends = [r + d * (n - 1) + 1
                        for r, d, n in zip(first, bare.dilation, cells, strict=True)]  # fmt: skip
                limits = (a.shape[0], *ends, a.shape[-1])
                slices.append(lax.slice(a, (0, *first, 0), limits, (1, *bare.dilation, 1)))
            return lax.optimization_barrier(jnp.concatenate(slices))

        gradient = _gradient(images, laid(x, images.size), laid(g, images.output))
        gradients.append(gradient.astype(accumulator(problem.dtype)))
    total = reduce(add, gradients).astype(problem.dtype)  # (*F, c, O)
    return operation.restored(jnp.moveaxis(total, -2, 0))


def _gradient(forward: Problem, x: jax.Array, g: jax.Array) -> jax.Array:
    """The kernel gradient (*F, c, O) of a plain convolution, by lax's own rule."""

    def convolve(kernel: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(
            x,
            kernel,
            forward.stride,
            forward.padding,
            dimension_numbers=channels_last(forward.axes),
            feature_group_count=forward.groups,
            precision=forward.precision,
        )

    kernel = jax.ShapeDtypeStruct(forward.kernel_shape, x.dtype)
    return jax.linear_transpose(convolve, kernel)(g)[0]


# -- others ----------------------------------------------------------------------------------------


def _is_uneven(problem: Problem) -> bool:
    """Whether a dilated filter stands beside padding for which XLA would fill its gaps."""
    uneven = any(lo != hi for lo, hi in problem.padding) or max(problem.base_dilation) > 1
    return max(problem.dilation) > 1 and uneven


def _padded_before(
    operation: Operation, params: dict[str, Any], x: jax.Array, kernel: jax.Array
) -> jax.Array:
    """Behind a barrier, or XLA would take the padding into the convolution again."""
    problem, sides = operation.problem, [(0, 0, 0)] * x.ndim
    places = zip(
        operation.numbers.lhs_spec[2:], problem.padding, problem.base_dilation, strict=True
    )
    for axis, (lo, hi), base in places:
        sides[axis] = (lo, hi, base - 1)
    x = lax.optimization_barrier(lax.pad(x, jnp.zeros((), x.dtype), sides))
    bare = {"padding": ((0, 0),) * problem.axes, "lhs_dilation": (1,) * problem.axes}
    return direct_p.bind(x, kernel, **params | bare)


def _is_odd(operation: Operation) -> bool:
    """Whether channels of a convolution without groups, more than one, fill no lanes."""
    both = _channels(operation)
    return operation.problem.groups == 1 and min(both) > 1 and any(n % LANES for n in both)


def _channels(operation: Operation) -> tuple[int, int]:
    """Channels in and out; of a kernel gradient they are the batch and the filters."""
    problem = operation.problem
    return problem.batch if problem.is_thin else problem.in_channels, problem.out_channels


def _filled(
    operation: Operation, params: dict[str, Any], x: jax.Array, kernel: jax.Array
) -> jax.Array:
    """lax's call with channels of zeros beside the others, and what they give cut off."""
    x_spec, kernel_spec, out_spec = operation.numbers
    more_in, more_out = (-n % LANES for n in _channels(operation))
    thin = operation.problem.is_thin
    x = _with_more(x, {x_spec[0 if thin else 1]: more_in})
    inputs = {} if thin else {kernel_spec[1]: more_in}
    kernel = _with_more(kernel, inputs | {kernel_spec[0]: more_out})
    y = direct_p.bind(x, kernel, **params)
    limits = list(y.shape)
    limits[out_spec[1]] -= more_out
    limits[out_spec[0]] -= more_in if thin else 0
    return lax.slice(y, (0,) * y.ndim, limits)


def _with_more(a: jax.Array, more: dict[int, int]) -> jax.Array:
    """With so many zeros at the end of the axes."""
    sides = [(0, more.get(axis, 0), 0) for axis in range(a.ndim)]
    return lax.pad(a, jnp.zeros((), a.dtype), sides)
