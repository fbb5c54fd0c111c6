"""Counts of paths through a graph of feature maps, with one array for each map.

The methods of :class:`~jaxcnn.geometry.feature_map.FeatureMap` that return arrays call these
functions. This is a separate file because the rest of the geometry does not import NumPy.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from jaxcnn.geometry.axis_maps import AxisMap, StridedAxis

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jaxcnn.geometry.feature_map import FeatureMap


def counts(top: FeatureMap, output: tuple[int, ...]) -> np.ndarray:
    """Paths from one output to each cell of the input."""
    start = np.zeros(top.sizes, _count_dtype(top))
    start[output] = 1
    return _to_input(top, start)


def read(top: FeatureMap) -> np.ndarray:
    """Whether any output reads each cell of the input."""
    return _to_input(top, np.ones(top.sizes, bool))


def unread(top: FeatureMap) -> tuple[tuple[int, ...], ...]:
    """On each axis, the positions where no cell is read."""
    cells = read(top)
    axes = range(cells.ndim)
    lines = [cells.any(axis=tuple(other for other in axes if other != axis)) for axis in axes]
    return tuple(tuple(np.flatnonzero(~line).tolist()) for line in lines)


def padding_shares(top: FeatureMap) -> dict[FeatureMap, np.ndarray]:
    """For each map up to ``top``, each output's share of paths that end in padding."""
    real: dict[FeatureMap, np.ndarray] = {}
    total: dict[FeatureMap, np.ndarray] = {}  # for one period of the same map without borders
    shares: dict[FeatureMap, np.ndarray] = {}
    # Only ratios matter, so doubles are precise enough for counts that exceed 64 bits.
    dtype = np.int64 if _count_dtype(top) is np.int64 else np.float64
    for m in top.order:
        if m.sources:
            real[m] = reduce(np.add, (_real_sums(real[p], steps) for p, steps in m.sources))
            totals = (_periodic_sums(total[p], steps, p, m) for p, steps in m.sources)
            total[m] = reduce(np.add, totals)
        else:
            real[m], total[m] = np.ones(m.sizes, dtype), np.ones(m.periods, dtype)
        paths = total[m]
        for axis, size in enumerate(m.sizes):
            paths = np.take(paths, np.arange(size) % m.periods[axis], axis)
        shares[m] = 1 - np.where(paths == 0, 1, real[m]) / np.maximum(paths, 1)
    return shares


def _count_dtype(top: FeatureMap) -> type:
    """A dtype that holds every number of paths exactly."""
    return np.int64 if top.most_paths < 2**62 else object


def _to_input(top: FeatureMap, start: np.ndarray) -> np.ndarray:
    """The values ``start`` at the outputs of ``top``, summed over all paths back to the input."""
    at = {top: start}
    for m in reversed(top.order):
        here = at.pop(m)
        if not m.sources:
            return here
        for parent, steps in m.sources:
            back = here
            for axis, step in enumerate(steps):
                back = back if step is None else _to_cells(back, step, axis)
            at[parent] = at[parent] + back if parent in at else back
    raise AssertionError("a graph has an input")


def _real_sums(values: np.ndarray, steps: tuple[AxisMap | None, ...]) -> np.ndarray:
    """For each output, the sum of the values of the input's cells that it reads."""
    for axis, step in enumerate(steps):
        if step is not None:
            links = (_inside(step, *link) for link in _links(step, range(step.output)))
            values = _to_outputs(values, links, axis, step.output)
    return values


def _periodic_sums(
    values: np.ndarray, steps: tuple[AxisMap | None, ...], parent: FeatureMap, m: FeatureMap
) -> np.ndarray:
    """One period of the sums over a map without borders, whose input repeats ``values``."""
    for axis, step in enumerate(steps):
        period, before = m.periods[axis], parent.periods[axis]
        if step is None:
            values = np.take(values, np.arange(period) % before, axis)
        else:
            links = ((outs, cells % before) for outs, cells in _links(step, range(period)))
            values = _to_outputs(values, links, axis, period)
    return values


def _to_cells(values: np.ndarray, step: AxisMap, axis: int) -> np.ndarray:
    """For each cell, the sum (for bools, the or) of the values of the outputs that read it."""
    values = np.moveaxis(values, axis, 0)
    back = np.zeros((step.size, *values.shape[1:]), values.dtype)
    # ufunc.at is unbuffered: two outputs may read the same cell with the same tap.
    accumulate = np.logical_or.at if back.dtype == bool else np.add.at
    for link in _links(step, range(step.output)):
        outputs, cells = _inside(step, *link)
        accumulate(back, cells, values[outputs])
    return np.moveaxis(back, 0, axis)


def _to_outputs(
    values: np.ndarray, links: Iterable[tuple[np.ndarray, np.ndarray]], axis: int, size: int
) -> np.ndarray:
    """For each of ``size`` outputs, the sum of the values of its linked cells."""
    values = np.moveaxis(values, axis, 0)
    out = np.zeros((size, *values.shape[1:]), values.dtype)
    for outputs, cells in links:
        out[outputs] += values[cells]
    return np.moveaxis(out, 0, axis)


def _inside(step: AxisMap, outputs: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The links to cells of the input, without those to padding."""
    inside = (cells >= 0) & (cells < step.size)
    return outputs[inside], cells[inside]


def _links(step: AxisMap, outputs: range) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs (output, cell it reads), in groups that contain each output at most once."""
    if not isinstance(step, StridedAxis):
        rows = [(o, step.cells(o)) for o in outputs]
        for nth in range(step.most_cells):
            pairs = [(o, row[nth]) for o, row in rows if nth < len(row)]
            some, cells = np.array(pairs, int).reshape(-1, 2).T
            yield some, cells
        return
    every = np.array(outputs)
    for tap in step.taps:
        dilated = every * step.stride + tap - step.low
        whole = dilated % step.input_dilation == 0
        yield every[whole], dilated[whole] // step.input_dilation
