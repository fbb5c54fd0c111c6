"""``conv_general_dilated``: convolutions, transposed and depthwise ones included."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from jaxcnn.geometry.axis_maps import StridedAxis
from jaxcnn.inspect.joining import unknown_outputs
from jaxcnn.inspect.materialize import apply_along
from jaxcnn.inspect.primitives.pooling import attach_windows
from jaxcnn.inspect.values import CHANNEL, Axis, Value, axis_of

if TYPE_CHECKING:
    from jaxcnn.inspect.operation import Handler, Operation


def convolution(op: Operation) -> list[Value]:
    """``conv_general_dilated`` in any layout."""
    x, kernel = op.values
    params, layout = op.params, op.params["dimension_numbers"]
    if x.is_constant or not kernel.is_constant or params["batch_group_count"] != 1:
        return unknown_outputs(op, multiply_adds=_multiply_adds(op))
    (batch, feature, *dims), (kernel_out, _, *kernel_dims) = layout.lhs_spec, layout.rhs_spec
    windows = {
        dim: StridedAxis.sliding_window(
            x.shape[dim],
            kernel.shape[kernel_dims[i]],
            stride=params["window_strides"][i],
            padding=params["padding"][i],
            dilation=params["rhs_dilation"][i],
            input_dilation=params["lhs_dilation"][i],
        )
        for i, dim in enumerate(dims)
    }
    groups, out_channels = params["feature_group_count"], kernel.shape[kernel_out]
    op.spatial.batch |= x.labels_on(batch)
    x, windows, along = attach_windows(op, x, windows)
    channels = x.labels_on(feature)
    op.spatial.channels |= channels
    along |= {label: StridedAxis.reduction(x.sizes[label]) for label in channels}
    output_map = apply_along(x, along)
    transposed = prod(params["lhs_dilation"]) > 1
    depthwise = 1 < groups == x.shape[feature]
    number = op.add_layer(
        "transposed conv" if transposed else "depthwise conv" if depthwise else "conv",
        tuple(windows.values()),
        x.map,
        output_map,
        (*(window.output for window in windows.values()), out_channels),
        x.shape[feature],
        kernel.weights,
        groups=groups,
        multiply_adds=_multiply_adds(op),
    )
    axes: list[Axis] = [()] * len(op.shape)
    axes[layout.out_spec[0]] = x.axes[batch]
    axes[layout.out_spec[1]] = axis_of(out_channels, CHANNEL)
    for dim, to in zip(dims, layout.out_spec[2:], strict=True):
        axes[to] = axis_of(op.shape[to], x.spatial_label(dim))
    rows = (None,) * len(output_map.sizes)
    return [Value(tuple(axes), output_map, rows, layer=number)]


def _multiply_adds(op: Operation) -> int:
    """The number of products that a convolution sums, without zeros between input cells."""
    params, layout = op.params, op.params["dimension_numbers"]
    x, kernel = (variable.aval.shape for variable in op.eqn.invars[:2])
    kernel_out, kernel_in, *kernel_dims = layout.rhs_spec
    taps = prod(kernel[dim] for dim in kernel_dims)
    if prod(params["lhs_dilation"]) > 1:
        return prod(x) * kernel[kernel_out] // params["feature_group_count"] * taps
    return prod(op.shape) * kernel[kernel_in] * taps


HANDLERS: dict[str, Handler] = {"conv_general_dilated": convolution, "jaxcnn_conv": convolution}
