"""Normalisations, recognised among elementwise operations by what they compute.

A normalisation is (x - mean(x)) / sqrt(var(x) + eps), with or without the mean, in any order. The
mean and the variance are those of x, or learnt. The cells that its statistics read do not count as
read, because every output would then read everything. Any other use of a statistic counts: a gate,
a softmax over places, a mean that is added or only subtracted.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

from jaxcnn.inspect.joining import complete
from jaxcnn.inspect.values import CHANNEL, Axis, Value, shape_of_example

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.inspect.operation import Operation


def is_division_by_deviation(
    op: Operation, x: Value, constants: Sequence[Value], statistics: Sequence[Value]
) -> bool:
    """Whether an operation divides x by its own deviation, or by a learnt one."""
    return is_division_by_learnt_deviation(op, constants) or any(
        _divides_by(op, value) and _is_statistic_of(value, x) for value in statistics
    )


def is_division_by_learnt_deviation(op: Operation, constants: Sequence[Value]) -> bool:
    """Whether an operation divides by a learnt deviation."""
    return any(_divides_by(op, value) for value in constants)


def _divides_by(op: Operation, value: Value) -> bool:
    """Whether an operation divides by a deviation, the root of a mean square."""
    sign = {"div": 1, "mul": -1}.get(op.name)
    if sign is None:
        return False
    is_root = value.variance_power == Fraction(sign, 2)
    return is_root and (value.is_statistic or bool(value.root_of))


def _is_statistic_of(statistic: Value, x: Value) -> bool:
    """Whether a mean or a mean square is that of x's own current cells."""
    same = statistic.base is x.base and statistic.nonlinearity == x.nonlinearity
    return same and not x.variance_power and statistic.fold in ("", "average")


def statistics_to_add(op: Operation, x: Value, statistics: Sequence[Value]) -> list[Value]:
    """The statistics that x reads after this operation, unless a normalisation follows.

    Statistics over channels alone read no more than x does. A mean that was also divided by the
    deviation and is subtracted from the normalised x belongs to the normalisation.
    """
    added = [value for value in statistics if not _reads_no_more_than(value, x)]
    if x.is_normalized and op.name in ("add", "sub"):
        divided = Fraction(-1, 2)
        added = [v for v in added if not (_is_statistic_of(v, x) and v.variance_power == divided)]
    return added


def _reads_no_more_than(statistic: Value, x: Value) -> bool:
    """Whether a statistic of x is over channels alone and so reads no more than x."""
    return (statistic.base, statistic.rows) == (x.base, x.rows) and statistic.labels == x.labels


def centred(x: Value, mean: Value) -> Value:
    """x with a mean subtracted; this removes x's bias if each channel has its own mean."""
    own = _different_channels(mean.axes) == _different_channels(x.axes)
    return replace(x, subtracted_mean=mean.weights, bias_layer=x.bias_layer if own else None)


def _different_channels(axes: Sequence[Axis]) -> int:
    """The number of channels with their own entries, without copies of a group's statistic."""
    return prod(size for axis in axes for size, label in axis if label == CHANNEL)


def normalized(op: Operation, x: Value, others: Sequence[Value]) -> Value:
    """x divided by a deviation in ``others``: a layer that does not read x's statistics."""
    statistics = x.statistics
    if any(value.is_statistic for value in others):
        statistics = tuple(value for value in statistics if not _is_statistic_of(value, x))
    x = complete(op, replace(x, statistics=statistics))
    running = frozenset().union(x.subtracted_mean or (), *(value.root_of for value in others))
    names = running.union(*(value.weights for value in others))
    op.ledger.unassign(names)
    op.ledger.running_statistics |= running
    shape = shape_of_example(x)
    number = op.add_layer("norm", (), x.map, x.map, shape, shape[-1], names)
    own = any(_different_channels(value.axes) == _different_channels(x.axes) for value in others)
    if x.subtracted_mean is not None and x.bias_layer is not None and own:
        op.ledger.layers[number].cancels = op.ledger.layers[x.bias_layer]
    return replace(x, layer=number, bias_layer=None, subtracted_mean=None, is_normalized=True)
