"""The arithmetic of Keras and TensorFlow. Source: the documentation of Keras 3 and of tf.nn.

"same" gives ceil(size/stride) outputs, with the odd cell of padding after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxcnn.errors import InputError
from jaxcnn.geometry.check import choice, per_axis
from jaxcnn.geometry.conventions._common import Arguments, extents, sizes_per_axis, transposed

if TYPE_CHECKING:
    from collections.abc import Sequence


def conv(
    kernel_size: Sequence[int],
    *,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    dilation_rate: int | Sequence[int] = 1,
    groups: int = 1,
) -> Arguments:
    """keras.layers.Conv1D, 2D, 3D for :func:`jaxcnn.conv`; ``"causal"`` needs one spatial axis.

    >>> conv((3, 3), strides=2, padding="same")["padding"]
    'SAME'
    """
    kernel_size = sizes_per_axis("kernel_size", kernel_size)
    axes = len(kernel_size)
    if padding == "causal" and axes != 1:
        raise InputError(
            f'padding "causal" is for one axis, time, but kernel_size {kernel_size} has {axes}; '
            f'use "same" or "valid"'
        )
    return {
        "stride": per_axis("strides", strides, axes, least=1),
        "padding": choice("padding", padding, ("valid", "same", "causal")).upper(),
        "dilation": per_axis("dilation_rate", dilation_rate, axes, least=1),
        "groups": groups,
        "rounding": "floor",
    }


def depthwise_conv(
    kernel_size: Sequence[int],
    *,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    dilation_rate: int | Sequence[int] = 1,
) -> Arguments:
    """keras.layers.DepthwiseConv1D, 2D and SeparableConv1D, 2D, for the functions of these names.

    >>> depthwise_conv((3, 3), padding="same")["padding"]
    'SAME'
    """
    arguments = conv(kernel_size, strides=strides, padding=padding, dilation_rate=dilation_rate)
    del arguments["groups"]
    return arguments


def conv_transpose(
    kernel_size: Sequence[int],
    *,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    output_padding: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Arguments:
    """keras.layers.Conv1DTranspose, 2D, 3D for :func:`jaxcnn.conv_transpose`.

        output_padding    "valid"                       "same"
        None              (k - 1)s + max(F', s)         k*s
        a number          (k - 1)s + F' + number        (k - 1)s + F' mod 2 + number

    "same" crops both ends equally; an odd cell is cropped at the end.

    >>> conv_transpose((4,), strides=2, padding="same")["padding"]
    ((1, 1),)
    """
    kernel_size = sizes_per_axis("kernel_size", kernel_size)
    axes = len(kernel_size)
    choice("padding", padding, ("valid", "same"))
    strides = per_axis("strides", strides, axes, least=1)
    dilations = per_axis("dilation_rate", dilation_rate, axes, least=1)
    extras: Sequence[int | None] = (None,) * axes
    if output_padding is not None:
        extras = per_axis("output_padding", output_padding, axes, least=0)
    crops = []
    for extent, stride, extra in zip(extents(kernel_size, dilations), strides, extras, strict=True):
        if padding == "valid":
            crops.append((0, min(extent - stride, 0) if extra is None else -extra))
        else:
            total = extent - (stride if extra is None else extent % 2 + extra)
            low = max(total // 2, 0)
            crops.append((low, total - low))
    return transposed(strides, crops, dilations, 1)


def max_pool(
    pool_size: Sequence[int],
    *,
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
) -> Arguments:
    """keras.layers.MaxPooling1D, 2D, 3D for :func:`jaxcnn.max_pool`.

    >>> max_pool((2, 2))["stride"]
    (2, 2)
    """
    kernel_size = sizes_per_axis("pool_size", pool_size)
    return {
        "kernel_size": kernel_size,
        "stride": per_axis(
            "strides", kernel_size if strides is None else strides, len(kernel_size), least=1
        ),
        "padding": choice("padding", padding, ("valid", "same")).upper(),
        "rounding": "floor",
    }


def avg_pool(
    pool_size: Sequence[int],
    *,
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
) -> Arguments:
    """keras.layers.AveragePooling1D, 2D, 3D for :func:`jaxcnn.avg_pool`; padding is not averaged.

    >>> avg_pool((3,), strides=1, padding="same")["count_include_pad"]
    False
    """
    return {**max_pool(pool_size, strides=strides, padding=padding), "count_include_pad": False}
