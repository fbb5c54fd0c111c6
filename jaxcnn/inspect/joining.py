"""Joins values: branches that meet, axes that must match, and unknown outputs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jaxcnn.geometry.axis_maps import StridedAxis
from jaxcnn.geometry.feature_map import FeatureMap
from jaxcnn.inspect.materialize import apply_along, materialize, read_everywhere
from jaxcnn.inspect.rows import has_repeats, union
from jaxcnn.inspect.values import Value, as_upsampling, channel_axes, replace_axis, shape_of_example

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.inspect.operation import Operation


def absorb_statistics(op: Operation, value: Value) -> Value:
    """``value``, which now also reads what its combined statistics read."""
    if not value.statistics:
        return value
    joined = join(op, [replace(value, statistics=()), *value.statistics])
    return replace(joined, bias_layer=None)


def complete(op: Operation, value: Value) -> Value:
    """``value`` with its statistics absorbed and its rows materialized."""
    return materialize(op, absorb_statistics(op, value))


def mark_unknown(op: Operation, value: Value, reason: str) -> Value:
    """``value`` with a map whose receptive field is unknown for this reason."""
    value = complete(op, value)
    base = FeatureMap.merge(value.map)
    op.ledger.unknown_maps[base] = reason
    return replace(value, base=base, bias_layer=None, subtracted_mean=None)


def unknown_outputs(
    op: Operation, values: Sequence[Value] | None = None, *, multiply_adds: int | None = 0
) -> list[Value]:
    """The outputs of an unsupported operation, whose receptive fields are unknown.

    Args:
      op: the operation. It is a layer if it sums products, or may sum them.
      values: its inputs, if they have changed.
      multiply_adds: the number of products that it sums; None if not known.
    """
    values = op.values if values is None else values
    inputs = [complete(op, value) for value in values if not value.is_constant]
    axes = max(len(value.map.sizes) for value in inputs)
    maps = {v.map: None for v in inputs if len(v.map.sizes) == axes}
    base = FeatureMap.merge(*(m.apply(*map(StridedAxis.reduction, m.sizes)) for m in maps))
    reason = f"{op.name}{op.place} is not supported"
    op.ledger.unknown_maps[base] = reason
    layer = max(value.layer for value in inputs)
    if multiply_adds != 0:
        first = Value(channel_axes(op.shape), base, (None,) * axes)
        shape = shape_of_example(first)
        layer = op.add_layer(op.name, (), base, base, shape, 0, multiply_adds=multiply_adds)
    outputs = []
    for variable in op.eqn.outvars:
        shape = variable.aval.shape
        like = next((v for v in inputs if v.shape == shape and v.labels), None)
        if like is not None:  # its axes are likely the same, for the layers that follow
            outputs.append(replace(mark_unknown(op, like, reason), layer=layer))
        else:
            outputs.append(Value(channel_axes(shape), base, (None,) * axes, layer=layer))
    return outputs


def single_spatial_axis(op: Operation, value: Value, dim: int) -> Value:
    """``value`` with axis ``dim`` running along one spatial axis at most.

    If the axis merges a whole spatial axis with parts of another, such as channels after pixel
    unshuffling, the result keeps the whole one, which then repeats cells. If it merges several
    whole ones, the receptive field is unknown.
    """
    labels = value.labels_on(dim)
    if len(labels) > 1:
        divided = {n for n in labels if value.reads_several(n) or value.map.jumps[n] > 1}
        parts = divided - op.spatial.windowed
        if len(labels - parts) != 1:
            parts = labels
            reason = f"{op.name} along an axis that merges several spatial axes"
            value = mark_unknown(op, value, reason)
        rows = {label: (union(*value.rows_of(label)),) for label in parts}
        axis = tuple((n, None if label in parts else label) for n, label in value.axes[dim])
        value = value.with_rows(rows, axes=replace_axis(value.axes, dim, axis))
    return as_upsampling(value, dim)


def movable_axis(op: Operation, value: Value, dim: int) -> Value:
    """``value`` prepared for a change of rows on axis ``dim``: pools and repetitions are layers."""
    value = single_spatial_axis(op, value, dim)
    label = value.spatial_label(dim)
    if label is not None and (value.reads_several(label) or has_repeats(value.rows_of(label))):
        value = materialize(op, value)
    return value


def align_axes(op: Operation, values: list[Value]) -> list[Value]:
    """The values, each with a single spatial axis on every axis where one of them has one."""
    if len({len(value.axes) for value in values}) > 1:
        return values
    for dim in range(len(values[0].axes)):
        if any(value.spatial_label(dim) is not None for value in values):
            values = [single_spatial_axis(op, value, dim) for value in values]
    return values


def join(op: Operation, values: Sequence[Value]) -> Value:
    """The value of branches that meet: a place reads what it reads in any branch."""
    most = max(len(v.rows) for v in values)  # others come before a generator's first map
    values = [value for value in values if len(value.rows) == most]
    values = [materialize(op, value) for value in align_axes(op, values)]
    bases = (value.map.sizes for value in values)
    sizes = tuple(max(each) for each in zip(*bases, strict=True))
    maps = {}
    for value in values:
        stretched = [
            None if size == full else read_everywhere(size, full)
            for size, full in zip(value.map.sizes, sizes, strict=True)
        ]
        maps[value.map] = value.map.apply(*stretched) if any(stretched) else value.map
    base = FeatureMap.merge(*maps.values()) if len(maps) > 1 else next(iter(maps.values()))
    layer = max(value.layer for value in values)
    bias_layer = next((v.bias_layer for v in values if v.bias_layer is not None), None)
    return Value(values[0].axes, base, (None,) * len(sizes), layer=layer, bias_layer=bias_layer)


def match_axes(op: Operation, values: list[Value]) -> list[Value]:
    """The values, marked unknown if a spatial axis is not the same axis in all of them.

    A value with a single place on a spatial axis matches any other. If one value has a spatial
    axis twice, such as a product of queries and keys, the others read all of it at every place.
    """
    rank = max(len(value.axes) for value in values)
    for label in frozenset().union(*(value.labels for value in values)):
        dims = {value: _dims_of(value, label, rank) for value in values}
        twice = {value.base for value in values if len(dims[value]) > 1}
        rest = [value for value in values if value.base not in twice]
        if twice and rest:
            values = [v if v.base in twice else _reading_all(op, v, label) for v in values]
        elif not twice and len({dims[v] for v in rest if dims[v] or v.sizes[label] > 1}) > 1:
            reason = f"{op.name} of arrays whose spatial axes are in different orders"
            return [mark_unknown(op, value, reason) for value in values]
    return values


def _dims_of(value: Value, label: int, rank: int) -> tuple[int, ...]:
    dims = (dim for dim in range(len(value.axes)) if label in value.labels_on(dim))
    return tuple(dim - len(value.axes) + rank for dim in dims)


def _reading_all(op: Operation, value: Value, label: int) -> Value:
    """The value, with every place reading the whole spatial axis."""
    value = materialize(op, value)
    size = value.map.sizes[label]
    return replace(value, base=apply_along(value, {label: read_everywhere(size, size)}))
