"""Operations that work place by place: sums of branches, activations, biases, normalisations.

A normalisation is recognised by what it does: (x - mean(x)) / sqrt(var(x) + eps), with or without
the mean, in any order, where mean and variance are x's own or learnt. What its statistics read does
not count, for every output would then read everything; any other use of a statistic (a gate, a
softmax over places, a mean that is added or only taken away) reads what the statistic reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import prod
from typing import Any

import jax.numpy as jnp

from jaxcnn.geometry.axis_maps import StridedAxis
from jaxcnn.inspect.equations import power_of
from jaxcnn.inspect.tracer import Rule, Tracer
from jaxcnn.inspect.values import CHANNEL, Axis, Value, merged

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


def elementwise(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """One output, each place of which depends on that place of the inputs alone."""
    name, choosing = eqn.primitive.name, []
    if name == "select_n" and any(value.base is not None for value in values[1:]):
        choosing, values = [v for v in values[:1] if v.base is not None], values[1:]
    moving = [value for value in values if value.base is not None]
    solid = [value for value in moving if not value.statistic]
    fixed = [value for value in values if value.base is None]
    if not solid:
        return [_statistics(tracer, eqn, values, moving)]
    if not _goes_on(name, solid):
        solid = [tracer.paid(value, eqn) for value in solid]
    statistics = [value for value in moving if value.statistic]
    others = [*fixed, *statistics]
    x = _together(tracer, eqn, solid, others)
    x = replace(x, axes=_broadcast([x, *values]))
    if name in ("mul", "div") and (
        any(_divides(eqn, value) for value in fixed)
        or any(_divides(eqn, value) and _is_of(value, x) for value in statistics)
    ):
        return [_normalised(tracer, eqn, x, others)]
    owed = [value for value in statistics if not _is_same(value, x)]
    if x.scaled and name in ("add", "sub"):  # the mean, divided too, taken away at the end
        owed = [v for v in owed if not (_is_of(v, x) and v.power == Fraction(-1, 2))]
    if name == "sub" and values[-1] in others and (values[-1].statistic or values[-1].weights):
        tracer.give(learnt_in(others), x.layer)
        return [_centred(replace(x, owed=(*x.owed, *owed)), [values[-1]])]
    if owed:
        x = tracer.paid(replace(x, owed=(*x.owed, *owed)), eqn)
    for chooser in choosing:
        if not (chooser.base is x.base and chooser.combined <= x.combined):
            x = tracer.paid(replace(x, owed=(*x.owed, chooser)), eqn)
    learnt = learnt_in(others)
    number = x.layer
    is_learnt = tracer.give(learnt, number)
    bent = hash((name, *(value.bent for value in solid)))
    if name in ("add", "add_any"):
        x = replace(x, bent=bent) if len(solid) > 1 else x
        if is_learnt and number >= 0:
            tracer.layers[number].bias = True
            x = replace(x, biased=number)
        return [x]
    if name in ("sub", *_SCALINGS) and len(solid) == 1:
        return [x]
    power = power_of(eqn, [Fraction(1, 2)] * len(values)) if _goes_on(name, solid) else 0
    squared = power == 1 and not x.power  # on the way to a mean square of the cells themselves
    if squared or name in ("stop_gradient", "name"):
        bent = x.bent
    changed = {"biased": None, "centred": None, "scaled": False, "bent": bent}
    return [replace(x, power=Fraction(power == 1), **changed)]


def _goes_on(name: str, solid: Sequence[Value]) -> bool:
    """Whether what comes may still be a part of a normalisation: a shift, a scaling, a square."""
    first = solid[0]
    if len(solid) > 1:
        alike = ((v.owed, v.bent) == (first.owed, first.bent) for v in solid)
        return name == "mul" and all(_same(v, first) for v in solid) and all(alike)
    return name in ("add", "sub", *_SCALINGS, *_SQUARES, "stop_gradient", "name")


def _statistics(
    tracer: Tracer, eqn: Any, values: Sequence[Value], moving: Sequence[Value]
) -> Value:
    """What comes of statistics alone: a statistic, if all are of the same cells."""
    first = moving[0]
    if not all(_same(value, first) for value in moving):
        found = tracer.join(moving, eqn)
        return replace(found, axes=_broadcast([*moving, *values]), biased=None)
    return replace(
        first,
        axes=_broadcast([*moving, *values]),
        weights=frozenset().union(*(value.weights for value in values)),
        spread=frozenset().union(*(value.spread for value in values)),
        power=power_of(eqn, [value.power for value in values]),
        layer=max(value.layer for value in moving),
    )


def _together(tracer: Tracer, eqn: Any, solid: list[Value], others: list[Value]) -> Value:
    """The values as one: folded where they are slices of one map, else joined."""
    name, dtype = eqn.primitive.name, eqn.outvars[0].aval.dtype
    boolean, places = jnp.issubdtype(dtype, jnp.bool_), jnp.issubdtype(dtype, jnp.integer)
    axes = max(len(value.rows) for value in solid)
    solid = [value for value in solid if len(value.rows) == axes]
    fold = _FOLDS.get(name, "")
    scales = name in _SCALINGS and not learnt_in(others)
    first = solid[0]
    solid = matched(tracer, eqn, solid)
    if all(_same(value, first) for value in solid):
        folds = len(solid) > 1 and fold
        if any(map(first.folded, range(axes))) and not (boolean or places or scales or folds):
            return tracer.settle(first, eqn)
        return first
    solid = tracer.aligned(solid, eqn)
    first = solid[0]
    kinds = {value.fold for value in solid if value.fold}
    alike = len({value.base for value in solid}) == len({value.sizes for value in solid}) == 1
    if alike and (boolean or (fold and kinds <= {fold})):
        return merged(solid, fold="" if boolean else fold, biased=None)
    return tracer.join(solid, eqn)


def matched(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """The values as they are, if each spatial axis lies along the same axis of all of them that
    have more than one place on it; else it is not known what their places have in common.
    """
    rank = max(len(value.axes) for value in values)
    for label in frozenset().union(*(value.labels for value in values)):
        along = {value: _dims(value, label, rank) for value in values}
        # An axis that lies along two, as of queries and keys, is read as a whole at every place.
        wide = {value.base for value in values if len(along[value]) > 1}
        rest = [value for value in values if value.base not in wide]
        if wide and rest:
            values = [v if v.base in wide else _widened(tracer, eqn, v, label) for v in values]
        elif not wide and len({along[v] for v in rest if along[v] or v.sizes[label] > 1}) > 1:
            why = f"{eqn.primitive.name} of arrays whose axes are turned against each other"
            return [tracer.unsure(value, eqn, why) for value in values]
    return values


def _dims(value: Value, label: int, rank: int) -> tuple[int, ...]:
    dims = (dim for dim in range(len(value.axes)) if label in value.labels_on(dim))
    return tuple(dim - len(value.axes) + rank for dim in dims)


def _widened(tracer: Tracer, eqn: Any, value: Value, label: int) -> Value:
    """The value with every place reading the whole of a spatial axis."""
    value = tracer.settle(value, eqn)
    layout: list[StridedAxis | None] = [None] * len(value.rows)
    size = value.map.sizes[label]
    layout[label] = StridedAxis(size, size, tuple(range(size)), stride=0)
    return replace(value, base=value.map.apply(*layout))


def _same(one: Value, other: Value) -> bool:
    """Whether two values read the same cells in the same places."""
    return (one.base, one.rows, one.pieces) == (other.base, other.rows, other.pieces)


def joined_along(tracer: Tracer, eqn: Any, values: list[Value]) -> Value:
    """Values set side by side along an axis that is not spatial, as one."""
    values = [value for value in values if value.base is not None]
    values = matched(tracer, eqn, values)
    first = values[0]
    if all(_same(value, first) for value in values):
        return replace(first, biased=None, centred=None)
    values = tracer.aligned(values, eqn)
    first = values[0]
    alike = len({value.base for value in values}) == len({value.sizes for value in values}) == 1
    if alike and not any(value.fold for value in values):
        return merged(values, biased=None, centred=None)
    return replace(tracer.join(values, eqn), biased=None)


def _broadcast(values: Sequence[Value]) -> tuple[Axis, ...]:
    """The axes of what comes of values whose axes of one place are stretched: the first longest."""
    rank = max(len(value.axes) for value in values)
    options = zip(*(value.axes for value in values if len(value.axes) == rank), strict=True)
    return tuple(max(axes, key=lambda axis: prod(n for n, _ in axis)) for axes in options)


def learnt_in(values: Sequence[Value]) -> frozenset[str]:
    """The names of what may be learnt in them.

    An unnamed array that varies over more than one axis is a table of counts rather than a bias.
    """
    return frozenset(
        name
        for value in values
        for name in value.weights
        if not name.startswith("<") or sum(map(bool, value.axes)) <= 1
    )


def _divides(eqn: Any, value: Value) -> bool:
    """Whether an operation divides by a value that is a deviation: the root of a mean square."""
    sign = {"div": 1, "mul": -1}.get(eqn.primitive.name, 0)
    return value.power == Fraction(sign, 2) and (value.statistic or bool(value.spread))


def _is_of(statistic: Value, x: Value) -> bool:
    """Whether a mean or a mean square is one of x's own cells, as they are now."""
    own = statistic.base is x.base and statistic.bent == x.bent and not x.power
    return own and statistic.fold in ("", "average")


def _is_same(statistic: Value, x: Value) -> bool:
    """Whether a statistic reads no more than x does: it was taken over channels alone."""
    return (statistic.base, statistic.rows) == (x.base, x.rows) and statistic.labels == x.labels


def _channels(axes: Sequence[Axis]) -> int:
    """Channels that differ: those that a group's statistics were copied to do not count."""
    return prod(size for axis in axes for size, label in axis if label == CHANNEL)


def _centred(x: Value, others: Sequence[Value]) -> Value:
    """x with a mean taken away; a bias goes with it where each channel has a mean of its own."""
    own = any(_channels(value.axes) == _channels(x.axes) for value in others)
    names = frozenset().union(*(value.weights for value in others))
    return replace(x, centred=names, biased=x.biased if own else None)


def _normalised(tracer: Tracer, eqn: Any, x: Value, others: Sequence[Value]) -> Value:
    """x divided by its deviation, or by a learnt one: what its own statistics read is forgiven."""
    owed = tuple(value for value in x.owed if not _is_of(value, x))
    if not any(value.statistic for value in others):
        owed = x.owed
    x = tracer.settle(tracer.paid(replace(x, owed=owed), eqn), eqn)
    running = frozenset().union(x.centred or (), *(value.spread for value in others))
    names = running.union(*(value.weights for value in others))
    tracer.take(names)
    tracer.running |= running
    shown = tracer.shown(x)
    number = tracer.write("norm", eqn, (), x.map, x.map, shown, shown[-1], names)
    own = any(_channels(value.axes) == _channels(x.axes) for value in others)
    if x.centred is not None and x.biased is not None and own:
        tracer.layers[number].cancels = tracer.layers[x.biased]
    return replace(x, layer=number, biased=None, centred=None, scaled=True)


RULES: dict[str, Rule] = dict.fromkeys([*_SCALINGS, *_FOLDS, *_OTHERS], elementwise)
