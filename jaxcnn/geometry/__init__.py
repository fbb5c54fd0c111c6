"""Integers only: sizes, paddings, and receptive fields of sliding windows.

Imports no JAX, and nothing of jaxcnn but its errors. Everything else in the package gets its
sizes here; nothing else computes one.
"""

from jaxcnn.geometry import conventions
from jaxcnn.geometry.axis_maps import IndexedAxis, StridedAxis
from jaxcnn.geometry.feature_map import FeatureMap
from jaxcnn.geometry.padding import (
    Padding,
    describe_size_preserving_padding,
    named_padding,
    padding_for_output,
    padding_total,
    resolve_padding,
    size_preserving_padding,
)
from jaxcnn.geometry.padding_mode import PADDING_MODES, pad_windows, source_cell
from jaxcnn.geometry.receptive_field import ReceptiveField, receptive_field
from jaxcnn.geometry.relatives import (
    causal_shapes,
    causal_state_shape,
    causal_stream_shapes,
    depthwise_shapes,
    local_shapes,
    separable_shapes,
)
from jaxcnn.geometry.shapes import ConvShapes, PoolShapes, conv_shapes, pool_shapes
from jaxcnn.geometry.sizes import (
    exact_sizes,
    output_size,
    output_sizes,
    transposed_output_size,
    transposed_window,
    windows,
)
from jaxcnn.geometry.transposed import conv_transpose_shapes
from jaxcnn.geometry.window import Window, effective_kernel_size, padded_cells, real_cells

__all__ = [
    "PADDING_MODES",
    "ConvShapes",
    "FeatureMap",
    "IndexedAxis",
    "Padding",
    "PoolShapes",
    "ReceptiveField",
    "StridedAxis",
    "Window",
    "causal_shapes",
    "causal_state_shape",
    "causal_stream_shapes",
    "conv_shapes",
    "conv_transpose_shapes",
    "conventions",
    "depthwise_shapes",
    "describe_size_preserving_padding",
    "effective_kernel_size",
    "exact_sizes",
    "local_shapes",
    "named_padding",
    "output_size",
    "output_sizes",
    "pad_windows",
    "padded_cells",
    "padding_for_output",
    "padding_total",
    "pool_shapes",
    "real_cells",
    "receptive_field",
    "resolve_padding",
    "separable_shapes",
    "size_preserving_padding",
    "source_cell",
    "transposed_output_size",
    "transposed_window",
    "windows",
]
