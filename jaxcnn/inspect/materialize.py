"""Materializes a value: its rows become a feature map and, if they form one, a layer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jaxcnn.geometry.axis_maps import AxisMap, StridedAxis, axis_map_of
from jaxcnn.geometry.feature_map import FeatureMap
from jaxcnn.inspect.values import Value, channels_of, shape_of_example

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.inspect.operation import Operation


def materialize(op: Operation, value: Value, keep: Sequence[int] = ()) -> Value:
    """``value`` with its rows applied to its map; rows that form a layer are added as one.

    Rows of the spatial axes in ``keep`` do not change.
    """
    kept = tuple(rows if axis in keep else None for axis, rows in enumerate(value.rows))
    rows = tuple(None if axis in keep else rows for axis, rows in enumerate(value.rows))
    if not any(rows):
        return value
    known = op.ledger.layers_of_rows
    key = (value.base, rows, value.fold, value.slices if value.is_partial_window else None)
    if key not in known:
        known[key] = _map_and_layer(op, value, rows)
    base, layer = known[key]
    changed = replace(
        value,
        base=base,
        rows=kept,
        fold="",
        slices=frozenset(),
        layer=layer,
        is_statistic=False,
        multiply_adds=0,
    )
    return (
        changed if layer == value.layer else replace(changed, bias_layer=None, subtracted_mean=None)
    )


def _map_and_layer(
    op: Operation, value: Value, rows: tuple[tuple[tuple[int, ...], ...] | None, ...]
) -> tuple[FeatureMap, int]:
    """The map that rows produce from a value's map, and the number of their layer."""
    sizes = zip(value.map.sizes, rows, strict=True)
    axis_maps = [None if row is None else axis_map_of(size, row) for size, row in sizes]
    made = _map_of_rows(value, axis_maps)
    kind = _layer_kind(axis_maps, value.fold)
    if not kind:
        return made, value.layer
    if value.fold and "global" not in kind:
        pooled = [axis for axis, m in enumerate(axis_maps) if m is not None and _pools(m)]
        op.spatial.pooled.update(value.leading_labels.intersection(pooled))
    layer = op.add_layer(
        kind,
        tuple(
            StridedAxis(size, size) if axis_map is None else axis_map
            for size, axis_map in zip(value.map.sizes, axis_maps, strict=True)
        ),
        value.map,
        made,
        shape_of_example(value),
        channels_of(value),
        multiply_adds=value.multiply_adds,
    )
    return made, layer


def _map_of_rows(value: Value, axis_maps: Sequence[AxisMap | None]) -> FeatureMap:
    """The map that a value's rows produce; a partial window is the sum of its slices."""
    if not value.is_partial_window:
        return value.map.apply(*axis_maps)
    sizes = value.map.sizes
    slices = [
        value.map.apply(*(axis_map_of(*each) for each in zip(sizes, rows, strict=True)))
        for rows in sorted(value.slices)
    ]
    return FeatureMap.merge(*slices)


def _layer_kind(axis_maps: Sequence[AxisMap | None], fold: str) -> str:
    """The kind of layer that rows form; empty if they only pad, crop or move cells."""
    changed = [axis_map for axis_map in axis_maps if axis_map is not None]
    strided = [axis_map for axis_map in changed if isinstance(axis_map, StridedAxis)]
    if fold == "resize":
        return "resize"
    if fold and len(strided) == len(changed):
        if all(each.output == 1 and len(each.taps) == each.size for each in strided):
            return f"global {fold} pool"
        if any(len(each.taps) > 1 for each in strided):
            return f"{fold} pool"
    if any(each.output > each.size and each.jump not in (0, 1) for each in changed):
        return "resize"
    if any(each.stride > 1 for each in strided):
        return "patches" if any(len(each.taps) > 1 for each in strided) else "slice"
    return ""


def _pools(axis_map: AxisMap) -> bool:
    """Whether each output reads some of the cells; a reduction over channels reads all of them."""
    whole = all(len(axis_map.cells(o)) == axis_map.size for o in range(axis_map.output))
    return (axis_map.most_cells > 1 or axis_map.jump > 1) and not whole


def read_everywhere(size: int, outputs: int) -> StridedAxis:
    """The axis map whose outputs all read every cell."""
    return StridedAxis(size, outputs, tuple(range(size)), stride=0)


def apply_along(value: Value, changed: dict[int, StridedAxis]) -> FeatureMap:
    """The map of a value with axis maps applied to some spatial axes."""
    return value.map.apply(*(changed.get(axis) for axis in range(len(value.rows))))
