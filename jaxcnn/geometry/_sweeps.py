"""Walks through a graph of feature maps with an array at each map: the maps that ``FeatureMap`` gives.

Apart from ``reads`` because it imports NumPy, which everything else in the geometry does without.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from jaxcnn.geometry.axis_maps import AxisMap, StridedAxis

if TYPE_CHECKING:
    from jaxcnn.geometry.feature_map import FeatureMap


def counts(top: FeatureMap, output: tuple[int, ...]) -> np.ndarray:
    """Paths from one output to each cell of the input."""
    start = np.zeros(top.sizes, _exact(top))
    start[output] = 1
    return _back(top, start)


def read(top: FeatureMap) -> np.ndarray:
    """Whether any output reads each cell of the input."""
    return _back(top, np.ones(top.sizes, bool))


def unread(top: FeatureMap) -> tuple[tuple[int, ...], ...]:
    """On each axis, the places at which no cell is read."""
    cells = read(top)
    axes = range(cells.ndim)
    lines = [cells.any(axis=tuple(other for other in axes if other != axis)) for axis in axes]
    return tuple(tuple(np.flatnonzero(~line).tolist()) for line in lines)


def padding_shares(top: FeatureMap) -> dict[FeatureMap, np.ndarray]:
    """For each map up to ``top``, each output's share of paths that end in padding."""
    real: dict[FeatureMap, np.ndarray] = {}
    total: dict[FeatureMap, np.ndarray] = {}  # one period of what a map without borders would hold
    shares: dict[FeatureMap, np.ndarray] = {}
    # Only ratios are wanted: beyond 64 bits the rounding of doubles, all positive, will do.
    dtype = np.int64 if _exact(top) is np.int64 else np.float64
    for m in top.order:
        if m.sources:
            real[m] = reduce(np.add, (_within(real[p], steps) for p, steps in m.sources))
            beyond = (_beyond(total[p], steps, p, m) for p, steps in m.sources)
            total[m] = reduce(np.add, beyond)
        else:
            real[m], total[m] = np.ones(m.sizes, dtype), np.ones(m.periods, dtype)
        paths = total[m]
        for axis, size in enumerate(m.sizes):
            paths = np.take(paths, np.arange(size) % m.periods[axis], axis)
        shares[m] = 1 - np.where(paths == 0, 1, real[m]) / np.maximum(paths, 1)
    return shares


def _exact(top: FeatureMap) -> type:
    """A dtype in which no number of paths is rounded."""
    return np.int64 if top.most_paths < 2**62 else object


def _back(top: FeatureMap, start: np.ndarray) -> np.ndarray:
    at = {top: start}
    for m in reversed(top.order):
        here = at.pop(m)
        if not m.sources:
            return here
        for parent, steps in m.sources:
            back = here
            for axis, step in enumerate(steps):
                back = back if step is None else _pulled(back, step, axis)
            at[parent] = at[parent] + back if parent in at else back
    raise AssertionError("a graph has an input")


def _within(values: np.ndarray, steps: tuple[AxisMap | None, ...]) -> np.ndarray:
    """What the outputs get of the cells that are there."""
    for axis, step in enumerate(steps):
        if step is not None:
            inside = [_inside(step, *link) for link in _links(step, range(step.output))]
            values = _pushed(values, inside, axis, step.output)
    return values


def _beyond(
    values: np.ndarray, steps: tuple[AxisMap | None, ...], parent: FeatureMap, m: FeatureMap
) -> np.ndarray:
    """One period of what the outputs get where the pattern of cells goes on for ever."""
    for axis, step in enumerate(steps):
        period, before = m.periods[axis], parent.periods[axis]
        if step is None:
            values = np.take(values, np.arange(period) % before, axis)
        else:
            links = [(outs, cells % before) for outs, cells in _links(step, range(period))]
            values = _pushed(values, links, axis, period)
    return values


def _pulled(values: np.ndarray, step: AxisMap, axis: int) -> np.ndarray:
    values = np.moveaxis(values, axis, 0)
    back = np.zeros((step.size, *values.shape[1:]), values.dtype)
    # Unbuffered, for two outputs may read one cell by the same tap.
    accumulate = np.logical_or.at if back.dtype == bool else np.add.at
    for link in _links(step, range(step.output)):
        outputs, cells = _inside(step, *link)
        accumulate(back, cells, values[outputs])
    return np.moveaxis(back, 0, axis)


def _pushed(
    values: np.ndarray, links: list[tuple[np.ndarray, np.ndarray]], axis: int, size: int
) -> np.ndarray:
    values = np.moveaxis(values, axis, 0)
    out = np.zeros((size, *values.shape[1:]), values.dtype)
    for outputs, cells in links:
        out[outputs] += values[cells]
    return np.moveaxis(out, 0, axis)


def _inside(step: AxisMap, outputs: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    inside = (cells >= 0) & (cells < step.size)
    return outputs[inside], cells[inside]


def _links(step: AxisMap, places: range) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of output and cell, in parts in which an output comes at most once."""
    if not isinstance(step, StridedAxis):
        rows = [(o, step.cells(o)) for o in places]
        for place in range(step.width):
            pairs = [(o, row[place]) for o, row in rows if place < len(row)]
            outputs, cells = np.array(pairs, int).reshape(-1, 2).T
            yield outputs, cells
        return
    outputs = np.array(places)
    for tap in step.taps:
        spread = outputs * step.stride + tap - step.low
        whole = spread % step.up == 0
        yield outputs[whole], spread[whole] // step.up
