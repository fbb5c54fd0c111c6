"""The operations that make layers: convolutions, pools, dense layers, reductions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from jaxcnn.geometry.axis_maps import StridedAxis, axis_map_of
from jaxcnn.geometry.feature_map import FeatureMap
from jaxcnn.inspect.tracer import Rule, Tracer, channels_of
from jaxcnn.inspect.values import (
    CHANNEL,
    Axis,
    Value,
    axis_of,
    label_of,
    replaced,
    union,
    unmerged,
)


def convolution(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``conv_general_dilated`` in any layout."""
    x, kernel = values
    params, taken = eqn.params, eqn.params["dimension_numbers"]
    if x.base is None or kernel.base is not None or params["batch_group_count"] != 1:
        return tracer.opaque(eqn, values, products=_products(eqn))
    (_, feature, *dims), (kernel_out, _, *filter_dims) = taken.lhs_spec, taken.rhs_spec
    filters = [kernel.shape[dim] for dim in filter_dims]
    slides = {
        dim: StridedAxis.sliding_window(
            x.shape[dim],
            filters[i],
            stride=params["window_strides"][i],
            padding=params["padding"][i],
            dilation=params["rhs_dilation"][i],
            input_dilation=params["lhs_dilation"][i],
        )
        for i, dim in enumerate(dims)
    }
    groups, channels = params["feature_group_count"], kernel.shape[kernel_out]
    tracer.alike |= x.labels_on(taken.lhs_spec[0])
    x, slides, layout = laid(tracer, eqn, x, slides)
    for label in x.labels_on(feature):
        layout[label] = StridedAxis.reduction(x.sizes[label])
        tracer.summed.add(label)
    reads = x.map.apply(*layout)
    spread = prod(params["lhs_dilation"]) > 1
    depthwise = 1 < groups == x.shape[feature]
    kind = "transposed conv" if spread else "depthwise conv" if depthwise else "conv"
    out = eqn.outvars[0].aval.shape
    number = tracer.write(
        kind,
        eqn,
        tuple(slides.values()),
        x.map,
        reads,
        (*(slide.output for slide in slides.values()), channels),
        x.shape[feature],
        kernel.weights,
        groups=groups,
        multiply_adds=_products(eqn),
    )
    axes: list[Axis] = [()] * len(out)
    for place, (to, dim) in enumerate(zip(taken.out_spec, taken.lhs_spec, strict=True)):
        axes[to] = x.axes[dim] if place == 0 else axis_of(out[to], label_of(x.axes[dim]))
    axes[taken.out_spec[1]] = axis_of(channels, CHANNEL)
    for dim, to in zip(dims, taken.out_spec[2:], strict=True):
        axes[to] = axis_of(out[to], spatial_label(x, dim))
    return [_from_layer(x, tuple(axes), reads, number)]


def _products(eqn: Any) -> int:
    """The products that a convolution sums, those with zeros between its input's cells left out."""
    params, taken = eqn.params, eqn.params["dimension_numbers"]
    x, kernel = (variable.aval.shape for variable in eqn.invars[:2])
    kernel_out, kernel_in, *filter_dims = taken.rhs_spec
    taps = prod(kernel[dim] for dim in filter_dims)
    if prod(params["lhs_dilation"]) > 1:
        return prod(x) * kernel[kernel_out] // params["feature_group_count"] * taps
    return prod(eqn.outvars[0].aval.shape) * kernel[kernel_in] * taps


def spatial_label(x: Value, dim: int) -> int | None:
    """The spatial axis that an axis of an array runs along, if it runs along one."""
    label = label_of(x.axes[dim])
    return label if isinstance(label, int) else None


def window(tracer: Tracer, eqn: Any, values: list[Value], *, kind: str) -> list[Value]:
    """``reduce_window`` and its kin: pools."""
    x, params = values[0], eqn.params
    if x.base is None or any(other.base is not None for other in values[1:]):
        return tracer.opaque(eqn, values)
    slides = {}
    for dim, kernel_size in enumerate(params["window_dimensions"]):
        slide = StridedAxis.sliding_window(
            x.shape[dim],
            kernel_size,
            stride=params["window_strides"][dim],
            padding=params["padding"][dim],
            dilation=params["window_dilation"][dim],
            input_dilation=params["base_dilation"][dim],
        )
        if not _along_channels(x, dim):
            slides[dim] = slide
    laid_on = [dim for dim, slide in slides.items() if slide != StridedAxis(slide.size, slide.size)]
    slides = {
        dim: slide
        for dim, slide in slides.items()
        if dim in laid_on or isinstance(label_of(x.axes[dim]), int)
    }
    if not laid_on:  # windows over channels, as in local response normalisation
        return [replace(x, biased=None, centred=None)]
    if not x.map.sizes:  # all of a generator's image is spatial, also an axis it does not pool
        x = tracer.rooted(x, laid_on)
    x, slides, layout = laid(tracer, eqn, x, slides)
    reads = x.map.apply(*layout)
    axes = x.axes
    for dim, slide in slides.items():
        axes = replaced(axes, dim, axis_of(slide.output, spatial_label(x, dim)))
    result = _from_layer(x, axes, reads, -1)
    number = tracer.write(
        kind,
        eqn,
        tuple(slides.values()),
        x.map,
        reads,
        (*(slide.output for slide in slides.values()), channels_of(result)),
        channels_of(x),
    )
    return [replace(result, layer=number)]


def _along_channels(x: Value, dim: int) -> bool:
    return bool(x.labels) and {label for _, label in x.axes[dim]} == {CHANNEL}


def laid(
    tracer: Tracer, eqn: Any, x: Value, slides: dict[int, StridedAxis]
) -> tuple[Value, dict[int, StridedAxis], list[StridedAxis | None]]:
    """x ready for a layer with these layouts on its axes, the layouts, and those of x's map.

    Padding that comes just before the layer becomes the layer's own.
    """
    for dim in slides:
        labels = x.labels_on(dim)
        x = tracer.along_one(x, eqn, dim)
        if labels and not x.labels_on(dim):
            tracer.windowed |= labels
    x = tracer.rooted(x, list(slides))
    keep: dict[int, StridedAxis] = {}
    for dim, slide in slides.items():
        label = spatial_label(x, dim)
        if label is None:
            continue
        if len(slide.taps) > 1:
            tracer.windowed.add(label)
        rows = x.rows[label]
        before = None if rows is None else axis_map_of(x.map.sizes[label], rows)
        if isinstance(before, StridedAxis) and before.taps == (0,) and before.stride == 1:
            ends = ((before.low, slide.low), (before.high, slide.high))
            # A cell that was cut off must not come back as padding.
            if all(was >= 0 or now <= 0 for was, now in ends):
                keep[label] = before
    x = tracer.settle(x, eqn, tuple(keep))
    for dim, slide in slides.items():
        label = spatial_label(x, dim)
        if label is None or label in keep:
            continue
        size = x.map.sizes[label]
        if size != slide.size:  # the rest of that axis lies along another one
            x = tracer.unsure(x, eqn, f"{eqn.primitive.name} along a part of an axis")
            whole: list[StridedAxis | None] = [None] * len(x.rows)
            whole[label] = StridedAxis(size, slide.size, tuple(range(size)), stride=0)
            x = replace(x, base=x.map.apply(*whole))
    layout: list[StridedAxis | None] = [None] * len(x.rows)
    for dim, slide in slides.items():
        label = spatial_label(x, dim)
        if label in keep:
            before = keep[label]
            slide = replace(
                slide,
                size=before.size,
                low=slide.low + before.low * slide.input_dilation,
                high=slide.high + before.high * slide.input_dilation,
                input_dilation=slide.input_dilation * before.input_dilation,
            )
        slides[dim] = slide
        if label is not None:
            layout[label] = slide
    return x, slides, layout


def dense(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``dot_general``: a dense layer, or a resampling by a known matrix."""
    summed, paired = eqn.params["dimension_numbers"]
    if all(value.base is not None for value in values):
        return product(tracer, eqn, values)
    side = 0 if values[0].base is not None else 1
    x, matrix = values[side], values[1 - side]
    free = [d for d in range(len(x.axes)) if d not in (*summed[side], *paired[side])]
    mixed = (*summed[1 - side], *paired[1 - side])
    new = tuple(axis_of(size, CHANNEL) for d, size in enumerate(matrix.shape) if d not in mixed)
    resampled = None
    if len(summed[side]) == 1 and not paired[side]:
        resampled = _resampled(tracer, x, matrix, summed[side][0], summed[1 - side][0])
    if resampled is not None:
        x, new = resampled, (resampled.axes[summed[side][0]],)
    kept = tuple(x.axes[d] for d in free)
    axes = (*(x.axes[d] for d in paired[side]), *((kept + new) if side == 0 else (new + kept)))
    if resampled is not None:
        return [replace(x, axes=axes)]
    x = tracer.settle(x, eqn)
    gone = x.ended_by(summed[side])
    layout = [
        StridedAxis.reduction(n) if axis in gone else None for axis, n in enumerate(x.map.sizes)
    ]
    reads = x.map.apply(*layout)
    terms = prod(x.shape[d] for d in summed[side])
    result = _from_layer(x, axes, reads, -1)
    number = tracer.write(
        "dense",
        eqn,
        tuple(step for step in layout if step is not None),
        x.map,
        reads,
        tracer.shown(result),
        terms,
        matrix.weights,
        multiply_adds=prod(eqn.outvars[0].aval.shape) * terms,
    )
    return [replace(result, layer=number)]


def product(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``dot_general`` of two arrays that both depend on the input, as in attention."""
    summed, paired = eqn.params["dimension_numbers"]
    sides = []
    for x in values:
        for dim in range(len(x.axes)):
            x = unmerged(x, dim)
        sides.append(tracer.settle(x, eqn))
    free = [
        [d for d in range(len(x.axes)) if d not in (*summed[side], *paired[side])]
        for side, x in enumerate(sides)
    ]
    left, right = (x.labels_on(*dims) for x, dims in zip(sides, free, strict=True))
    axes = len(max((x.map.sizes for x in sides), key=len))
    # An axis on both sides, as of queries and keys, stays on both: each place then reads all of it.
    both = left & right
    matched = all(
        sides[0].labels_on(p) == sides[1].labels_on(q) and not sides[0].labels_on(p) & both
        for p, q in zip(*paired, strict=True)
    )
    maps = []
    for side, x in enumerate(sides):
        gone = x.ended_by(summed[side])
        layout = [
            StridedAxis.reduction(n)
            if a in gone
            else StridedAxis(n, n, tuple(range(n)), 0)
            if a in both
            else None
            for a, n in enumerate(x.map.sizes)
        ]
        maps.append(replace(x, base=x.map.apply(*layout) if any(layout) else x.map))
    joined = tracer.join(maps, eqn)
    laid = (*(sides[0].axes[d] for d in paired[0]), *(sides[0].axes[d] for d in free[0]))
    joined = replace(joined, axes=(*laid, *(sides[1].axes[d] for d in free[1])), biased=None)
    if not matched or axes != len(joined.rows):
        joined = tracer.unsure(joined, eqn, "a product of arrays whose axes do not match")
    terms = prod(sides[0].shape[d] for d in summed[0])
    number = tracer.write(
        "product",
        eqn,
        (),
        joined.map,
        joined.map,
        tracer.shown(joined),
        terms,
        multiply_adds=prod(eqn.outvars[0].aval.shape) * terms,
    )
    return [replace(joined, layer=number)]


def _resampled(tracer: Tracer, x: Value, matrix: Value, dim: int, against: int) -> Value | None:
    """x with an axis resampled by a matrix that is no weight, as image resizing does."""
    label = spatial_label(x, dim)
    numbers = matrix.known.numbers if matrix.known is not None else None
    if label is None or numbers is None or numbers.ndim != 2 or x.folded(label):
        return None
    if x.fold == "resize" and x.rows[label] is not None:
        x = tracer.settle(x, None)
    weights = np.moveaxis(numbers, against, 0)
    before = x.rows_of(label)
    rows = tuple(union(*(before[c] for c in np.flatnonzero(column))) for column in weights.T)
    axes = replaced(x.axes, dim, axis_of(len(rows), label))
    products = x.products + prod(x.shape) * len(rows)
    return x.with_rows({label: rows}, axes=axes, fold="resize", biased=None, products=products)


def reduction(tracer: Tracer, eqn: Any, values: list[Value], *, fold: str) -> list[Value]:
    """``reduce_sum`` and its kin: statistics of a normalisation, or global pools."""
    (x,) = values
    gone = eqn.params["axes"]
    atoms = [atom for dim in gone for atom in x.axes[dim]]
    labels = sorted(x.ended_by(gone))
    if any(x.folded(axis) for axis in labels) and not x.statistic and x.fold:
        x = tracer.settle(x, eqn)
    axes = tuple(axis for dim, axis in enumerate(x.axes) if dim not in gone)
    rows = {label: (union(*x.rows_of(label)),) for label in labels}
    # Places that a reshape has split off an axis are the cells of a pool, not a statistic.
    statistic = x.statistic or bool(labels) or any(label == CHANNEL for _, label in atoms)
    if not all(_covers(x, labels, each) for each in x.owed):
        return reduction(tracer, eqn, [tracer.paid(x, eqn)], fold=fold)
    return [
        x.with_rows(
            rows,
            axes=axes,
            fold=fold if labels or not statistic else x.fold,
            statistic=statistic,
            biased=None,
            centred=None,
            scaled=False,
            owed=(),
        )
        for _ in eqn.outvars
    ]


def _covers(x: Value, labels: Sequence[int], statistic: Value) -> bool:
    """Whether x over all of some axes reads what a statistic of the same map does."""
    return statistic.base is x.base and all(
        statistic.rows_of(axis) == x.rows_of(axis)
        or (axis in labels and set(union(*statistic.rows_of(axis))) <= set(union(*x.rows_of(axis))))
        for axis in range(len(x.rows))
    )


def collective(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """A sum over an axis that vmap has named, as Equinox's batch normalisation takes it."""
    if len(values) != 1 or not all(isinstance(axis, int) for axis in eqn.params["axes"]):
        return tracer.opaque(eqn, values)
    return reduction(tracer, eqn, values, fold="average")


def _from_layer(x: Value, axes: tuple, reads: FeatureMap, number: int) -> Value:
    return Value(axes, reads, (None,) * len(reads.sizes), layer=number)


RULES: dict[str, Rule] = {
    "conv_general_dilated": convolution,
    "jaxcnn_conv": convolution,
    "dot_general": dense,
    "reduce_window": partial(window, kind="pool"),
    "reduce_window_max": partial(window, kind="max pool"),
    "reduce_window_min": partial(window, kind="min pool"),
    "reduce_window_sum": partial(window, kind="average pool"),
    "psum": collective,
    "jaxcnn_window_max": partial(window, kind="max pool"),
    "jaxcnn_window_min": partial(window, kind="min pool"),
    "jaxcnn_window_sum": partial(window, kind="average pool"),
    "reduce_sum": partial(reduction, fold="average"),
    "reduce_max": partial(reduction, fold="max"),
    "reduce_min": partial(reduction, fold="min"),
    "reduce_prod": partial(reduction, fold="product"),
    "reduce_and": partial(reduction, fold="min"),
    "reduce_or": partial(reduction, fold="max"),
    "argmax": partial(reduction, fold="max"),
    "argmin": partial(reduction, fold="min"),
}
