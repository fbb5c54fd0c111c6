"""oneDNN's three convolutions: forward, backward data, backward weights.

Each computes a problem of one form, whoever asks for it: an input gradient is the backward data of
the convolution whose adjoint it is, and a kernel gradient the backward weights of the convolution
it is exchanged from. Whether oneDNN serves a problem, and by which implementation, it says itself
when it is asked (:mod:`jaxcnn.onednn`); what it computes by patches written out in memory or by
plain loops is left to the others. Arrays are described to it as they lie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve.algorithms.algorithm import (
    LARGEST_TEMPORARY,
    Algorithm,
    Solve,
    Work,
    in_lanes,
    refuse_unusual,
    traffic,
)
from jaxcnn.convolve.algorithms.direct import direct
from jaxcnn.convolve.layout import Operation, channels_last, forward_laid
from jaxcnn.convolve.problem import Pairs, Problem
from jaxcnn.onednn.faults import served, spills
from jaxcnn.onednn.primitives import DTYPES, MOST_AXES, Convolution, Kind, Operand, call

FEW_CHANNELS = 8

Numbers = lax.ConvDimensionNumbers


@dataclass(frozen=True)
class Direction:
    """One of the three.

    Attributes:
      name: the algorithm's.
      kind: which one.
      forward: the plain convolution whose output, or gradient, a problem is.
      put: how image, kernel and output of that lie, from the problem and lax's dimension numbers.
    """

    name: str
    kind: Kind
    forward: Callable[[Problem], Problem]
    put: Callable[[Problem, Numbers], tuple[Operand, Operand, Operand]]

    @property
    def of_forward(self) -> bool:
        """Whether it takes image and output gradient, as :attr:`.Algorithm.of_forward` has it."""
        return self.kind == Kind.BACKWARD_WEIGHTS

    def question(self, problem: Problem, numbers: Numbers) -> Convolution | str:
        """The problem as oneDNN is asked for it, its arrays lying so; or why it cannot be."""
        reason = refuse_unusual(problem)
        if reason is None and problem.dtype not in DTYPES:
            reason = f"dtype {problem.dtype}"
        if reason is None and not 1 <= problem.axes <= MOST_AXES:
            reason = f"{problem.axes} spatial axes"
        if reason is None and self.kind == Kind.FORWARD and problem.is_thin and problem.groups > 1:
            reason = "a filter's gradient in groups, which the backward way is for"
        if reason is None and self.kind == Kind.BACKWARD_DATA and set(problem.stride) != {1}:
            reason = "a stride, where base dilation is one"
        if reason is None and self.kind == Kind.FORWARD and problem.is_thin and problem.groups > 1:
            reason = "a filter's gradient in groups, which the backward way is for"
        if reason is None and self.kind == Kind.BACKWARD_DATA and problem.taps >= problem.places:
            reason = "a filter of as many taps as there are outputs: no image's gradient"
        if reason is None and self.kind == Kind.BACKWARD_WEIGHTS and _is_no_filter(problem):
            reason = "more outputs than there are taps: no filter's gradient"
        if reason is not None:
            return reason
        forward = self.forward(problem)
        padding = _paddings(forward)
        if set(forward.base_dilation) != {1} or padding is None:
            return "base dilation or negative padding"
        image, kernel, output = self.put(problem, numbers)
        if forward.axes == 1:
            # A row one cell high: oneDNN has more implementations for two axes.
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

    def served(self, problem: Problem, numbers: Numbers) -> Convolution | str:
        """The question to which oneDNN says yes; or why there is none."""
        question = self.question(problem, numbers)
        return question if isinstance(question, str) else served(question)

    def emit(
        self, problem: Problem, x: jax.Array, kernel: jax.Array, numbers: Numbers
    ) -> jax.Array:
        """The result, as lax lays it out, of arrays that lie so and that oneDNN serves."""
        question = self.served(problem, numbers)
        assert not isinstance(question, str), question
        weights = kernel
        if self.kind == Kind.BACKWARD_DATA and problem.taps > 1:
            # The gradient's kernel is the forward one reversed, which XLA takes back here.
            weights = lax.rev(kernel, numbers.rhs_spec[2:])
        shape = _shape((problem.batch, problem.out_channels, *problem.output), numbers.out_spec)
        y = call(question, x, weights, shape)
        if not spills(question):
            return y
        # What is no number in y is so in x or in the kernel: the less there is, the sooner it is
        # looked through.
        seen = (y,) if y.size < x.size + kernel.size else (x, kernel)
        groups = problem.groups if self.of_forward else 1
        return lax.cond(
            jnp.array([jnp.isfinite(array).all() for array in seen]).all(),
            lambda: y,
            lambda: direct(Operation(problem, numbers, groups), x, kernel),
        )

    def unsupported_reason(self, problem: Problem) -> str | None:
        """Why oneDNN does not take a problem whose arrays lie as :meth:`run` gets them."""
        found = self.served(problem, self.usual(problem.axes))
        return found if isinstance(found, str) else None

    def run(self, problem: Problem, x: jax.Array, kernel: jax.Array, solve: Solve) -> jax.Array:
        """One call."""
        del solve
        return self.emit(problem, x, kernel, self.usual(problem.axes))

    def usual(self, axes: int) -> Numbers:
        """How arrays lie without lax's layouts: channels last, a kernel gradient's as forward."""
        return forward_laid(axes) if self.of_forward else channels_last(axes)

    def work(self, problem: Problem) -> Work:
        """The definition's multiply-adds; what is read and written."""
        forward = self.forward(problem)
        # Vectors hold the channels of the result; a kernel gradient's are those of the filters.
        result = forward if self.kind == Kind.BACKWARD_WEIGHTS else problem
        lanes = forward.multiply_adds * in_lanes(result) / result.multiply_adds
        # A kernel gradient put as a forward convolution: long sums, few outputs on an axis.
        thin = self.kind == Kind.FORWARD and problem.is_thin
        kind = f"thin {_kind(forward)}" if thin else _kind(forward)
        return Work(lanes, traffic(problem), kind=kind)


def _kind(forward: Problem) -> str:
    """Which of oneDNN's rates holds: one for each family of its implementations."""
    c, _ = forward.group_channels
    if forward.groups == 1:
        if c < FEW_CHANNELS:
            return "image"
        return "pointwise" if forward.taps == 1 else "dense"
    if c > 1:
        return "groups"
    # Memory decides, and costs more where it is fresh every time.
    return "large depthwise" if traffic(forward) > LARGEST_TEMPORARY else "depthwise"


def _is_no_filter(problem: Problem) -> bool:
    """Whether the outputs are too many for those of a kernel gradient: a filter's cells."""
    return problem.places > 4 * problem.taps


def _paddings(forward: Problem) -> Pairs | None:
    """(lo, hi) on each axis as oneDNN takes them, rounding down; None where cells are cut off."""
    pairs = []
    exact = forward.with_padding_for(forward.output).padding
    for (lo, hi), stride in zip(exact, forward.stride, strict=True):
        if lo < 0 or hi <= -stride:
            return None
        pairs.append((lo, max(0, hi)))
    return tuple(pairs)


def _shape(sizes: Sequence[int], places: Sequence[int]) -> tuple[int, ...]:
    """That of an array whose axes, of these sizes in oneDNN's order, lie at these places."""
    shape = [0] * len(sizes)
    for place, size in zip(places, sizes, strict=True):
        shape[place] = size
    return tuple(shape)


def _lying(sizes: Sequence[int], places: Sequence[int]) -> Operand:
    return Operand.of(_shape(sizes, places), places)


def _with_row(operand: Operand) -> Operand:
    """The operand with an axis of one cell before its last, the spatial one."""
    sizes, strides = operand
    row = strides[-1] * sizes[-1]
    return Operand((*sizes[:-1], 1, sizes[-1]), (*strides[:-1], row, strides[-1]))


def _grouped(kernel: Operand, groups: int) -> Operand:
    return kernel.grouped(groups) if groups > 1 else kernel


def _put_forward(problem: Problem, numbers: Numbers) -> tuple[Operand, Operand, Operand]:
    filters = (problem.out_channels, problem.group_channels[0], *problem.kernel_size)
    kernel = _grouped(_lying(filters, numbers.rhs_spec), problem.groups)
    return (
        _lying((problem.batch, problem.in_channels, *problem.size), numbers.lhs_spec),
        kernel,
        _lying((problem.batch, problem.out_channels, *problem.output), numbers.out_spec),
    )


def _put_backward_data(problem: Problem, numbers: Numbers) -> tuple[Operand, Operand, Operand]:
    """The problem's output is the image whose gradient it is; its channels change places."""
    x, kernel, y = _put_forward(problem, numbers)
    at = int(problem.groups > 1)  # of the filters, behind the groups

    def exchanged(row: tuple[int, ...]) -> tuple[int, ...]:
        return (*row[:at], row[at + 1], row[at], *row[at + 2 :])

    return y, Operand(*map(exchanged, kernel)), x


def _put_backward_weights(problem: Problem, numbers: Numbers) -> tuple[Operand, Operand, Operand]:
    """As lax puts a kernel gradient: batch and channels exchanged, all groups along the batch."""
    forward = problem.kernel_gradient()
    (channels, batch, *size), (filters, also_batch, *k), out = numbers
    image = (forward.batch, forward.in_channels, *forward.size)
    output = (forward.batch, forward.out_channels, *forward.output)
    kernel = (forward.out_channels, forward.group_channels[0], *forward.kernel_size)
    return (
        _lying(image, (batch, channels, *size)),
        _grouped(_lying(kernel, (out[1], out[0], *out[2:])), forward.groups),
        _lying(output, (also_batch, filters, *k)),
    )


def _itself(problem: Problem) -> Problem:
    return problem


DIRECTIONS = {
    direction.name: direction
    for direction in (
        Direction("onednn", Kind.FORWARD, _itself, _put_forward),
        Direction(
            "onednn_backward_data",
            Kind.BACKWARD_DATA,
            Problem.input_gradient,
            _put_backward_data,
        ),
        Direction(
            "onednn_backward_weights",
            Kind.BACKWARD_WEIGHTS,
            Problem.kernel_gradient,
            _put_backward_weights,
        ),
    )
}
"""The three by their names."""


def readers(operation: Operation) -> list[str]:
    """Which of the three oneDNN serves for a call's arrays as they lie."""
    problem, numbers, batch_groups = operation
    return [
        name
        for name, direction in DIRECTIONS.items()
        if batch_groups == (problem.groups if direction.of_forward else 1)
        and not isinstance(direction.served(problem, numbers), str)
    ]


ALGORITHMS = [
    Algorithm(
        name,
        direction.unsupported_reason,
        direction.work,
        direction.run,
        of_forward=direction.of_forward,
    )
    for name, direction in DIRECTIONS.items()
]
