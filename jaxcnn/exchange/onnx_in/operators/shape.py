"""Shapes and the arrangement of cells."""

from __future__ import annotations

from itertools import accumulate, pairwise
from math import prod
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from jaxcnn.errors import InputError
from jaxcnn.exchange.onnx_in.node import Operator, plain
from jaxcnn.exchange.onnx_in.values import (
    Maps,
    channels_last,
    integers,
    layout_of,
    namespace,
    sizes_array,
    with_rank,
)
from jaxcnn.ops import pixel_shuffle, pixel_unshuffle

if TYPE_CHECKING:
    import jax
    import numpy as np

    from jaxcnn.exchange.onnx_in.node import Node
    from jaxcnn.exchange.onnx_in.values import Array, Value

_END = 2**31 - 1
"""From this number on, the end of a slice means the end of the axis."""


def _shape(node: Node, x: Value) -> np.ndarray:
    array, axis_of, _ = layout_of(x)
    sizes = [array.shape[axis_of(axis)] for axis in range(array.ndim)]
    return sizes_array(tuple(sizes[node.get("start", 0) : node.get("end", _END)]))


def _reshape(node: Node, x: Array, target: np.ndarray | None = None) -> Array:
    sizes = node.get("shape") if target is None else integers(target) if target.size else ()
    if not node.get("allowzero", 0):
        sizes = [x.shape[i] if wanted == 0 else wanted for i, wanted in enumerate(sizes)]
    return x.reshape(tuple(sizes))


def _flatten(node: Node, x: Array) -> Array:
    axis = node.get("axis", 1)
    axis += x.ndim if axis < 0 else 0
    return x.reshape(prod(x.shape[:axis]), prod(x.shape[axis:]))


def _transpose(node: Node, x: Array) -> Array:
    return x.transpose(node.get("perm"))


def _axes(node: Node, axes: np.ndarray | None, rank: int) -> tuple[int, ...] | None:
    """The axes, an attribute before opset 13; None if the node gives none."""
    given = node.get("axes") if axes is None else integers(axes)
    return None if given is None else tuple(axis % rank for axis in given)


def _squeeze(node: Node, x: Array, axes: np.ndarray | None = None) -> Array:
    return x.squeeze(_axes(node, axes, x.ndim))


def _unsqueeze(node: Node, x: Array, axes: np.ndarray | None = None) -> Array:
    count = len(node.get("axes") if axes is None else integers(axes))
    return namespace(x).expand_dims(x, _axes(node, axes, x.ndim + count) or ())


def _expand(x: Array, target: np.ndarray) -> Array:
    wanted = integers(target) if target.size else ()
    rank = max(x.ndim, len(wanted))
    x = with_rank(x, rank)
    wanted = (1,) * (rank - len(wanted)) + wanted
    sizes = [new if old == 1 else old for old, new in zip(x.shape, wanted, strict=True)]
    return namespace(x).broadcast_to(x, tuple(sizes))


def _concat(node: Node, *values: Value) -> Value:
    if any(isinstance(value, Maps) for value in values):
        values = tuple(Maps(channels_last(value)) for value in values)
    arrays = [layout_of(value)[0] for value in values]
    _, axis_of, back = layout_of(values[0])
    return back(namespace(*arrays).concatenate(arrays, axis_of(node.get("axis"))))


def _split(node: Node, x: Value, parts: np.ndarray | None = None) -> list[Any]:
    array, axis_of, back = layout_of(x)
    axis = axis_of(node.get("axis", 0))
    length, count = array.shape[axis], len(node.outputs)
    if parts is not None or node.get("split") is not None:
        sizes = node.get("split") if parts is None else integers(parts)
    else:  # equal parts, of which the last may be smaller
        each = -(-length // count)
        sizes = [each] * (count - 1) + [length - each * (count - 1)]
    if sum(sizes) != length:
        raise InputError(f"parts of {', '.join(map(str, sizes))} do not add up to {length}")
    ends = [0, *accumulate(sizes)]
    before = (slice(None),) * axis
    return [back(array[(*before, slice(start, end))]) for start, end in pairwise(ends)]


def _slice(
    node: Node,
    x: Value,
    starts: np.ndarray | None = None,
    ends: np.ndarray | None = None,
    axes: np.ndarray | None = None,
    steps: np.ndarray | None = None,
) -> Value:
    array, axis_of, back = layout_of(x)
    first = node.get("starts") if starts is None else integers(starts)
    last = node.get("ends") if ends is None else integers(ends)
    where = node.get("axes") if axes is None else integers(axes)
    jumps = (1,) * len(first) if steps is None else integers(steps)
    cut = [slice(None)] * array.ndim
    for axis, start, end, step in zip(
        range(len(first)) if where is None else where, first, last, jumps, strict=True
    ):
        # ONNX Runtime reads the largest end as the last cell on the way, in both directions.
        whole = isinstance(end, int) and (end >= _END or (step < 0 and end <= -_END))
        axis = axis_of(axis)
        if step < 0:  # unlike Python, ONNX begins at the first cell if start lies before it
            start = max(start, -array.shape[axis])
        cut[axis] = slice(start, None if whole else end, step)
    return back(array[tuple(cut)])


def _pad(
    node: Node,
    x: Value,
    pads: np.ndarray | None = None,
    value: Array | None = None,
    axes: np.ndarray | None = None,
) -> Value:
    """Negative pads cut cells off."""
    array, axis_of, back = layout_of(x)
    amounts = node.get("pads") if pads is None else integers(pads)
    where = range(array.ndim) if axes is None else integers(axes)
    around = [(0, 0)] * array.ndim
    for axis, low, high in zip(where, amounts[: len(where)], amounts[len(where) :], strict=True):
        around[axis_of(axis)] = (low, high)
    cut = [
        slice(max(-low, 0), n - max(-high, 0))
        for (low, high), n in zip(around, array.shape, strict=True)
    ]
    widths = [(max(low, 0), max(high, 0)) for low, high in around]
    xp, mode = namespace(array), node.get("mode", "constant")
    if mode != "constant":
        return back(xp.pad(array[tuple(cut)], widths, mode=mode))
    fill = node.get("value", 0) if value is None else value.reshape(())
    fill = xp.asarray(fill).astype(array.dtype)
    return back(xp.pad(array[tuple(cut)], widths, constant_values=fill))


def _depth_to_space(node: Node, x: jax.Array) -> jax.Array:
    factor = (node.get("blocksize"),) * (x.ndim - 2)
    return pixel_shuffle(x, factor, order=node.get("mode", "DCR"))


def _space_to_depth(node: Node, x: jax.Array) -> jax.Array:
    factor = (node.get("blocksize"),) * (x.ndim - 2)
    return pixel_unshuffle(x, factor, order=node.get("mode", "DCR"))


def _dropout(x: Value, ratio: Any = None, training: np.ndarray | None = None) -> tuple[Value, Any]:
    """Nothing is dropped; the mask is True."""
    if training is not None and training.item() and (ratio is None or ratio.item()):
        raise InputError("training_mode drops cells at random, which is not supported")
    array, _, back = layout_of(x)
    return x, back(jnp.ones(array.shape, bool))


OPERATORS = {
    "Concat": Operator(_concat, "values"),
    "DepthToSpace": Operator(_depth_to_space, "maps"),
    "Dropout": Operator(plain(_dropout), "values", settings=(1, 2)),
    "Expand": Operator(plain(_expand), settings=(1,)),
    "Flatten": Operator(_flatten),
    "Pad": Operator(
        _pad,
        "values",
        settings=(1, 3),
        accepts={"mode": ("constant", "reflect", "edge", "wrap")},
    ),
    "Reshape": Operator(_reshape, settings=(1,)),
    "Shape": Operator(_shape, "values"),
    "Size": Operator(
        plain(lambda x: sizes_array((prod(layout_of(x)[0].shape),)).reshape(())), "values"
    ),
    "Slice": Operator(_slice, "values", settings=(1, 2, 3, 4)),
    "SpaceToDepth": Operator(_space_to_depth, "maps"),
    "Split": Operator(_split, "values", settings=(1,)),
    "Squeeze": Operator(_squeeze, settings=(1,)),
    "Tile": Operator(
        plain(lambda x, repeats: namespace(x).tile(x, integers(repeats))), settings=(1,)
    ),
    "Transpose": Operator(_transpose),
    "Unsqueeze": Operator(_unsqueeze, settings=(1,)),
}
