"""Operations that work place by place: sums of branches, activations, biases, normalisations.

A normalisation is recognised by what it does: a mean is taken away and the rest divided by a
root. Its statistics do not count as reads, for every output would then read everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import jax.numpy as jnp

from jaxcnn.geometry.reads import Reads
from jaxcnn.geometry.steps import Slide
from jaxcnn.inspect.equations import is_root
from jaxcnn.inspect.tracer import Rule, Tracer
from jaxcnn.inspect.values import CHANNEL, Axis, Value, label_of, merged, unmerged

_SCALINGS = ("mul", "div", "neg", "convert_element_type", "copy", "copy_p", "reduce_precision")
_FOLDS = {"max": "max", "select_n": "max", "min": "min", "add": "average", "sub": "average"}
_OTHERS = (
    *("abs", "acos", "acosh", "and", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil"),
    *("clamp", "cos", "cosh", "eq", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "floor"),
    *("ge", "gt", "imag", "integer_pow", "is_finite", "le", "log", "log1p", "logistic", "lt"),
    *("name", "ne", "nextafter", "not", "or", "pow", "real", "rem", "round", "rsqrt", "sign"),
    *("sin", "sinh", "sqrt", "square", "stop_gradient", "tan", "tanh", "xor"),
)


def elementwise(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """One output, each place of which depends on that place of the inputs alone."""
    name = eqn.primitive.name
    if name == "select_n" and any(value.base is not None for value in values[1:]):
        values = values[1:]  # what is chosen, not what chooses
    moving = [value for value in values if value.base is not None]
    solid = [value for value in moving if not value.statistic]
    others = [value for value in values if value.base is None or value.statistic]
    if not solid:
        return [_statistic(eqn, values, moving)]
    x = _together(tracer, eqn, solid, others)
    x = replace(x, axes=_broadcast([x, *values]))
    if name in ("mul", "div") and any(_deviates(value) for value in others):
        return [_normalised(tracer, eqn, x, others)]
    if name == "sub" and others and (others[-1].statistic or others[-1].weights):
        return [_centred(x, others)]
    learnt = _learnt(others)
    number = x.layer
    is_learnt = tracer.give(learnt, number)
    if name == "add":
        if is_learnt and number >= 0:
            tracer.layers[number].bias = True
            x = replace(x, biased=number)
        return [x]
    if name in ("sub", *_SCALINGS):
        return [x]
    return [replace(x, biased=None, centred=None)]


def _statistic(eqn: Any, values: Sequence[Value], moving: Sequence[Value]) -> Value:
    return replace(
        moving[0],
        axes=_broadcast([*moving, *values]),
        weights=frozenset().union(*(value.weights for value in values)),
        root=is_root(eqn) or any(value.root for value in values),
        layer=max(value.layer for value in moving),
    )


def _together(tracer: Tracer, eqn: Any, solid: list[Value], others: list[Value]) -> Value:
    """The values as one: folded where they are slices of one map, else joined."""
    name, dtype = eqn.primitive.name, eqn.outvars[0].aval.dtype
    boolean, places = jnp.issubdtype(dtype, jnp.bool_), jnp.issubdtype(dtype, jnp.integer)
    axes = max(len(value.rows) for value in solid)
    solid = [value for value in solid if len(value.rows) == axes]
    fold = _FOLDS.get(name, "")
    scales = name in _SCALINGS and not _learnt(others)
    first = solid[0]
    if all(_same(value, first) for value in solid):
        folds = len(solid) > 1 and fold
        if any(map(first.folded, range(axes))) and not (boolean or places or scales or folds):
            return tracer.settle(first, eqn)
        return first
    solid = _aligned(solid)
    first = solid[0]
    kinds = {value.fold for value in solid if value.fold}
    alike = len({value.base for value in solid}) == len({value.sizes for value in solid}) == 1
    if alike and (boolean or (fold and kinds <= {fold})):
        return merged(solid, fold="" if boolean else fold, biased=None)
    return _joined([tracer.settle(value, eqn) for value in solid])


def _same(one: Value, other: Value) -> bool:
    """Whether two values read the same cells in the same places."""
    return (one.base, one.rows, one.pieces) == (other.base, other.rows, other.pieces)


def _aligned(values: list[Value]) -> list[Value]:
    """The values with axes that some have along a spatial axis so in all."""
    if len({len(value.axes) for value in values}) > 1:
        return values
    for dim in range(len(values[0].axes)):
        if any(isinstance(label_of(value.axes[dim]), int) for value in values):
            values = [unmerged(value, dim) for value in values]
    return values


def _joined(values: list[Value]) -> Value:
    """Branches that meet: every place reads what it reads in each."""
    most = max(len(value.rows) for value in values)  # others are of before a generator's first map
    values = [value for value in values if len(value.rows) == most]
    sizes = tuple(max(each) for each in zip(*(value.base.sizes for value in values), strict=True))
    maps = {}
    for value in values:
        layout = [
            None if size == full else Slide(size, full, tuple(range(size)), stride=0)
            for size, full in zip(value.base.sizes, sizes, strict=True)
        ]
        spread = any(layout)
        maps[value.base] = value.base.through(*layout) if spread else value.base
    base = Reads.joined(*maps.values()) if len(maps) > 1 else next(iter(maps.values()))
    biased = next((value.biased for value in values if value.biased is not None), None)
    layer = max(value.layer for value in values)
    return Value(values[0].axes, base, (None,) * len(sizes), layer=layer, biased=biased)


def joined_along(tracer: Tracer, eqn: Any, values: list[Value]) -> Value:
    """Values set side by side along an axis that is not spatial, as one."""
    values = [value for value in values if value.base is not None]
    first = values[0]
    if all(_same(value, first) for value in values):
        return replace(first, biased=None, centred=None)
    values = _aligned(values)
    first = values[0]
    alike = len({value.base for value in values}) == len({value.sizes for value in values}) == 1
    if alike and not any(value.fold for value in values):
        return merged(values, biased=None, centred=None)
    return replace(_joined([tracer.settle(value, eqn) for value in values]), biased=None)


def _broadcast(values: Sequence[Value]) -> tuple[Axis, ...]:
    """The axes of what comes of values whose axes of one place are stretched: the first longest."""
    rank = max(len(value.axes) for value in values)
    options = zip(*(value.axes for value in values if len(value.axes) == rank), strict=True)
    return tuple(max(axes, key=lambda axis: prod(n for n, _ in axis)) for axes in options)


def _learnt(values: Sequence[Value]) -> frozenset[str]:
    """The names of what may be learnt in them.

    An unnamed array that varies over more than one axis is a table of counts rather than a bias.
    """
    return frozenset(
        name
        for value in values
        for name in value.weights
        if not name.startswith("<") or sum(map(bool, value.axes)) <= 1
    )


def _deviates(value: Value) -> bool:
    return value.root and (value.statistic or bool(value.weights))


def _channels(axes: Sequence[Axis]) -> int:
    """Channels that differ: those that a group's statistics were copied to do not count."""
    return prod(size for axis in axes for size, label in axis if label == CHANNEL)


def _centred(x: Value, others: Sequence[Value]) -> Value:
    """x with a mean taken away; a bias goes with it where each channel has a mean of its own."""
    own = any(_channels(value.axes) == _channels(x.axes) for value in others)
    names = frozenset().union(*(value.weights for value in others))
    return replace(x, centred=names, biased=x.biased if own else None)


def _normalised(tracer: Tracer, eqn: Any, x: Value, others: Sequence[Value]) -> Value:
    x = tracer.settle(x, eqn)
    names = frozenset().union(x.centred or (), *(value.weights for value in others))
    tracer.take(names)
    shown = tracer.shown(x)
    number = tracer.write("norm", eqn, (), x.base, x.base, shown, shown[-1], names)
    own = any(_channels(value.axes) == _channels(x.axes) for value in others)
    if x.centred is not None and x.biased is not None and own:
        tracer.layers[number].cancels = tracer.layers[x.biased]
    return replace(x, layer=number, biased=None, centred=None)


RULES: dict[str, Rule] = dict.fromkeys([*_SCALINGS, *_FOLDS, *_OTHERS], elementwise)
