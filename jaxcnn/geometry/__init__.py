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
from jaxcnn.geometry.padding_mode import PADDING_MODES, source_cell
from jaxcnn.geometry.receptive_field import ReceptiveField, receptive_field
from jaxcnn.geometry.sizes import (
    exact_sizes,
    output_size,
    output_sizes,
    transposed_output_size,
    transposed_window,
    windows,
)
from jaxcnn.geometry.window import Window, effective_kernel_size, padded_cells, real_cells

__all__ = [
    "PADDING_MODES",
    "FeatureMap",
    "IndexedAxis",
    "Padding",
    "ReceptiveField",
    "StridedAxis",
    "Window",
    "conventions",
    "describe_size_preserving_padding",
    "effective_kernel_size",
    "exact_sizes",
    "named_padding",
    "output_size",
    "output_sizes",
    "padded_cells",
    "padding_for_output",
    "padding_total",
    "real_cells",
    "receptive_field",
    "resolve_padding",
    "size_preserving_padding",
    "source_cell",
    "transposed_output_size",
    "transposed_window",
    "windows",
]
