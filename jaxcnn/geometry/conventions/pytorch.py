"""PyTorch's arithmetic. Source: the documentation of torch.nn, version 2.13.

Where the names are the same, so are the meanings: ``adaptive_*_pool``, ``max_pool_with_indices``
(MaxPool with return_indices, arguments by :func:`max_pool`), ``max_unpool``, ``pixel_shuffle``.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxcnn.errors import InputError
from jaxcnn.geometry.check import choice, per_axis
from jaxcnn.geometry.conventions._common import Arguments, extents, filters_of, transposed


def conv(
    kernel_size: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Arguments:
    """torch.nn.Conv1d, 2d, 3d for :func:`jaxcnn.conv`.

    ``"same"`` is d(F - 1) cells in all, the odd one after, at stride 1 alone; it does not depend on
    the input's size, and unlike Keras's is refused with another stride.

    >>> conv((4,), padding="same")
    {'stride': (1,), 'padding': ((1, 2),), 'dilation': (1,), 'groups': 1, 'rounding': 'floor'}
    """
    filters = filters_of("kernel_size", kernel_size)
    axes = len(filters)
    strides = per_axis("stride", stride, axes, least=1)
    dilations = per_axis("dilation", dilation, axes, least=1)
    if isinstance(padding, str):
        choice("padding", padding, ("valid", "same"))
        if padding == "same" and max(strides) > 1:
            raise InputError(
                f'padding "same" at stride {strides} is refused by PyTorch; use stride 1, padding '
                f'in numbers, or jaxcnn\'s padding="SAME" for ceil(size/stride) outputs'
            )
        totals = [e - 1 if padding == "same" else 0 for e in extents(filters, dilations)]
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

    (k - 1)s - 2p + F' + output_padding cells. The output padding, which must be below the stride or
    the dilation, is taken from the padding after.

    >>> conv_transpose((3,), stride=2, padding=1, output_padding=1)["padding"]
    ((1, 0),)
    """
    filters = filters_of("kernel_size", kernel_size)
    axes = len(filters)
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
    windows = filters_of("kernel_size", kernel_size)
    axes = len(windows)
    return {
        "window": windows,
        "stride": windows if stride is None else per_axis("stride", stride, axes, least=1),
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

    The padding counts, unless it is said otherwise; what overhangs it never does.

    >>> avg_pool((2, 2))["count_include_pad"]
    True
    """
    arguments = max_pool(kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    return {**arguments, "count_include_pad": bool(count_include_pad)}


def lp_pool(
    norm_type: float,
    kernel_size: Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
) -> Arguments:
    """torch.nn.LPPool1d, 2d, 3d for :func:`jaxcnn.lp_pool`.

    PyTorch raises cells and not their magnitudes to the power: the values are its own for even
    powers and for cells that are not negative. Its ceil_mode, which multiplies the sum under a
    window that overhangs, has no like here.

    >>> lp_pool(2, (3,), stride=1)["p"]
    2
    """
    return {**max_pool(kernel_size, stride=stride), "p": norm_type}
