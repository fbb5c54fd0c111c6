"""Convolutions: Conv, and ConvTranspose where the input has cells between its cells."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from jaxcnn.exchange.onnx_out.data_movement import padded, transposed
from jaxcnn.exchange.onnx_out.reshape import reshaped
from jaxcnn.exchange.onnx_out.value import carrier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.exchange.onnx_out.operation import Operation
    from jaxcnn.exchange.onnx_out.value import Value


def convolution(op: Operation) -> Value:
    """``conv_general_dilated``, and jaxcnn's, which has the same parameters."""
    x, kernel = op.values
    if not jnp.issubdtype(op.dtype, jnp.floating) or not jnp.issubdtype(x.dtype, jnp.floating):
        op.refuse(f"of {x.dtype.name} has no rule for ONNX")
    layout = op.params["dimension_numbers"]
    x, kernel = (
        _cast(op, transposed(x, layout.lhs_spec)),
        _cast(op, transposed(kernel, layout.rhs_spec)),
    )
    # From here on x is (N, C, *spatial) and the kernel (K, C/groups, *spatial), as in ONNX.
    groups = op.params["feature_group_count"]
    if op.params["batch_group_count"] > 1:
        groups = op.params["batch_group_count"]
        x = _channels_of_batch_groups(op, x, groups)
    spatial = len(x.shape) - 2
    if not spatial:
        x, kernel = (reshaped(op, value, (*value.shape, 1)) for value in (x, kernel))
        pads, strides, spread, dilations = [(0, 0)], (1,), (1,), (1,)
    else:
        pads = [(int(low), int(high)) for low, high in op.params["padding"]]
        strides, spread, dilations = (
            tuple(op.params[name]) for name in ("window_strides", "lhs_dilation", "rhs_dilation")
        )
    if any(step > 1 for step in spread):
        if kernel.is_constant and all(stride == 1 for stride in strides):
            name = _conv_transpose(op, x, kernel, pads, spread, dilations, groups)
            return _result(op, name, spatial)
        config = [(0, 0, 0), (0, 0, 0), *((0, 0, step - 1) for step in spread)]
        x = padded(op, x, config, 0)
    # ONNX's padding is not negative.
    cuts = [(min(low, 0), min(high, 0), 0) for low, high in pads]
    x = padded(op, x, [(0, 0, 0), (0, 0, 0), *cuts], 0)
    x = op.arranged(op.whole(x), range(len(x.shape)))
    name = op.node(
        "Conv",
        x.name,
        op.tensor(op.whole(kernel)),
        pads=_ends([(max(low, 0), max(high, 0)) for low, high in pads]),
        strides=strides,
        dilations=dilations,
        group=groups,
    )
    return _result(op, name, spatial)


def _result(op: Operation, name: str, spatial: int) -> Value:
    axes = op.params["dimension_numbers"].out_spec
    if not spatial:
        name = op.node("Squeeze", name, op.graph.ints([2]))
    return op.result(name, axes)


def _cast(op: Operation, value: Value) -> Value:
    """The value in the dtype of the result, in which the products are summed."""
    if value.is_constant:
        array = np.asarray(value.array).astype(carrier(op.dtype))
        return replace(value, array=array, dtype=array.dtype)
    name = op.cast(value.name, value.dtype, op.dtype)
    return replace(value, name=name, dtype=carrier(op.dtype))


def _ends(pads: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """All numbers before, then all numbers after."""
    return (*(low for low, _ in pads), *(high for _, high in pads))


def _channels_of_batch_groups(op: Operation, x: Value, groups: int) -> Value:
    """(groups * N, C, ...) as (N, groups * C, ...): a group of the batch is one of channels."""
    batch, channels, *spatial = x.shape
    x = reshaped(op, x, (groups, batch // groups, channels, *spatial))
    x = transposed(x, (1, 0, *range(2, len(x.shape))))
    return reshaped(op, x, (batch // groups, groups * channels, *spatial))


def _conv_transpose(
    op: Operation,
    x: Value,
    kernel: Value,
    pads: Sequence[tuple[int, int]],
    strides: Sequence[int],
    dilations: Sequence[int],
    groups: int,
) -> str:
    """ConvTranspose: cell i of x is added to the cells i*s + d*f - p of the result.

    The convolution adds cell i to those cells o for which i*s = o + d*g - lo at its tap g. So f
    counts the taps backwards, f = F - 1 - g, and p = d*(F - 1) - lo. A negative p stands for cells
    that no cell of x reaches: they are zero.
    """
    out_channels, depth, *filters = kernel.shape
    by_group = np.reshape(op.whole(kernel).array, (groups, out_channels // groups, depth, *filters))
    flipped = np.flip(by_group, tuple(range(3, by_group.ndim))).swapaxes(1, 2)
    weights = kernel.with_array(flipped.reshape(groups * depth, -1, *filters))
    cuts = [
        tuple(dilation * (taps - 1) - pad for pad in pair)
        for pair, dilation, taps in zip(pads, dilations, filters, strict=True)
    ]
    name = op.node(
        "ConvTranspose",
        op.tensor(op.whole(x)),
        op.tensor(weights),
        pads=_ends([(max(low, 0), max(high, 0)) for low, high in cuts]),
        strides=strides,
        dilations=dilations,
        group=groups,
    )
    beyond = [(max(-low, 0), max(-high, 0)) for low, high in cuts]
    if any(map(any, beyond)):
        sizes = op.graph.ints(_ends([(0, 0), (0, 0), *beyond]))
        name = op.node("Pad", name, sizes, op.number(0, op.dtype))
    return name


RULES = dict.fromkeys(("conv_general_dilated", "jaxcnn_conv", "jaxcnn_direct_conv"), convolution)
