"""Integers only: sizes, paddings, receptive fields and plans of sliding windows.

Imports no JAX, and nothing of jaxcnn but its errors. Everything else in the package gets its
sizes here; nothing else computes one.
"""

from jaxcnn.geometry.field import Field, receptive_field
from jaxcnn.geometry.padding import (
    Padding,
    describe_size_preserving_padding,
    named_padding,
    padding_for_output,
    padding_total,
    resolve_padding,
    size_preserving_padding,
)
from jaxcnn.geometry.plan import Plan, PlanRow
from jaxcnn.geometry.shapes import ConvShapes, PoolShapes, conv_shapes, pool_shapes
from jaxcnn.geometry.sizes import (
    exact_sizes,
    output_size,
    output_sizes,
    transposed_output_size,
    windows,
)
from jaxcnn.geometry.window import Window, effective_filter, padded_cells, real_cells

__all__ = [
    "ConvShapes",
    "Field",
    "Padding",
    "Plan",
    "PlanRow",
    "PoolShapes",
    "Window",
    "conv_shapes",
    "describe_size_preserving_padding",
    "effective_filter",
    "exact_sizes",
    "named_padding",
    "output_size",
    "output_sizes",
    "padded_cells",
    "padding_for_output",
    "padding_total",
    "pool_shapes",
    "real_cells",
    "receptive_field",
    "resolve_padding",
    "size_preserving_padding",
    "transposed_output_size",
    "windows",
]
