"""Elementwise primitives: activations, biases, sums of branches, parts of normalisations."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

import jax.numpy as jnp

from jaxcnn.inspect.equations import power_of
from jaxcnn.inspect.joining import absorb_statistics, align_axes, join, match_axes
from jaxcnn.inspect.materialize import materialize
from jaxcnn.inspect.primitives import normalization
from jaxcnn.inspect.values import Axis, Value, combine_slices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.inspect.operation import Handler, Operation

_SCALINGS = ("mul", "div", "neg", "convert_element_type", "copy", "copy_p", "reduce_precision")
_SQUARES = ("square", "integer_pow", "abs")
_FOLDS = {
    "max": "max",
    "select_n": "max",
    "min": "min",
    "add": "average",
    "add_any": "average",
    "sub": "average",
}
_OTHERS = (
    *("abs", "acos", "acosh", "and", "asin", "asinh", "atan", "atan2", "atanh", "bessel_i0e"),
    *("bessel_i1e", "cbrt", "ceil", "clamp", "complex", "conj", "cos", "cosh", "digamma", "eq"),
    *("erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "ge", "gt", "imag"),
    *("integer_pow", "is_finite", "le", "lgamma", "log", "log1p", "logistic", "lt", "mulhi"),
    *("name", "ne", "nextafter", "not", "or", "pow", "real", "rem", "round", "rsqrt"),
    *("shift_left", "shift_right_arithmetic", "shift_right_logical", "sign", "sin", "sinh"),
    *("sqrt", "square", "stop_gradient", "tan", "tanh", "xor"),
)


def elementwise(op: Operation) -> list[Value]:
    """One output, whose places depend only on the same place of the inputs."""
    name, values, selectors = op.name, op.values, []
    if name == "select_n" and not all(value.is_constant for value in values[1:]):
        selectors, values = [v for v in values[:1] if not v.is_constant], values[1:]
    dependent = [value for value in values if not value.is_constant]
    maps = [value for value in dependent if not value.is_statistic]
    constants = [value for value in values if value.is_constant]
    if not maps:
        if not normalization.is_division_by_learnt_deviation(op, constants):
            return [_of_statistics(op, values, dependent)]
        # The input of this normalisation is a pooled map, not a statistic of a map.
        maps = dependent = [
            replace(materialize(op, value), is_statistic=False, subtracted_mean=value.weights)
            for value in dependent
        ]
    if not _may_normalize(name, maps):
        maps = [absorb_statistics(op, value) for value in maps]
    statistics = [value for value in dependent if value.is_statistic]
    others = [*constants, *statistics]
    x = _combined(op, maps, others)
    x = replace(x, axes=_broadcast([x, *values]))
    if normalization.is_division_by_deviation(op, x, constants, statistics):
        return [normalization.normalized(op, x, others)]
    added = normalization.statistics_to_add(op, x, statistics)
    if name == "sub" and values[-1] in others and (values[-1].is_statistic or values[-1].weights):
        op.ledger.assign(learnt_in(others), x.layer)
        x = replace(x, statistics=(*x.statistics, *added))
        return [normalization.centred(x, values[-1])]
    if added:
        x = absorb_statistics(op, replace(x, statistics=(*x.statistics, *added)))
    for selector in selectors:
        if not (selector.base is x.base and selector.all_slices <= x.all_slices):
            x = absorb_statistics(op, replace(x, statistics=(*x.statistics, selector)))
    return [_after_function(op, x, maps, others)]


def _after_function(
    op: Operation, x: Value, maps: Sequence[Value], others: Sequence[Value]
) -> Value:
    """x with the operation noted, if it adds a bias or applies a nonlinear function."""
    name, number = op.name, x.layer
    is_learnt = op.ledger.assign(learnt_in(others), number)
    nonlinearity = hash((name, *(value.nonlinearity for value in maps)))
    if name in ("add", "add_any"):
        x = replace(x, nonlinearity=nonlinearity) if len(maps) > 1 else x
        if is_learnt and number >= 0:
            op.ledger.layers[number].bias = True
            x = replace(x, bias_layer=number)
        return x
    if name in ("sub", *_SCALINGS) and len(maps) == 1:
        return x
    halves = [Fraction(1, 2)] * len(op.values)
    power = power_of(op.eqn, halves) if _may_normalize(name, maps) else 0
    is_square = power == 1 and not x.variance_power  # may become a mean square of the cells
    if is_square or name in ("stop_gradient", "name"):
        nonlinearity = x.nonlinearity
    return replace(
        x,
        variance_power=Fraction(power == 1),
        bias_layer=None,
        subtracted_mean=None,
        is_normalized=False,
        nonlinearity=nonlinearity,
    )


def _may_normalize(name: str, maps: Sequence[Value]) -> bool:
    """Whether the result may still be part of a normalisation: a shift, a scaling, a square."""
    first = maps[0]
    if len(maps) > 1:
        alike = (
            (v.statistics, v.nonlinearity) == (first.statistics, first.nonlinearity) for v in maps
        )
        return name == "mul" and all(v.reads_same(first) for v in maps) and all(alike)
    return name in ("add", "sub", *_SCALINGS, *_SQUARES, "stop_gradient", "name")


def _of_statistics(op: Operation, values: Sequence[Value], statistics: Sequence[Value]) -> Value:
    """The result of a function of statistics: a statistic, if all are of the same cells."""
    first, axes = statistics[0], _broadcast([*statistics, *values])
    if not all(value.reads_same(first) for value in statistics):
        return replace(join(op, statistics), axes=axes, bias_layer=None)
    return replace(
        first,
        axes=axes,
        weights=frozenset().union(*(value.weights for value in values)),
        root_of=frozenset().union(*(value.root_of for value in values)),
        variance_power=power_of(op.eqn, [value.variance_power for value in values]),
        layer=max(value.layer for value in statistics),
    )


def _combined(op: Operation, maps: list[Value], others: Sequence[Value]) -> Value:
    """The maps as one value: slices of one map are combined, others joined."""
    name, dtype = op.name, op.eqn.outvars[0].aval.dtype
    boolean, integer = jnp.issubdtype(dtype, jnp.bool_), jnp.issubdtype(dtype, jnp.integer)
    axes = max(len(value.rows) for value in maps)
    maps = [value for value in maps if len(value.rows) == axes]
    fold = _FOLDS.get(name, "")
    scales = name in _SCALINGS and not learnt_in(others)
    first = maps[0]
    maps = match_axes(op, maps)
    if all(value.reads_same(first) for value in maps):
        folds = len(maps) > 1 and fold
        if any(map(first.reads_several, range(axes))) and not (
            boolean or integer or scales or folds
        ):
            return materialize(op, first)
        return first
    maps = align_axes(op, maps)
    kinds = {value.fold for value in maps if value.fold}
    if are_slices_of_one_map(maps) and (boolean or (fold and kinds <= {fold})):
        return combine_slices(maps, fold="" if boolean else fold, bias_layer=None)
    return join(op, maps)


def are_slices_of_one_map(values: Sequence[Value]) -> bool:
    """Whether the values are of the same map and of the same sizes."""
    return len({value.base for value in values}) == len({value.sizes for value in values}) == 1


def _broadcast(values: Sequence[Value]) -> tuple[Axis, ...]:
    """The axes of the values broadcast against each other: the longest of each axis."""
    rank = max(len(value.axes) for value in values)
    options = zip(*(value.axes for value in values if len(value.axes) == rank), strict=True)
    return tuple(max(axes, key=lambda axis: prod(n for n, _ in axis)) for axes in options)


def learnt_in(values: Sequence[Value]) -> frozenset[str]:
    """The names of the possibly learnt arrays in the values.

    An unnamed array that varies over more than one axis is a table of counts, not a bias.
    """
    return frozenset(
        name
        for value in values
        for name in value.weights
        if not name.startswith("<") or sum(map(bool, value.axes)) <= 1
    )


HANDLERS: dict[str, Handler] = dict.fromkeys([*_SCALINGS, *_FOLDS, *_OTHERS], elementwise)
