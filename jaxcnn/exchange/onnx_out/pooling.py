"""Pools: maxima, minima and sums over windows; lax's and ours have the same parameters."""

from __future__ import annotations

from functools import reduce
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.convolve.pool_programs import first_tap_equal_without_nans, highest, lowest
from jaxcnn.exchange.onnx_out.data_movement import padded, sliced
from jaxcnn.exchange.onnx_out.value import Value, carrier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.exchange.onnx_out.operation import Operation

_MOST_SPATIAL = 3
"""The most axes over which ONNX Runtime pools."""


def pool(op: Operation) -> Value:
    """``reduce_window_max``, ``reduce_window_min``, ``reduce_window_sum`` and ours."""
    kind = op.name.rpartition("_")[2]
    x = op.whole(op.values[0])
    fill = {"max": lowest, "min": highest, "sum": lambda _: 0}[kind](x.dtype)
    windows = _windows(op.params)
    empty = kind != "sum" and any(map(_misses, windows, x.shape, op.params["base_dilation"]))
    # A pool of ONNX has less padding than taps. A Pad before it is no way out: ONNX Runtime up to
    # 1.24 joins the two, and then refuses its own pool.
    wide = any(max(low, high) >= size for size, *_, low, high in windows)
    config = []
    for axis, (size, _, dilation, low, high) in enumerate(windows):
        between = op.params["base_dilation"][axis] - 1
        outside = between or min(low, high) < 0 or kind == "sum"
        config.append((low, high, between) if outside else (0, 0, 0))
        if outside:
            windows[axis] = (size, windows[axis][1], dilation, 0, 0)
    x = padded(op, x, config, fill)
    pooled = [axis for axis, window in enumerate(windows) if window != (1, 1, 1, 0, 0)]
    order = _order(x, pooled)
    if not pooled:
        return x
    # ONNX Runtime's maximum of no cell is a finite number.
    if empty or wide or order is None or not jnp.issubdtype(x.dtype, jnp.floating):
        config = [(low, high, 0) for *_, low, high in windows]
        return _by_taps(op, padded(op, x, config, fill), windows, kind)
    spatial = [windows[axis] for axis in order[2:]]
    sizes, strides, dilations, lows, highs = zip(*spatial, strict=True)
    settings = {"kernel_shape": sizes, "strides": strides, "dilations": dilations}
    settings["pads"] = (*lows, *highs)
    name = op.tensor(x, order)
    if kind == "sum":
        count = prod(sizes)
        wide = x.dtype if count <= jnp.finfo(x.dtype).max else np.dtype("float32")
        name = op.cast(name, x.dtype, wide)
        name = op.node("AveragePool", name, **settings, count_include_pad=1)
        name = op.node("Mul", name, op.number(count, wide))
        return op.result(op.cast(name, wide, x.dtype), order)
    if kind == "max":
        return op.result(op.node("MaxPool", name, **settings), order)
    return op.result(op.node("Neg", op.node("MaxPool", op.node("Neg", name), **settings)), order)


def _windows(params: dict[str, Any]) -> list[tuple[int, int, int, int, int]]:
    """(size, stride, dilation, before, after) of each axis."""
    names = ("window_dimensions", "window_strides", "window_dilation")
    each = zip(*(params[name] for name in names), params["padding"], strict=True)
    return [
        (int(size), int(stride), int(dilation), int(low), int(high))
        for size, stride, dilation, (low, high) in each
    ]


def _misses(window: tuple[int, int, int, int, int], size: Any, base: int) -> bool:
    """Whether a window on this axis has no cell but padding."""
    taps, stride, dilation, low, high = window
    if not isinstance(size, int):
        return False
    last = (size - 1) * base
    first = np.arange(0, last + 1 + low + high - dilation * (taps - 1), stride) - low
    read = first[:, None] + dilation * np.arange(taps)
    return not ((read >= 0) & (read <= last) & (read % base == 0)).any(1).all()


def _order(x: Value, pooled: Sequence[int]) -> tuple[int, ...] | None:
    """The order of axes in which a pool of ONNX, over all axes but two, computes this one."""
    if not set(pooled) & set(x.axes[:2]) and 3 <= len(x.axes) <= 2 + _MOST_SPATIAL:
        return x.axes
    others = [axis for axis in x.axes if axis not in pooled]
    if len(others) < 2 or not 3 <= len(x.axes) <= 2 + _MOST_SPATIAL:
        return None
    return (others[0], others[-1], *sorted([*others[1:-1], *pooled]))


def _by_taps(op: Operation, x: Value, windows: Sequence[Any], kind: str) -> Value:
    """The pool of a padded x as a maximum, minimum or sum of slices, one for each tap."""
    operator = {"max": "Max", "min": "Min", "sum": "Add"}[kind]
    cells = []
    for tap in product(*(range(size) for size, *_ in windows)):
        starts = [at * dilation for at, (_, _, dilation, *_) in zip(tap, windows, strict=True)]
        strides = [stride for _, stride, *_ in windows]
        limits = [
            start + (count - 1) * stride + 1 if stride > 1 or size > 1 else whole
            for start, count, stride, (size, *_), whole in zip(
                starts, op.shape, strides, windows, x.shape, strict=True
            )
        ]
        cells.append(sliced(op, x, starts, limits, strides).name)
    wide = np.dtype("int32") if carrier(x.dtype).itemsize < 4 else x.dtype
    cells = [op.cast(name, x.dtype, wide) for name in cells]
    total = reduce(lambda a, b: op.node(operator, a, b), cells)
    return op.result(op.cast(total, wide, x.dtype), x.axes)


def first_tap(op: Operation) -> list[Value]:
    """``jaxcnn_first_tap``: a comparison of every tap with the extremum."""
    x, y = op.values
    fill = np.nan if jnp.issubdtype(x.dtype, jnp.floating) else lowest(x.dtype)

    def program(x: jax.Array, y: jax.Array) -> jax.Array:
        return first_tap_equal_without_nans(x, y, window=op.params["window"], fill=fill)

    types = [jax.ShapeDtypeStruct(v.shape, v.dtype) for v in (x, y)]
    traced = jax.make_jaxpr(program)(*types)
    return op.run(traced.jaxpr, traced.consts, [x, y])


RULES = {
    **{f"reduce_window_{kind}": pool for kind in ("max", "min", "sum")},
    **{f"jaxcnn_window_{kind}": pool for kind in ("max", "min", "sum")},
    "jaxcnn_first_tap": first_tap,
}
