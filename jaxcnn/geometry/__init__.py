"""The arithmetic of sliding windows: sizes, paddings, receptive fields, the cells an output reads.

This package imports neither JAX nor any part of jaxcnn except its errors. Operations, layers and
the tools that inspect programs get their sizes here. Only :mod:`jaxcnn.convolve` restates the
output size formula, for lax's convolutions, which round down and may have no output.
"""

from jaxcnn.geometry import conventions
from jaxcnn.geometry.axis_maps import IndexedAxis, StridedAxis
from jaxcnn.geometry.coverage import padded_cells, real_cells
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
from jaxcnn.geometry.placement import place_windows
from jaxcnn.geometry.receptive_field import ReceptiveField, receptive_field
from jaxcnn.geometry.sizes import exact_sizes, output_size, output_sizes
from jaxcnn.geometry.transposed_sizes import transposed_output_size, transposed_window
from jaxcnn.geometry.window import Window, effective_kernel_size

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
    "place_windows",
    "real_cells",
    "receptive_field",
    "resolve_padding",
    "size_preserving_padding",
    "source_cell",
    "transposed_output_size",
    "transposed_window",
]
