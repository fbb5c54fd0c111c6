"""Reductions over axes: statistics of a normalisation, or global pools."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from jaxcnn.inspect.joining import absorb_statistics, unknown_outputs
from jaxcnn.inspect.materialize import materialize
from jaxcnn.inspect.rows import union
from jaxcnn.inspect.values import CHANNEL, Value

if TYPE_CHECKING:
    from collections.abc import Collection

    from jaxcnn.inspect.operation import Handler, Operation


def reduction(op: Operation, *, fold: str) -> list[Value]:
    """``reduce_sum``, ``reduce_max`` and similar."""
    return [_reduced(op, op.values[0], fold)] * len(op.eqn.outvars)


def psum(op: Operation) -> list[Value]:
    """``psum``: a sum over an axis that ``vmap`` names, as in Equinox's batch normalisation."""
    if len(op.values) != 1 or not all(isinstance(axis, int) for axis in op.params["axes"]):
        return unknown_outputs(op)
    return reduction(op, fold="average")


def _reduced(op: Operation, x: Value, fold: str) -> Value:
    dims = op.params["axes"]
    atoms = [atom for dim in dims for atom in x.axes[dim]]
    labels = sorted(x.labels_only_on(dims))
    if any(x.reads_several(axis) for axis in labels) and not x.is_statistic and x.fold:
        x = materialize(op, x)
    if not all(_covers(x, labels, statistic) for statistic in x.statistics):
        return _reduced(op, absorb_statistics(op, x), fold)
    axes = tuple(axis for dim, axis in enumerate(x.axes) if dim not in dims)
    rows = {label: (union(*x.rows_of(label)),) for label in labels}
    # A reduction over places that a reshape split from an axis is a pool, not a statistic.
    has_channels = any(label == CHANNEL for _, label in atoms)
    is_statistic = x.is_statistic or bool(labels) or has_channels
    return x.with_rows(
        rows,
        axes=axes,
        fold=fold if labels or not is_statistic else x.fold,
        is_statistic=is_statistic,
        bias_layer=None,
        subtracted_mean=None,
        is_normalized=False,
        statistics=(),
    )


def _covers(x: Value, labels: Collection[int], statistic: Value) -> bool:
    """Whether x, reduced over these spatial axes, reads what a statistic of its map reads."""
    return statistic.base is x.base and all(
        statistic.rows_of(axis) == x.rows_of(axis)
        or (axis in labels and set(union(*statistic.rows_of(axis))) <= set(union(*x.rows_of(axis))))
        for axis in range(len(x.rows))
    )


HANDLERS: dict[str, Handler] = {
    "psum": psum,
    "reduce_sum": partial(reduction, fold="average"),
    "reduce_max": partial(reduction, fold="max"),
    "reduce_min": partial(reduction, fold="min"),
    "reduce_prod": partial(reduction, fold="product"),
    "reduce_and": partial(reduction, fold="min"),
    "reduce_or": partial(reduction, fold="max"),
    "argmax": partial(reduction, fold="max"),
    "argmin": partial(reduction, fold="min"),
}
