"""PyTorch's arithmetic. Source: the documentation of torch.nn, version 2.13.

Operations with PyTorch's names need no conversion: ``adaptive_*_pool``, ``max_unpool``,
``pixel_shuffle``. ``max_pool_with_indices``, which is MaxPool with return_indices, takes the
arguments of :func:`max_pool`.
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
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Arguments:
    """torch.nn.Conv1d, 2d, 3d for :func:`jaxcnn.conv`.

    ``"same"`` adds d(F - 1) cells in all, the odd one after. Unlike in Keras it requires stride 1.

    >>> conv((4,), padding="same")
    {'stride': (1,), 'padding': ((1, 2),), 'dilation': (1,), 'groups': 1, 'rounding': 'floor'}
    """
    kernel_size = sizes_per_axis("kernel_size", kernel_size)
    axes = len(kernel_size)
    strides = per_axis("stride", stride, axes, least=1)
    dilations = per_axis("dilation", dilation, axes, least=1)
    if isinstance(padding, str):
        choice("padding", padding, ("valid", "same"))
        if padding == "same" and max(strides) > 1:
            raise InputError(
                f'padding "same" at stride {strides} is refused by PyTorch; use stride 1, padding '
                f'in numbers, or jaxcnn\'s padding="SAME" for ceil(size/stride) outputs'
            )
        totals = [e - 1 if padding == "same" else 0 for e in extents(kernel_size, dilations)]
        pairs = tuple((total // 2, total - total // 2) for total in totals)
    else:
        pairs = tuple((p, p) for p in per_axis("padding", padding, axes, least=0))
    return {
        "stride": strides,
        "padding": pairs,
        "dilation": dilations,
        "groups": groups,
        "rounding": "floor",
    }


def conv_transpose(
    kernel_size: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Arguments:
    """torch.nn.ConvTranspose1d, 2d, 3d for :func:`jaxcnn.conv_transpose`.

    The output has (k - 1)s - 2p + F' + output_padding cells. ``output_padding`` must be below the
    stride or the dilation; it reduces the padding after.

    >>> conv_transpose((3,), stride=2, padding=1, output_padding=1)["padding"]
    ((1, 0),)
    """
    kernel_size = sizes_per_axis("kernel_size", kernel_size)
    axes = len(kernel_size)
    strides = per_axis("stride", stride, axes, least=1)
    dilations = per_axis("dilation", dilation, axes, least=1)
    pads = per_axis("padding", padding, axes, least=0)
    extras = per_axis("output_padding", output_padding, axes, least=0)
    for extra, s, d in zip(extras, strides, dilations, strict=True):
        if extra >= max(s, d):
            raise InputError(
                f"output_padding {extra} is refused by PyTorch at stride {s} and dilation {d}, one "
                f"of which must be larger; use {max(s, d) - 1} or less, or jaxcnn's own padding, "
                f"which adds cells where it is below 0"
            )
    crops = [(pad, pad - extra) for pad, extra in zip(pads, extras, strict=True)]
    return transposed(strides, crops, dilations, groups)


def max_pool(
    kernel_size: Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> Arguments:
    """torch.nn.MaxPool1d, 2d, 3d for :func:`jaxcnn.max_pool` and ``max_pool_with_indices``.

    With ``ceil_mode`` a last window overhangs, unless it would start beyond the input.

    >>> max_pool((3, 3), stride=2, padding=1, ceil_mode=True)["rounding"]
    'ceil'
    """
    kernel_size = sizes_per_axis("kernel_size", kernel_size)
    axes = len(kernel_size)
    return {
        "kernel_size": kernel_size,
        "stride": kernel_size if stride is None else per_axis("stride", stride, axes, least=1),
        "padding": tuple((p, p) for p in per_axis("padding", padding, axes, least=0)),
        "dilation": per_axis("dilation", dilation, axes, least=1),
        "rounding": "ceil" if ceil_mode else "floor",
    }


def avg_pool(
    kernel_size: Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Arguments:
    """torch.nn.AvgPool1d, 2d, 3d for :func:`jaxcnn.avg_pool`.

    Padding counts unless ``count_include_pad`` is False; cells beyond it never count.

    >>> avg_pool((2, 2))["count_include_pad"]
    True
    """
    arguments = max_pool(kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    return {**arguments, "count_include_pad": bool(count_include_pad)}


def upsample(
    *,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Arguments:
    """torch.nn.Upsample and torch.nn.functional.interpolate for :func:`jaxcnn.upsample`.

    >>> upsample(scale_factor=2, mode="bilinear", align_corners=True)
    {'scale_factor': 2, 'method': 'linear', 'coordinates': 'align_corners', 'rounding': 'floor'}
    """
    methods = {"nearest": "floor", "nearest-exact": "nearest"}
    methods |= dict.fromkeys(("linear", "bilinear", "trilinear"), "linear")
    coordinates = "asymmetric" if mode == "nearest" else "half_pixel"
    return {
        **({"scale_factor": scale_factor} if size is None else {"output_size": size}),
        "method": methods[choice("mode", mode, tuple(methods))],
        "coordinates": "align_corners" if align_corners else coordinates,
        "rounding": "floor",
    }


def lp_pool(
    norm_type: float,
    kernel_size: Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
) -> Arguments:
    """torch.nn.LPPool1d, 2d, 3d for :func:`jaxcnn.lp_pool`.

    PyTorch raises the cells to the power, jaxcnn their magnitudes: the values agree for even powers
    and for nonnegative cells. PyTorch's ceil_mode, which scales the sum of an overhanging window,
    is not supported.

    >>> lp_pool(2, (3,), stride=1)["p"]
    2
    """
    return {**max_pool(kernel_size, stride=stride), "p": norm_type}


def unfold(
    kernel_size: Sequence[int],
    *,
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> Arguments:
    """torch.nn.Unfold for :func:`jaxcnn.unfold`, whose patches have another order of channels.

    >>> unfold((2, 2), stride=2)["rounding"]
    'floor'
    """
    return max_pool(kernel_size, stride=stride, padding=padding, dilation=dilation)


def fold(
    output_size: Sequence[int],
    kernel_size: Sequence[int],
    *,
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> Arguments:
    """torch.nn.Fold for :func:`jaxcnn.fold`, whose patches have another order of channels.

    >>> fold((4, 4), (2, 2), stride=2)["output_size"]
    (4, 4)
    """
    arguments = unfold(kernel_size, dilation=dilation, padding=padding, stride=stride)
    del arguments["rounding"]
    sizes = per_axis("output_size", output_size, len(arguments["kernel_size"]), least=1)
    return {**arguments, "output_size": sizes}
