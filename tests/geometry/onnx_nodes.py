"""The node tests that ONNX publishes for these operators, as data.

Each line is ``name: Operator input -> output`` and the attributes. The sizes are the input's
(N, C, *spatial), the output's spatial sizes, and those of a convolution's weight. Tests of a second
output or of a dtype are left out. Source: https://onnx.ai/onnx/operators, version 1.23.
"""

from __future__ import annotations

import re
from typing import NamedTuple

TEXT = """
basic_conv_with_padding: Conv 1x1x5x5 -> 5x5 weight=1x1x3x3 pads=1,1,1,1
basic_conv_without_padding: Conv 1x1x5x5 -> 3x3 weight=1x1x3x3 pads=0,0,0,0
conv_with_strides_padding: Conv 1x1x7x5 -> 4x3 weight=1x1x3x3 pads=1,1,1,1 strides=2,2
conv_with_strides_no_padding: Conv 1x1x7x5 -> 3x2 weight=1x1x3x3 pads=0,0,0,0 strides=2,2
conv_with_strides_and_asymmetric_padding: Conv 1x1x7x5 -> 4x2 weight=1x1x3x3 pads=1,0,1,0
    strides=2,2
conv_with_autopad_same: Conv 1x1x5x5 -> 3x3 weight=1x1x3x3 auto_pad=SAME_LOWER strides=2,2
convtranspose: ConvTranspose 1x1x3x3 -> 5x5 weight=1x2x3x3
convtranspose_1d: ConvTranspose 1x1x3 -> 5 weight=1x2x3
convtranspose_3d: ConvTranspose 1x1x3x4x5 -> 5x6x7 weight=1x2x3x3x3
convtranspose_output_shape: ConvTranspose 1x1x3x3 -> 10x8 weight=1x2x3x3 output_shape=10,8
    strides=3,2
convtranspose_pad: ConvTranspose 1x1x3x3 -> 10x8 weight=1x2x3x3 output_padding=1,1 strides=3,2
convtranspose_kernel_shape: ConvTranspose 1x1x3x3 -> 10x8 weight=1x2x3x3 output_padding=1,1
    output_shape=10,8 strides=3,2
convtranspose_pads: ConvTranspose 1x1x3x3 -> 7x3 weight=1x2x3x3 pads=1,2,1,2 strides=3,2
convtranspose_dilations: ConvTranspose 1x1x3x3 -> 5x5 weight=1x1x2x2 dilations=2,2
convtranspose_autopad_same: ConvTranspose 1x1x3x3 -> 6x6 weight=1x2x3x3 auto_pad=SAME_UPPER
    strides=2,2
convtranspose_group_2: ConvTranspose 1x2x3x3 -> 5x5 weight=2x1x3x3 group=2
convtranspose_group_2_image_3: ConvTranspose 3x2x3x3 -> 5x5 weight=2x1x3x3 group=2
maxpool_2d_precomputed_pads: MaxPool 1x1x5x5 -> 5x5 kernel_shape=5,5 pads=2,2,2,2
maxpool_2d_precomputed_strides: MaxPool 1x1x5x5 -> 2x2 kernel_shape=2,2 strides=2,2
maxpool_2d_precomputed_same_upper: MaxPool 1x1x5x5 -> 3x3 auto_pad=SAME_UPPER kernel_shape=3,3
    strides=2,2
maxpool_1d_default: MaxPool 1x3x32 -> 31 kernel_shape=2
maxpool_2d_default: MaxPool 1x3x32x32 -> 31x31 kernel_shape=2,2
maxpool_3d_default: MaxPool 1x3x32x32x32 -> 31x31x31 kernel_shape=2,2,2
maxpool_2d_same_upper: MaxPool 1x3x32x32 -> 32x32 auto_pad=SAME_UPPER kernel_shape=2,2
maxpool_2d_same_lower: MaxPool 1x3x32x32 -> 32x32 auto_pad=SAME_LOWER kernel_shape=2,2
maxpool_2d_pads: MaxPool 1x3x28x28 -> 30x30 kernel_shape=3,3 pads=2,2,2,2
maxpool_2d_strides: MaxPool 1x3x32x32 -> 10x10 kernel_shape=5,5 strides=3,3
maxpool_2d_ceil: MaxPool 1x1x4x4 -> 2x2 ceil_mode=1 kernel_shape=3,3 strides=2,2
maxpool_2d_ceil_output_size_reduce_by_one: MaxPool 1x1x2x2 -> 1x1 ceil_mode=1 kernel_shape=1,1
    strides=2,2
maxpool_2d_dilations: MaxPool 1x1x4x4 -> 2x2 dilations=2,2 kernel_shape=2,2 strides=1,1
maxpool_3d_dilations: MaxPool 1x1x4x4x4 -> 2x2x2 dilations=2,2,2 kernel_shape=2,2,2 strides=1,1,1
maxpool_3d_dilations_use_ref_impl: MaxPool 1x1x4x4x4 -> 2x2x2 dilations=2,2,2 kernel_shape=2,2,2
    strides=1,1,1
maxpool_3d_dilations_use_ref_impl_large: MaxPool 1x1x32x32x32 -> 9x9x9 ceil_mode=1 dilations=2,2,2
    kernel_shape=5,5,5 strides=3,3,3
averagepool_2d_precomputed_pads: AveragePool 1x1x5x5 -> 5x5 kernel_shape=5,5 pads=2,2,2,2
averagepool_2d_precomputed_pads_count_include_pad: AveragePool 1x1x5x5 -> 5x5 count_include_pad=1
    kernel_shape=5,5 pads=2,2,2,2
averagepool_2d_precomputed_strides: AveragePool 1x1x5x5 -> 2x2 kernel_shape=2,2 strides=2,2
averagepool_2d_precomputed_same_upper: AveragePool 1x1x5x5 -> 3x3 auto_pad=SAME_UPPER
    kernel_shape=3,3 strides=2,2
averagepool_1d_default: AveragePool 1x3x32 -> 31 kernel_shape=2
averagepool_2d_default: AveragePool 1x3x32x32 -> 31x31 kernel_shape=2,2
averagepool_3d_default: AveragePool 1x3x32x32x32 -> 31x31x31 kernel_shape=2,2,2
averagepool_2d_same_upper: AveragePool 1x3x32x32 -> 32x32 auto_pad=SAME_UPPER kernel_shape=2,2
averagepool_2d_same_lower: AveragePool 1x3x32x32 -> 32x32 auto_pad=SAME_LOWER kernel_shape=2,2
averagepool_2d_pads: AveragePool 1x3x28x28 -> 30x30 kernel_shape=3,3 pads=2,2,2,2
averagepool_2d_pads_count_include_pad: AveragePool 1x3x28x28 -> 30x30 count_include_pad=1
    kernel_shape=3,3 pads=2,2,2,2
averagepool_2d_strides: AveragePool 1x3x32x32 -> 10x10 kernel_shape=5,5 strides=3,3
averagepool_2d_ceil: AveragePool 1x1x4x4 -> 2x2 ceil_mode=1 kernel_shape=3,3 strides=2,2
averagepool_2d_ceil_last_window_starts_on_pad: AveragePool 1x3x2x2 -> 1x1 ceil_mode=1
    count_include_pad=1 kernel_shape=3,3 pads=1,1,1,1 strides=3,3
averagepool_2d_dilations: AveragePool 1x1x4x4 -> 2x2 ceil_mode=1 dilations=2,2 kernel_shape=2,2
    strides=1,1
averagepool_3d_dilations_small: AveragePool 1x1x4x4x4 -> 2x2x2 ceil_mode=1 dilations=2,2,2
    kernel_shape=2,2,2 strides=1,1,1
averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_True: AveragePool 1x1x32x32x32
    -> 9x9x9 ceil_mode=1 count_include_pad=0 dilations=2,2,2 kernel_shape=5,5,5 strides=3,3,3
averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_False: AveragePool 1x1x32x32x32
    -> 8x8x8 ceil_mode=0 count_include_pad=0 dilations=2,2,2 kernel_shape=5,5,5 strides=3,3,3
averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True: AveragePool 1x1x32x32x32
    -> 9x9x9 ceil_mode=1 count_include_pad=1 dilations=2,2,2 kernel_shape=5,5,5 strides=3,3,3
averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_False: AveragePool 1x1x32x32x32
    -> 8x8x8 ceil_mode=0 count_include_pad=1 dilations=2,2,2 kernel_shape=5,5,5 strides=3,3,3
lppool_1d_default: LpPool 1x3x32 -> 31 kernel_shape=2 p=3 strides=1
lppool_2d_default: LpPool 1x3x32x32 -> 31x31 kernel_shape=2,2 p=4
lppool_3d_default: LpPool 1x3x32x32x32 -> 31x31x31 kernel_shape=2,2,2 p=3
lppool_2d_same_upper: LpPool 1x3x32x32 -> 32x32 auto_pad=SAME_UPPER kernel_shape=2,2 p=2
lppool_2d_same_lower: LpPool 1x3x32x32 -> 32x32 auto_pad=SAME_LOWER kernel_shape=2,2 p=4
lppool_2d_pads: LpPool 1x3x28x28 -> 30x30 kernel_shape=3,3 p=3 pads=2,2,2,2
lppool_2d_strides: LpPool 1x3x32x32 -> 10x10 kernel_shape=5,5 p=2 strides=3,3
lppool_2d_dilations: LpPool 1x1x4x4 -> 2x2 dilations=2,2 kernel_shape=2,2 p=2 strides=1,1
globalmaxpool: GlobalMaxPool 1x3x5x5 -> 1x1
globalmaxpool_precomputed: GlobalMaxPool 1x1x3x3 -> 1x1
globalaveragepool: GlobalAveragePool 1x3x5x5 -> 1x1
globalaveragepool_precomputed: GlobalAveragePool 1x1x3x3 -> 1x1
"""


class Node(NamedTuple):
    """One test: x (N, C, *spatial), the operator's attributes, the output's spatial sizes."""

    name: str
    operator: str
    x: tuple[int, ...]
    output: tuple[int, ...]
    weight: tuple[int, ...] | None
    attributes: dict[str, object]


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split("x")))


def _attribute(name: str, value: str) -> object:
    if name == "auto_pad":
        return value
    numbers = tuple(map(int, value.split(",")))
    single = {"group", "p", "ceil_mode", "count_include_pad"}
    return numbers[0] if name in single else numbers


def _node(name: str, words: str) -> Node:
    operator, x, _, output, *rest = words.split()
    given = dict(word.split("=") for word in rest)
    weight = _sizes(given.pop("weight")) if "weight" in given else None
    attributes = {key: _attribute(key, value) for key, value in given.items()}
    return Node(name, operator, _sizes(x), _sizes(output), weight, attributes)


_PARTS = re.split(r"^(\w+):", TEXT, flags=re.MULTILINE)[1:]
NODES = [_node(*pair) for pair in zip(_PARTS[::2], _PARTS[1::2], strict=True)]
