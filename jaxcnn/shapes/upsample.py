"""Checks and shapes of upsampling: the coordinate of each output on the input.

output i is at start + i*step on the input, in cells, and no further than its first and last cell
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real
from typing import TYPE_CHECKING, Any

from jaxcnn.errors import InputError
from jaxcnn.geometry._symbolic import is_symbolic, known
from jaxcnn.geometry.check import choice, is_sequence, per_axis
from jaxcnn.geometry.window import ROUNDINGS, axis_names
from jaxcnn.shapes.checks import require_cells, require_floor_or_exact, split_by
from jaxcnn.shapes.operation import Edge, OperationShapes

if TYPE_CHECKING:
    from collections.abc import Sequence

Factor = float | Fraction
"""Outputs for each cell of an axis."""

METHODS = ("nearest", "linear", "floor", "ceil", "round_prefer_floor")
COORDINATES = ("half_pixel", "align_corners", "asymmetric")


@dataclass(frozen=True)
class Resized:
    """An axis of ``size`` cells, resized to ``output`` cells.

    Attributes:
      size, output: cells of the input and of the output.
      start: the first output's coordinate on the input, in cells.
      step: the distance from one output to the next.

    >>> axis = Resized(3, 6, Fraction(-1, 4), Fraction(1, 2))
    >>> axis.factor, [str(axis.of(output)) for output in range(6)]
    (2, ['0', '1/4', '3/4', '5/4', '7/4', '2'])
    """

    size: int
    output: int
    start: Fraction
    step: Fraction

    def of(self, output: int) -> Fraction:
        """The coordinate of an output, which is inside the input."""
        return min(max(self.start + output * self.step, Fraction(0)), Fraction(self.size - 1))

    @property
    def factor(self) -> int | None:
        """The number of outputs for each cell, if it is the same for all cells."""
        factor = self.step.denominator
        return factor if self.step.numerator == 1 and self.output == self.size * factor else None


@dataclass(frozen=True)
class UpsampleShapes(OperationShapes):
    """A checked resizing of x (N, *spatial, C); the channels stay the same.

    Attributes:
      batch, dtype: as in :class:`OperationShapes`.
      axes: one :class:`Resized` for each spatial axis.
      channels: C.
      method: which cells an output is made of, one of :data:`METHODS`.

    >>> axis = Resized(3, 6, Fraction(-1, 4), Fraction(1, 2))
    >>> UpsampleShapes(8, (axis, axis), channels=3, method="nearest").output
    (8, 6, 6, 3)
    """

    axes: tuple[Resized, ...]
    channels: int
    method: str

    @property
    def output(self) -> tuple[int, ...]:
        """The shape of the result, with a batch axis if the caller's x has one."""
        return self.with_batch(*(axis.output for axis in self.axes), self.channels)

    @property
    def has_fractions(self) -> bool:
        """Whether outputs are weighted sums of cells."""
        return self.method == "linear"


def upsample_shapes(
    x: Sequence[int],
    scale_factor: Factor | Sequence[Factor] | None = None,
    *,
    output_size: int | Sequence[int] | None = None,
    method: str = "nearest",
    coordinates: str = "half_pixel",
    rounding: str = "exact",
) -> UpsampleShapes:
    """The shapes of an upsampling, checked.

    Args:
      x: (N, *spatial, C); or (*spatial, C) if ``scale_factor`` or ``output_size`` has one entry for
        each axis.
      scale_factor, output_size, method, coordinates, rounding: as in :func:`jaxcnn.upsample`.

    Raises:
      InputError: if these do not fit; names argument and numbers, and what to type instead.

    >>> upsample_shapes((8, 7, 7, 3), 2).output
    (8, 14, 14, 3)
    """
    choice("method", method, METHODS)
    choice("coordinates", coordinates, COORDINATES)
    require_floor_or_exact(choice("rounding", rounding, ROUNDINGS))
    require_one(scale_factor, output_size)
    given = {"scale_factor": scale_factor} if output_size is None else {"output_size": output_size}
    ((argument, value),) = given.items()
    batch, spatial, channels = split_by(x, argument, value)
    require_cells(spatial)
    names = axis_names(len(spatial))
    if output_size is None:
        factors = scale_factors(scale_factor, len(spatial))
        sizes = zip(names, spatial, factors, strict=True)
        outputs = tuple(_output(name, n, factor, rounding) for name, n, factor in sizes)
    else:
        outputs = per_axis("output_size", output_size, len(spatial), least=1, symbolic=True)
        factors = tuple(map(_ratio, outputs, spatial))
    each = zip(names, spatial, outputs, factors, strict=True)
    axes = tuple(_axis(name, n, k, factor, coordinates) for name, n, k, factor in each)
    return UpsampleShapes(batch, axes, channels, method)


def require_one(scale_factor: Any, output_size: Any) -> None:
    """Raises an InputError unless one of the two is given."""
    if (scale_factor is None) == (output_size is None):
        given = "neither" if output_size is None else "both"
        raise InputError(f"needs scale_factor or output_size, got {given}; use one of them")


def scale_factors(scale_factor: Any, axes: int) -> tuple[Fraction, ...]:
    """One factor for each axis, as a fraction.

    A float has no exact thirds or tenths: it is the simple fraction that float32 rounds to it.

    >>> scale_factors((0.1, 1 / 3, 2), 3)
    (Fraction(1, 10), Fraction(1, 3), Fraction(2, 1))
    """
    listed = is_sequence(scale_factor)
    values = tuple(scale_factor) if listed else (scale_factor,) * axes
    if len(values) != axes:
        raise InputError(
            f"scale_factor {values!r} has {len(values)} entries for {axes} spatial "
            f"{'axis' if axes == 1 else 'axes'}; give one number, or {axes} of them"
        )
    return tuple(
        _fraction(f"scale_factor[{i}]" if listed else "scale_factor", value)
        for i, value in enumerate(values)
    )


def _fraction(name: str, value: Any) -> Fraction:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(
            f"{name} must be a number > 0, got {value!r} of type {type(value).__name__}"
        )
    if not 0 < float(value) < math.inf:
        raise InputError(
            f"{name} must be a finite number > 0, got {value}; use 2 for twice the size"
        )
    exact = Fraction(value) if isinstance(value, Fraction) else Fraction(float(value))
    simple = exact.limit_denominator(1000)
    return simple if abs(simple - exact) <= exact / 2**24 else exact.limit_denominator(10**6)


def _output(name: str, size: int, factor: Fraction, rounding: str) -> int:
    if is_symbolic(size) and factor.denominator > 1:
        raise InputError(
            f"scale_factor {factor} gives {name} {size}*{factor}, which is not known to be whole; "
            f"use a whole scale_factor"
        )
    output = size * factor.numerator // factor.denominator
    if rounding == "exact" and not is_symbolic(size) and size * factor != output:
        raise InputError(
            f"{name} {size} times scale_factor {float(factor):g} gives {float(size * factor):g} "
            f'outputs; use rounding="floor" for {output}, or output_size'
        )
    if not is_symbolic(size) and output < 1:
        raise InputError(
            f"{name} {size} times scale_factor {float(factor):g} leaves no output; use a larger "
            f"scale_factor, or output_size"
        )
    return output


def _ratio(output: int, size: int) -> Fraction | None:
    """Outputs for each cell; None if it is not known."""
    if not (is_symbolic(output) or is_symbolic(size)):
        return Fraction(output, size)
    whole = output // size
    return (
        Fraction(whole)
        if isinstance(whole, int) and known(lambda: whole * size == output)
        else None
    )


def _axis(name: str, size: int, output: int, factor: Fraction | None, coordinates: str) -> Resized:
    unknown = factor is None or coordinates == "align_corners"
    if unknown and (is_symbolic(size) or is_symbolic(output)):
        raise InputError(
            f'{name} {size} resized to {output} with coordinates "{coordinates}": coordinates '
            f"depend on the symbolic size; use a number, or a whole scale_factor with "
            f'coordinates="half_pixel"'
        )
    if factor is None or coordinates == "align_corners":
        last = max(output - 1, 1)
        return Resized(size, output, Fraction(0), Fraction(size - 1 if output > 1 else 0, last))
    step = 1 / factor
    start = (step - 1) / 2 if coordinates == "half_pixel" else Fraction(0)
    return Resized(size, output, start, step)


upsample = Edge("upsample", upsample_shapes)
