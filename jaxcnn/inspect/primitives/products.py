"""``dot_general``: dense layers, products of two maps (attention), resizing by a matrix."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from jaxcnn.geometry.axis_maps import StridedAxis
from jaxcnn.inspect.joining import join, mark_unknown
from jaxcnn.inspect.materialize import apply_along, materialize, read_everywhere
from jaxcnn.inspect.rows import union
from jaxcnn.inspect.values import CHANNEL, Value, as_upsampling, axis_of, shape_of_example

if TYPE_CHECKING:
    from jaxcnn.inspect.operation import Handler, Operation


def dot_general(op: Operation) -> list[Value]:
    """``dot_general``."""
    if not any(value.is_constant for value in op.values):
        return [_product(op)]
    side = 1 if op.values[0].is_constant else 0
    return [_resized(op, side) or _dense(op, side)]


def _resized(op: Operation, side: int) -> Value | None:
    """The input resized along an axis by a known matrix; None if the product does not do this."""
    summed, batched = op.params["dimension_numbers"]
    x, matrix = op.values[side], op.values[1 - side]
    if len(summed[side]) != 1 or batched[side]:
        return None
    (dim,), (against,) = summed[side], summed[1 - side]
    label, numbers = x.spatial_label(dim), matrix.numbers
    if label is None or numbers is None or numbers.ndim != 2 or x.reads_several(label):
        return None
    if x.fold == "resize" and x.rows[label] is not None:
        x = materialize(op, x)
    weights = np.moveaxis(numbers, against, 0)
    before = x.rows_of(label)
    rows = tuple(union(*(before[c] for c in np.flatnonzero(column))) for column in weights.T)
    new = axis_of(len(rows), label)
    kept = tuple(axis for d, axis in enumerate(x.axes) if d != dim)
    return x.with_rows(
        {label: rows},
        axes=(*kept, new) if side == 0 else (new, *kept),
        fold="resize",
        bias_layer=None,
        multiply_adds=x.multiply_adds + prod(x.shape) * len(rows),
    )


def _dense(op: Operation, side: int) -> Value:
    """The output of a dense layer, whose weights are the other side of the product."""
    summed, batched = op.params["dimension_numbers"]
    x, matrix = op.values[side], op.values[1 - side]
    used = (*summed[1 - side], *batched[1 - side])
    new = tuple(axis_of(size, CHANNEL) for d, size in enumerate(matrix.shape) if d not in used)
    free = [d for d in range(len(x.axes)) if d not in (*summed[side], *batched[side])]
    kept = tuple(x.axes[d] for d in free)
    axes = (*(x.axes[d] for d in batched[side]), *((*kept, *new) if side == 0 else (*new, *kept)))
    x = materialize(op, x)
    sizes = x.map.sizes
    along = {
        axis: StridedAxis.reduction(sizes[axis]) for axis in sorted(x.labels_only_on(summed[side]))
    }
    output_map = apply_along(x, along)
    terms = prod(x.shape[d] for d in summed[side])
    result = Value(axes, output_map, (None,) * len(output_map.sizes))
    number = op.add_layer(
        "dense",
        tuple(along.values()),
        x.map,
        output_map,
        shape_of_example(result),
        terms,
        matrix.weights,
        multiply_adds=prod(op.shape) * terms,
    )
    return replace(result, layer=number)


def _product(op: Operation) -> Value:
    """The product of two arrays that both depend on the input, as in attention."""
    summed, batched = op.params["dimension_numbers"]
    sides = []
    for x in op.values:
        for dim in range(len(x.axes)):
            x = as_upsampling(x, dim)
        sides.append(materialize(op, x))
    left, right = sides
    free = [
        [d for d in range(len(x.axes)) if d not in (*summed[side], *batched[side])]
        for side, x in enumerate(sides)
    ]
    # A spatial axis on both sides (queries and keys) stays on both: each place of the product then
    # reads all of it.
    both = left.labels_on(*free[0]) & right.labels_on(*free[1])
    matched = all(
        left.labels_on(p) == right.labels_on(q) and not left.labels_on(p) & both
        for p, q in zip(*batched, strict=True)
    )
    summed_up = []
    for side, x in enumerate(sides):
        sizes = x.map.sizes
        along = {axis: read_everywhere(sizes[axis], sizes[axis]) for axis in both}
        along |= {
            axis: StridedAxis.reduction(sizes[axis]) for axis in x.labels_only_on(summed[side])
        }
        summed_up.append(replace(x, base=apply_along(x, along)) if along else x)
    joined = join(op, summed_up)
    axes = [left.axes[d] for d in (*batched[0], *free[0])]
    joined = replace(joined, axes=(*axes, *(right.axes[d] for d in free[1])), bias_layer=None)
    spatial = max(len(x.map.sizes) for x in sides)
    if not matched or spatial != len(joined.rows):
        joined = mark_unknown(op, joined, "a product of arrays whose axes do not match")
    terms = prod(left.shape[d] for d in summed[0])
    number = op.add_layer(
        "product",
        (),
        joined.map,
        joined.map,
        shape_of_example(joined),
        terms,
        multiply_adds=prod(op.shape) * terms,
    )
    return replace(joined, layer=number)


HANDLERS: dict[str, Handler] = {"dot_general": dot_general}
