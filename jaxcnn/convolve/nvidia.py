"""Programs for NVIDIA's devices, for calls that are slow, wrong or unsupported in lax.

XLA calls cuDNN for every convolution. Most run as fast as in PyTorch and are not changed.
The exceptions (H100, jax 0.11.2; ``experiments/results/convolution_on_gpu.json``):

- dtypes that cuDNN does not support: integers are computed as products, tap by tap, and 8-bit
  floats in float32 (not run on a device yet). lax computes int8 in groups wrongly
  (https://github.com/openxla/xla/issues/49123);
- kernel gradients of dilated convolutions, 16 to 106 times PyTorch's time: the image is split into
  one image for each residue, as in :mod:`.algorithms.rewrites.space_to_batch`. Moving the data and
  the gradient without dilation took 1.5 ms, lax 49 ms; the whole has not run on a device yet;
- bfloat16 without groups, with several taps and several channels that are not a multiple of 8: the
  channels are padded with zeros, 1.1 to 2.0 times as fast;
- dilated kernels with base dilation or with padding that differs between the ends of an axis: XLA
  then fills the gaps between the taps with zeros, and a cell that is NaN or infinite makes outputs
  NaN that do not read it. Even padding did not show this, so the input is padded and dilated
  beforehand (not run on a device yet).

Transposed convolutions take 3.7 times PyTorch's time, and half of that with
``algorithm="polyphase"``. It is not the default because gradients of x are the same problems here:
XLA recognises them by their reversed kernels and calls cuDNN's backward convolution; polyphase
takes 2.3 times as long for them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial, reduce
from itertools import product
from operator import add
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn.convolve import tuning
from jaxcnn.convolve.algorithms.shared import dilate_input, pad_input, trim_input
from jaxcnn.convolve.dtypes import FLOATS, accumulator
from jaxcnn.convolve.layout import Operation, channels_last
from jaxcnn.convolve.primitive import direct_p
from jaxcnn.convolve.taps import cells_from

if TYPE_CHECKING:
    from jaxcnn.convolve.algorithms.protocol import Program
    from jaxcnn.convolve.problem import Problem


def program(operation: Operation, params: dict[str, Any]) -> Program | None:
    """The program that replaces lax's call, with the same operands; None if lax's call is best.

    Args:
      operation: the call.
      params: the parameters of ``lax.conv_general_dilated_p``.
    """
    problem, _ = operation.problem.trimmed()
    dtype = jnp.dtype(problem.dtype)
    if problem.dtype not in FLOATS:
        if jnp.issubdtype(dtype, jnp.complexfloating):
            return None
        if jnp.issubdtype(dtype, jnp.floating):
            return lambda x, kernel: _in_float32(operation, params, x, kernel)
        return lambda x, kernel: _integers(operation, x, kernel)
    if problem.out_dtype != problem.dtype:
        return None
    if _is_gradient_of_dilated(operation):
        return lambda x, g: _gradient_by_images(operation, x, g)
    if problem.dtype == "bfloat16" and problem.taps > 1 and _has_odd_channels(operation):
        return lambda x, kernel: _with_padded_channels(operation, params, x, kernel)
    if _has_uneven_padding(problem) and not problem.is_thin:
        return lambda x, kernel: _padded_beforehand(operation, params, x, kernel)
    return None


# -- dtypes that cuDNN does not support ------------------------------------------------------------


def _in_float32(
    operation: Operation, params: dict[str, Any], x: jax.Array, kernel: jax.Array
) -> jax.Array:
    """lax's call in float32, rounded once; the barriers keep XLA from fusing it into one call."""
    wide = lax.optimization_barrier((x.astype("float32"), kernel.astype("float32")))
    y = direct_p.bind(*wide, **params | {"preferred_element_type": None})
    return lax.optimization_barrier(y).astype(operation.problem.out_dtype)


def _integers(operation: Operation, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The sum over taps of cells times weights, in 32 bits at least, with wrap-around."""
    x, kernel = operation.canonical(x, kernel)
    problem, x = trim_input(operation.problem, x)
    out = jnp.dtype(problem.out_dtype)
    wide = out if out.itemsize > 4 else jnp.dtype("uint32" if out.kind == "u" else "int32")
    groups, (c, filters) = problem.groups, problem.group_channels
    x = dilate_input(problem, x.astype(wide))
    starts = np.indices(problem.kernel_size, np.int32).reshape(problem.axes, problem.taps).T
    starts = jnp.asarray(starts * np.array(problem.dilation, np.int32))
    weights = kernel.astype(wide).reshape(problem.taps, c, groups, filters)
    places = problem.axes + 1

    def add_tap(total: jax.Array, tap: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        starts, own = tap
        start = [starts[axis] for axis in range(problem.axes)]
        cells = cells_from(x, start, problem.output, problem.stride)
        cells = cells.reshape(*cells.shape[:-1], groups, c)
        return total + lax.dot_general(cells, own, (((places + 1,), (0,)), ((places,), (1,)))), None

    start = jnp.zeros((groups, problem.batch, *problem.output, filters), wide)
    y, _ = lax.scan(add_tap, start, (starts, weights))
    y = jnp.moveaxis(y, 0, -2).reshape(problem.output_shape)
    return operation.lax_output(y.astype(out))


# -- kernel gradients of dilated convolutions ------------------------------------------------------


def _is_gradient_of_dilated(operation: Operation) -> bool:
    """Whether the call is the kernel gradient of a dilated convolution without stride."""
    problem, _ = operation.problem.trimmed()
    forward = problem.kernel_gradient()
    return (
        max(problem.stride, default=1) > 1 == max(problem.dilation)
        and problem.taps >= tuning.CUDA_FEWEST_TAPS_AN_OUTPUT * problem.output_cells
        and math.prod(problem.stride) <= tuning.CUDA_MOST_IMAGES
        and operation.batch_groups == problem.groups
        and problem.is_plain
        and forward.is_plain
    )


def _gradient_by_images(operation: Operation, x: jax.Array, g: jax.Array) -> jax.Array:
    """The sum of gradients without dilation, one for each residue modulo the dilation.

    Output d*q + r of the convolution reads the cells d*(q + f) + r. Residues with the same number
    of outputs form one batch of images. If the dilation does not divide the outputs, an axis has
    two such batches, so that no cell is multiplied by a gradient outside the output.
    """
    x, g = operation.forward_operands(x, g)  # x (N, *size, C) and output gradient (N, *k, O)
    problem, x = trim_input(operation.problem, x)
    bare, x = pad_input(problem.kernel_gradient(), x)
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

        residues_of = partial(_residue_images, dilation=bare.dilation, residues=every)
        gradient = _gradient(images, residues_of(x, images.size), residues_of(g, images.output))
        gradients.append(gradient.astype(accumulator(problem.dtype)))
    total = reduce(add, gradients).astype(problem.dtype)  # (*F, c, O)
    return operation.lax_output(jnp.moveaxis(total, -2, 0))


def _residue_images(
    a: jax.Array,
    cells: tuple[int, ...],
    *,
    dilation: tuple[int, ...],
    residues: list[tuple[int, ...]],
) -> jax.Array:
    """The first ``cells`` of each residue, ``dilation`` apart, as images of one batch."""
    slices = []
    for first in residues:
        ends = [r + d * (n - 1) + 1 for r, d, n in zip(first, dilation, cells, strict=True)]
        limits = (a.shape[0], *ends, a.shape[-1])
        slices.append(lax.slice(a, (0, *first, 0), limits, (1, *dilation, 1)))
    return lax.optimization_barrier(jnp.concatenate(slices))


def _gradient(forward: Problem, x: jax.Array, g: jax.Array) -> jax.Array:
    """The kernel gradient (*F, c, O) of an undilated convolution, by lax's own rule."""

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


# -- uneven padding --------------------------------------------------------------------------------


def _has_uneven_padding(problem: Problem) -> bool:
    """Whether XLA would fill a dilated kernel's gaps: uneven padding, or base dilation."""
    uneven = any(lo != hi for lo, hi in problem.padding) or max(problem.base_dilation) > 1
    return max(problem.dilation) > 1 and uneven


def _padded_beforehand(
    operation: Operation, params: dict[str, Any], x: jax.Array, kernel: jax.Array
) -> jax.Array:
    """lax's call on a padded x; the barrier keeps XLA from moving the padding back into it."""
    problem, sides = operation.problem, [(0, 0, 0)] * x.ndim
    places = zip(
        operation.numbers.lhs_spec[2:], problem.padding, problem.base_dilation, strict=True
    )
    for axis, (lo, hi), base in places:
        sides[axis] = (lo, hi, base - 1)
    x = lax.optimization_barrier(lax.pad(x, jnp.zeros((), x.dtype), sides))
    bare = {"padding": ((0, 0),) * problem.axes, "lhs_dilation": (1,) * problem.axes}
    return direct_p.bind(x, kernel, **params | bare)


def _has_odd_channels(operation: Operation) -> bool:
    """Whether there are no groups, and several channels in no multiple that suits cuDNN."""
    both, multiple = _channels(operation), tuning.CUDA_CHANNEL_MULTIPLE
    return operation.problem.groups == 1 and min(both) > 1 and any(n % multiple for n in both)


def _channels(operation: Operation) -> tuple[int, int]:
    """Input and output channels; for a kernel gradient its batch and its filters."""
    problem = operation.problem
    return problem.batch if problem.is_thin else problem.in_channels, problem.out_channels


def _with_padded_channels(
    operation: Operation, params: dict[str, Any], x: jax.Array, kernel: jax.Array
) -> jax.Array:
    """lax's call with channels of zeros added to x and kernel, and cut off the result."""
    x_spec, kernel_spec, out_spec = operation.numbers
    more_in, more_out = (-n % tuning.CUDA_CHANNEL_MULTIPLE for n in _channels(operation))
    thin = operation.problem.is_thin
    x = _with_zeros(x, {x_spec[0 if thin else 1]: more_in})
    inputs = {} if thin else {kernel_spec[1]: more_in}
    kernel = _with_zeros(kernel, inputs | {kernel_spec[0]: more_out})
    y = direct_p.bind(x, kernel, **params)
    limits = list(y.shape)
    limits[out_spec[1]] -= more_out
    limits[out_spec[0]] -= more_in if thin else 0
    return lax.slice(y, (0,) * y.ndim, limits)


def _with_zeros(a: jax.Array, more: dict[int, int]) -> jax.Array:
    """The array with ``more[axis]`` zeros at the end of each axis."""
    sides = [(0, more.get(axis, 0), 0) for axis in range(a.ndim)]
    return lax.pad(a, jnp.zeros((), a.dtype), sides)
