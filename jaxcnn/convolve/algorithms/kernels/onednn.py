"""oneDNN's three convolutions: forward, backward data, backward weights.

Each supports problems of one form: an input gradient is the backward data of its forward
convolution, a kernel gradient the backward weights. oneDNN itself reports whether it supports a
problem, and with which implementation (:mod:`jaxcnn.onednn`); implementations that write out
patches or run plain loops are not used. oneDNN reads arrays in any layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve import tuning
from jaxcnn.convolve.algorithms.kernels import direct
from jaxcnn.convolve.algorithms.protocol import Kernel, Program, Work
from jaxcnn.convolve.algorithms.shared import lane_operations, traffic, unusual_reason
from jaxcnn.convolve.layout import Operation, channels_last, kernel_gradient_numbers
from jaxcnn.convolve.problem import Pairs, Problem
from jaxcnn.onednn import unavailable_reason
from jaxcnn.onednn.faults import choose_implementation, leaks_nans
from jaxcnn.onednn.primitives import DTYPES, MOST_AXES, Convolution, Kind, Operand, call

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Numbers = lax.ConvDimensionNumbers
Operands = tuple[Operand, Operand, Operand]
"""Image, kernel and output."""


@dataclass(frozen=True)
class Direction:
    """One of the three convolutions.

    Attributes:
      name: the name of the algorithm.
      kind: oneDNN's kind of convolution.
      forward: (problem) -> the plain convolution whose output or gradient the problem computes.
      operands: (problem, lax's dimension numbers) -> image, kernel and output of that convolution.
    """

    name: str
    kind: Kind
    forward: Callable[[Problem], Problem]
    operands: Callable[[Problem, Numbers], Operands]

    @property
    def takes_forward_operands(self) -> bool:
        """As :attr:`.Kernel.takes_forward_operands`."""
        return self.kind == Kind.BACKWARD_WEIGHTS

    def question(self, problem: Problem, numbers: Numbers) -> Convolution | str:
        """The problem in oneDNN's terms, for arrays in this layout; or why there is none."""
        reason = unusual_reason(problem)
        if reason is None and problem.dtype not in DTYPES:
            reason = f"dtype {problem.dtype}"
        if reason is None and not 1 <= problem.axes <= MOST_AXES:
            reason = f"{problem.axes} spatial axes"
        if reason is None and self.kind == Kind.FORWARD and problem.is_thin and problem.groups > 1:
            reason = "a kernel gradient in groups, which onednn_backward_weights computes"
        if reason is None and self.kind == Kind.BACKWARD_DATA and set(problem.stride) != {1}:
            reason = "a stride; only base dilation is supported"
        if (
            reason is None
            and self.kind == Kind.BACKWARD_DATA
            and problem.taps >= problem.output_cells
        ):
            reason = "as many taps as outputs or more: not the gradient of an image"
        if reason is None and self.kind == Kind.BACKWARD_WEIGHTS and _has_many_outputs(problem):
            reason = "many more outputs than taps: not the gradient of a kernel"
        if reason is not None:
            return reason
        forward = self.forward(problem)
        padding = _paddings(forward)
        if set(forward.base_dilation) != {1} or padding is None:
            return "base dilation or negative padding"
        image, kernel, output = self.operands(problem, numbers)
        if forward.axes == 1:
            # A row as an image one cell high: oneDNN has more implementations for two axes.
            image, kernel, output = (_with_row(each) for each in (image, kernel, output))
        row = (1,) * (forward.axes == 1)
        return Convolution(
            self.kind,
            problem.dtype,
            image,
            kernel,
            output,
            forward.groups,
            (*row, *forward.stride),
            (*row, *forward.dilation),
            (*((0, 0) for _ in row), *padding),
        )

    def choose_implementation(self, problem: Problem, numbers: Numbers) -> Convolution | str:
        """The convolution as oneDNN supports it for arrays in this layout; or why it does not."""
        question = self.question(problem, numbers)
        return question if isinstance(question, str) else choose_implementation(question)

    def emit(
        self, problem: Problem, x: jax.Array, kernel: jax.Array, numbers: Numbers
    ) -> jax.Array:
        """The result in lax's layout, for a problem that oneDNN supports in this layout."""
        question = self.choose_implementation(problem, numbers)
        assert not isinstance(question, str), question
        weights = kernel
        if self.kind == Kind.BACKWARD_DATA and problem.taps > 1:
            # The gradient's kernel is the forward kernel reversed; XLA cancels the two reversals.
            weights = lax.rev(kernel, numbers.rhs_spec[2:])
        shape = _shape((problem.batch, problem.out_channels, *problem.output), numbers.out_spec)
        y = call(question, x, weights, shape)
        if not leaks_nans(question):
            return y
        # A NaN or infinity in x or the kernel reaches y: search whichever is smaller.
        searched = (y,) if y.size < x.size + kernel.size else (x, kernel)
        groups = problem.groups if self.takes_forward_operands else 1
        return lax.cond(
            jnp.array([jnp.isfinite(array).all() for array in searched]).all(),
            lambda: y,
            lambda: direct.call(Operation(problem, numbers, groups), x, kernel),
        )

    def unsupported_reason(self, problem: Problem) -> str | None:
        """Why oneDNN does not support a problem in the layout that :meth:`run` gets."""
        found = self.choose_implementation(problem, self.usual_numbers(problem.axes))
        return found if isinstance(found, str) else None

    def run(self, problem: Problem, x: jax.Array, kernel: jax.Array) -> jax.Array:
        """The result of one call of oneDNN."""
        return self.emit(problem, x, kernel, self.usual_numbers(problem.axes))

    def in_layout(self, operation: Operation) -> Program | None:
        """As :attr:`.Kernel.in_layout`."""
        problem, numbers, batch_groups = operation
        groups = problem.groups if self.takes_forward_operands else 1
        if batch_groups != groups or isinstance(self.choose_implementation(problem, numbers), str):
            return None
        return lambda x, kernel: self.emit(problem, x, kernel, numbers)

    def usual_numbers(self, axes: int) -> Numbers:
        """The layout of the arrays that :meth:`run` gets."""
        return kernel_gradient_numbers(axes) if self.takes_forward_operands else channels_last(axes)

    def work(self, problem: Problem) -> Work:
        """The definition's multiply-adds; x, kernel and y read or written once."""
        forward = self.forward(problem)
        # Vectors hold the channels of the result; a kernel gradient's are the filters.
        result = forward if self.kind == Kind.BACKWARD_WEIGHTS else problem
        lanes = forward.multiply_adds * lane_operations(result) / result.multiply_adds
        # A kernel gradient computed as a forward convolution: long sums, few outputs on an axis.
        thin = self.kind == Kind.FORWARD and problem.is_thin
        kind = f"thin {_kind(forward)}" if thin else _kind(forward)
        return Work(lanes, traffic(problem), kind=kind)


def _kind(forward: Problem) -> str:
    """The kind of rate: one for each family of oneDNN's implementations."""
    c, _ = forward.group_channels
    if forward.groups == 1:
        if c < tuning.ONEDNN_FEW_CHANNELS:
            return "image"
        return "pointwise" if forward.taps == 1 else "dense"
    if c > 1:
        return "groups"
    # Memory is the limit, and costs more if it is newly allocated each time.
    return "large depthwise" if traffic(forward) > tuning.LARGEST_TEMPORARY else "depthwise"


def _has_many_outputs(problem: Problem) -> bool:
    """Whether the problem has too many outputs for a kernel gradient, whose outputs are taps."""
    return problem.output_cells > tuning.ONEDNN_MOST_OUTPUTS_A_TAP * problem.taps


def _paddings(forward: Problem) -> Pairs | None:
    """(lo, hi) on each axis for oneDNN, which rounds down; None if cells would be cropped."""
    pairs = []
    exact = forward.with_padding_for(forward.output).padding
    for (lo, hi), stride in zip(exact, forward.stride, strict=True):
        if lo < 0 or hi <= -stride:
            return None
        pairs.append((lo, max(0, hi)))
    return tuple(pairs)


def _shape(sizes: Sequence[int], places: Sequence[int]) -> tuple[int, ...]:
    """The shape of an array with these sizes, in oneDNN's order, at these axis positions."""
    shape = [0] * len(sizes)
    for place, size in zip(places, sizes, strict=True):
        shape[place] = size
    return tuple(shape)


def _operand(sizes: Sequence[int], places: Sequence[int]) -> Operand:
    return Operand.of(_shape(sizes, places), places)


def _with_row(operand: Operand) -> Operand:
    """The operand with an axis of one cell before its spatial axis, the last."""
    sizes, strides = operand
    row = strides[-1] * sizes[-1]
    return Operand((*sizes[:-1], 1, sizes[-1]), (*strides[:-1], row, strides[-1]))


def _grouped(kernel: Operand, groups: int) -> Operand:
    return kernel.grouped(groups) if groups > 1 else kernel


def _forward_operands(problem: Problem, numbers: Numbers) -> Operands:
    filters = (problem.out_channels, problem.group_channels[0], *problem.kernel_size)
    kernel = _grouped(_operand(filters, numbers.rhs_spec), problem.groups)
    return (
        _operand((problem.batch, problem.in_channels, *problem.size), numbers.lhs_spec),
        kernel,
        _operand((problem.batch, problem.out_channels, *problem.output), numbers.out_spec),
    )


def _backward_data_operands(problem: Problem, numbers: Numbers) -> Operands:
    """The operands: the problem's output is the image, and input and output channels swap."""
    x, kernel, y = _forward_operands(problem, numbers)
    at = int(problem.groups > 1)  # the axis of the filters, after the axis of the groups

    def swapped(row: tuple[int, ...]) -> tuple[int, ...]:
        return (*row[:at], row[at + 1], row[at], *row[at + 2 :])

    return y, Operand(*map(swapped, kernel)), x


def _backward_weights_operands(problem: Problem, numbers: Numbers) -> Operands:
    """The operands of lax's kernel gradient: batch and channels swapped, groups in the batch."""
    forward = problem.kernel_gradient()
    (channels, batch, *size), (filters, also_batch, *k), out = numbers
    image = (forward.batch, forward.in_channels, *forward.size)
    output = (forward.batch, forward.out_channels, *forward.output)
    kernel = (forward.out_channels, forward.group_channels[0], *forward.kernel_size)
    return (
        _operand(image, (batch, channels, *size)),
        _grouped(_operand(kernel, (out[1], out[0], *out[2:])), forward.groups),
        _operand(output, (also_batch, filters, *k)),
    )


DIRECTIONS = {
    direction.name: direction
    for direction in (
        Direction("onednn", Kind.FORWARD, lambda problem: problem, _forward_operands),
        Direction(
            "onednn_backward_data",
            Kind.BACKWARD_DATA,
            Problem.input_gradient,
            _backward_data_operands,
        ),
        Direction(
            "onednn_backward_weights",
            Kind.BACKWARD_WEIGHTS,
            Problem.kernel_gradient,
            _backward_weights_operands,
        ),
    )
}
"""The three directions by name."""

KERNELS = tuple(
    Kernel(
        direction.name,
        direction.unsupported_reason,
        direction.work,
        direction.run,
        takes_forward_operands=direction.takes_forward_operands,
        unavailable=unavailable_reason,
        host_only=True,
        in_layout=direction.in_layout,
    )
    for direction in DIRECTIONS.values()
)
