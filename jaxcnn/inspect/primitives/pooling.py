"""Pools (``reduce_window`` and similar); convolutions use ``attach_windows`` too."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from jaxcnn.geometry.axis_maps import StridedAxis, axis_map_of
from jaxcnn.inspect.joining import mark_unknown, single_spatial_axis, unknown_outputs
from jaxcnn.inspect.materialize import apply_along, materialize, read_everywhere
from jaxcnn.inspect.values import CHANNEL, Value, axis_of, channels_of, replace_axis

if TYPE_CHECKING:
    from jaxcnn.inspect.operation import Handler, Operation


def reduce_window(op: Operation, *, kind: str) -> list[Value]:
    """``reduce_window``."""
    (x, *others), params = op.values, op.params
    if x.is_constant or not all(other.is_constant for other in others):
        return unknown_outputs(op)
    windows = {
        dim: StridedAxis.sliding_window(
            x.shape[dim],
            kernel_size,
            stride=params["window_strides"][dim],
            padding=params["padding"][dim],
            dilation=params["window_dilation"][dim],
            input_dilation=params["base_dilation"][dim],
        )
        for dim, kernel_size in enumerate(params["window_dimensions"])
    }
    windows = {dim: w for dim, w in windows.items() if not _is_channels(x, dim)}
    windowed = [dim for dim, w in windows.items() if w != StridedAxis(w.size, w.size)]
    if not windowed:  # windows over channels, as in local response normalisation
        return [replace(x, bias_layer=None, subtracted_mean=None)]
    windows = {
        dim: w for dim, w in windows.items() if dim in windowed or x.spatial_label(dim) is not None
    }
    x, windows, along = attach_windows(op, x, windows)
    output_map, axes = apply_along(x, along), x.axes
    for dim, window in windows.items():
        axes = replace_axis(axes, dim, axis_of(window.output, x.spatial_label(dim)))
    result = Value(axes, output_map, (None,) * len(output_map.sizes))
    number = op.add_layer(
        kind,
        tuple(windows.values()),
        x.map,
        output_map,
        (*(window.output for window in windows.values()), channels_of(result)),
        channels_of(x),
    )
    return [replace(result, layer=number)]


def _is_channels(x: Value, dim: int) -> bool:
    return bool(x.labels) and {label for _, label in x.axes[dim]} == {CHANNEL}


def attach_windows(
    op: Operation, x: Value, windows: dict[int, StridedAxis]
) -> tuple[Value, dict[int, StridedAxis], dict[int, StridedAxis]]:
    """Prepares x for windows along some of its axes.

    Padding directly before the layer becomes part of the layer. Other changes of rows are applied
    to x.

    Returns:
      x, the windows by axis of x, and the windows by spatial axis of its map.
    """
    for dim in windows:
        merged = x.labels_on(dim)
        x = single_spatial_axis(op, x, dim)
        if not x.labels_on(dim):  # none of several merged axes is left
            op.spatial.windowed |= merged
    x = op.number_spatial_axes(x, list(windows))
    pairs = ((dim, x.spatial_label(dim)) for dim in windows)
    labels = {dim: label for dim, label in pairs if label is not None}
    op.spatial.windowed |= {labels[dim] for dim in labels if len(windows[dim].taps) > 1}
    # Where the sizes differ, the rest of the spatial axis is on another axis of x.
    partial_axes = [dim for dim, label in labels.items() if x.sizes[label] != windows[dim].size]
    if partial_axes:
        x = mark_unknown(op, x, f"{op.name} along a part of an axis")
        stretched = {
            labels[dim]: read_everywhere(x.map.sizes[labels[dim]], windows[dim].size)
            for dim in partial_axes
        }
        x = replace(x, base=apply_along(x, stretched))
    paddings = {dim: _padding_before(x, label, windows[dim]) for dim, label in labels.items()}
    x = materialize(op, x, tuple(labels[dim] for dim, padding in paddings.items() if padding))
    windows = {
        dim: _with_padding(window, padding) if (padding := paddings.get(dim)) else window
        for dim, window in windows.items()
    }
    return x, windows, {label: windows[dim] for dim, label in labels.items()}


def _padding_before(x: Value, label: int, window: StridedAxis) -> StridedAxis | None:
    """The rows of a spatial axis as an axis map, if they only pad or crop before the window."""
    rows = x.rows[label]
    before = None if rows is None else axis_map_of(x.map.sizes[label], rows)
    if not isinstance(before, StridedAxis) or before.taps != (0,) or before.stride != 1:
        return None
    ends = ((before.low, window.low), (before.high, window.high))
    # A cropped cell must not return as padding.
    return before if all(first >= 0 or then <= 0 for first, then in ends) else None


def _with_padding(window: StridedAxis, before: StridedAxis) -> StridedAxis:
    """The window, extended by the padding before it."""
    return replace(
        window,
        size=before.size,
        low=window.low + before.low * window.input_dilation,
        high=window.high + before.high * window.input_dilation,
        input_dilation=window.input_dilation * before.input_dilation,
    )


HANDLERS: dict[str, Handler] = {
    "reduce_window": partial(reduce_window, kind="pool"),
    "reduce_window_max": partial(reduce_window, kind="max pool"),
    "reduce_window_min": partial(reduce_window, kind="min pool"),
    "reduce_window_sum": partial(reduce_window, kind="average pool"),
    "jaxcnn_window_max": partial(reduce_window, kind="max pool"),
    "jaxcnn_window_min": partial(reduce_window, kind="min pool"),
    "jaxcnn_window_sum": partial(reduce_window, kind="average pool"),
}
