"""Conversions between lax's layouts (any order of axes) and channels last."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax

from jaxcnn.convolve.problem import Problem


class Operation(NamedTuple):
    """A call of lax's convolution: its problem, and the layout of its arrays.

    Attributes:
      problem: the convolution to compute, channels last.
      numbers: lax's dimension numbers.
      batch_groups: parts into which lax divides the batch; each is for its part of the filters.
    """

    problem: Problem
    numbers: lax.ConvDimensionNumbers
    batch_groups: int

    def canonical(self, x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
        """x (N, *size, C) and kernel (*F, C // groups, O) from operands in lax's layout.

        A batch group is a feature group whose channels are part of the batch axis: (g*N, *size, C)
        becomes (N, *size, g*C), and the kernel does not change.
        """
        x_spec, kernel_spec, _ = self.numbers
        x = lax.transpose(x, (x_spec[0], *x_spec[2:], x_spec[1]))
        kernel = lax.transpose(kernel, (*kernel_spec[2:], kernel_spec[1], kernel_spec[0]))
        if self.batch_groups > 1:
            groups, axes = self.batch_groups, self.problem.axes
            x = x.reshape(groups, self.problem.batch, *x.shape[1:])
            x = lax.transpose(x, (*range(1, axes + 2), 0, axes + 2)).reshape(self.problem.x_shape)
        return x, kernel

    def forward_operands(self, x: jax.Array, g: jax.Array) -> tuple[jax.Array, jax.Array]:
        """x (N, *size, C) and output gradient (N, *k, O) from the operands of a kernel gradient.

        The result is that of :func:`forward_operands` on the canonical operands, in one transpose
        each. All groups must be part of the batch axis, as in lax's own gradients.
        """
        x_spec, kernel_spec, _ = self.numbers
        x = lax.transpose(x, (x_spec[1], *x_spec[2:], x_spec[0]))
        return x, lax.transpose(g, (kernel_spec[1], *kernel_spec[2:], kernel_spec[0]))

    def lax_output(self, y: jax.Array) -> jax.Array:
        """y (N, *k, O) in lax's layout."""
        out_spec = self.numbers.out_spec
        return _with_axes_at(y, (out_spec[0], *out_spec[2:], out_spec[1]))

    def input_gradient(self) -> Operation:
        """The call by which lax computes the gradient of x, from the flipped kernel."""
        x_spec, kernel_spec, out_spec = self.numbers
        swapped = (kernel_spec[1], kernel_spec[0], *kernel_spec[2:])
        numbers = lax.ConvDimensionNumbers(out_spec, swapped, x_spec)
        return Operation(self.problem.input_gradient(), numbers, self.batch_groups)


def _with_axes_at(array: jax.Array, places: tuple[int, ...]) -> jax.Array:
    """The array with its axis i moved to position ``places[i]``."""
    return lax.transpose(array, tuple(int(axis) for axis in np.argsort(places)))


def describe(x: Any, kernel: Any, params: dict[str, Any]) -> Operation | None:
    """The operation of a lax call; None if a size is a symbol or dtypes differ.

    It is also None for strides or dilations below 1, which lax rejects only when it compiles.

    Args:
      x, kernel: any objects with shape and dtype.
      params: the parameters of ``lax.conv_general_dilated_p``.
    """
    numbers = params["dimension_numbers"]
    pairs = tuple(tuple(pair) for pair in params["padding"])
    known = (*x.shape, *kernel.shape, *(side for pair in pairs for side in pair))
    if not all(isinstance(size, (int, np.integer)) for size in known) or x.dtype != kernel.dtype:
        return None
    steps = [params[name] for name in ("window_strides", "lhs_dilation", "rhs_dilation")]
    if any(len(step) != x.ndim - 2 or min(step, default=1) < 1 for step in steps):
        return None
    x_spec, kernel_spec, _ = numbers
    groups = params["batch_group_count"]
    problem = Problem(
        batch=int(x.shape[x_spec[0]]) // groups,
        size=tuple(int(x.shape[axis]) for axis in x_spec[2:]),
        in_channels=int(x.shape[x_spec[1]]) * groups,
        kernel_size=tuple(int(kernel.shape[axis]) for axis in kernel_spec[2:]),
        out_channels=int(kernel.shape[kernel_spec[0]]),
        groups=max(groups, params["feature_group_count"]),
        stride=tuple(map(int, params["window_strides"])),
        padding=tuple((int(lo), int(hi)) for lo, hi in pairs),
        base_dilation=tuple(map(int, params["lhs_dilation"])),
        dilation=tuple(map(int, params["rhs_dilation"])),
        dtype=str(x.dtype),
        out_dtype=str(np.dtype(params["preferred_element_type"] or x.dtype)),
        precision=params["precision"],
    )
    return Operation(problem, numbers, groups)


def channels_last(axes: int) -> lax.ConvDimensionNumbers:
    """lax's dimension numbers for x (N, *spatial, C), kernel (*F, C, O) and output like x.

    >>> channels_last(1)
    ConvDimensionNumbers(lhs_spec=(0, 2, 1), rhs_spec=(2, 1, 0), out_spec=(0, 2, 1))
    """
    spatial = tuple(range(1, axes + 1))
    image = (0, axes + 1, *spatial)
    return lax.ConvDimensionNumbers(image, (axes + 1, axes, *range(axes)), image)


def kernel_gradient_numbers(axes: int) -> lax.ConvDimensionNumbers:
    """lax's dimension numbers for a kernel gradient in the forward convolution's layout.

    x (N, *size, C) and output gradient (N, *k, O), all groups in the batch axis, give (c, *F, O).

    >>> kernel_gradient_numbers(1)
    ConvDimensionNumbers(lhs_spec=(2, 0, 1), rhs_spec=(2, 0, 1), out_spec=(0, 2, 1))
    """
    spatial = tuple(range(1, axes + 1))
    operand = (axes + 1, 0, *spatial)
    return lax.ConvDimensionNumbers(operand, operand, (0, axes + 1, *spatial))


def split_groups(w: jax.Array, groups: int) -> jax.Array:
    """(..., O) as (..., groups, O // groups)."""
    return w.reshape(*w.shape[:-1], groups, w.shape[-1] // groups)


def kernel_gradient_operands(
    forward: Problem, x: jax.Array, g: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The operands of :meth:`.Problem.kernel_gradient` from those of the forward convolution.

    Args:
      forward: the forward convolution.
      x: its input, (N, *size, g*c).
      g: its output gradient, (N, *k, O).

    Returns:
      x as (c, *size, g*N) and the output gradient as a kernel (*k, N, O).
    """
    axes, (c, _) = forward.axes, forward.group_channels
    spatial = tuple(range(1, axes + 1))
    x = x.reshape(*x.shape[:-1], forward.groups, c)
    x = lax.transpose(x, (axes + 2, *spatial, axes + 1, 0))
    x = x.reshape(c, *forward.size, forward.groups * forward.batch)
    return x, lax.transpose(g, (*spatial, 0, axes + 1))


def forward_operands(
    forward: Problem, x: jax.Array, kernel: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The inverse of :func:`kernel_gradient_operands`."""
    axes, groups = forward.axes, forward.groups
    spatial = tuple(range(1, axes + 1))
    x = x.reshape(*x.shape[:-1], groups, forward.batch)
    x = lax.transpose(x, (axes + 2, *spatial, axes + 1, 0)).reshape(forward.x_shape)
    return x, lax.transpose(kernel, (axes, *range(axes), axes + 1))
