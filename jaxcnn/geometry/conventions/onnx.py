"""ONNX's arithmetic. Source: the operators of opset 22, https://onnx.ai/onnx/operators.

The arguments are the operators' attributes; ``pads`` lists all beginnings, then all ends. The
default stride is 1, also for pools. GlobalMaxPool, GlobalAveragePool and GlobalLpPool are
``global_max_pool``, ``global_avg_pool`` and ``global_lp_pool`` with ``keepdims=True``. DepthToSpace
is ``pixel_shuffle`` with its mode as the order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxcnn.errors import InputError
from jaxcnn.geometry.check import choice, integer, is_sequence, per_axis
from jaxcnn.geometry.conventions._common import Arguments, extents, sizes_per_axis, transposed

if TYPE_CHECKING:
    from collections.abc import Sequence

AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")

PAD_MODES = {"constant": "zeros", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}

_NAMES = {"SAME_UPPER": "SAME", "SAME_LOWER": "SAME_LOWER", "VALID": "VALID"}


def conv(
    kernel_shape: Sequence[int],
    *,
    auto_pad: str = "NOTSET",
    dilations: int | Sequence[int] = 1,
    group: int = 1,
    pads: Sequence[int] | None = None,
    strides: int | Sequence[int] = 1,
) -> Arguments:
    """Conv, ConvInteger and QLinearConv, for ``conv``, ``conv_integer`` and ``quantized_conv``.

    SAME_UPPER is jaxcnn's SAME.

    >>> conv((3, 3), pads=(1, 0, 2, 0))["padding"]
    ((1, 2), (0, 0))
    """
    kernel_size = sizes_per_axis("kernel_shape", kernel_shape)
    return {
        "stride": per_axis("strides", strides, len(kernel_size), least=1),
        "padding": _padding(auto_pad, pads, len(kernel_size)),
        "dilation": per_axis("dilations", dilations, len(kernel_size), least=1),
        "groups": group,
        "rounding": "floor",
    }


def conv_transpose(
    kernel_shape: Sequence[int],
    *,
    auto_pad: str = "NOTSET",
    dilations: int | Sequence[int] = 1,
    group: int = 1,
    output_padding: int | Sequence[int] = 0,
    output_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: int | Sequence[int] = 1,
    sizes: Sequence[int] | None = None,
) -> Arguments:
    """ConvTranspose for :func:`jaxcnn.conv_transpose`.

        output = (k - 1)s + output_padding + F' - begin - end

    With ``output_shape``, or with auto_pad SAME_* (k*s cells), this formula gives the total begin +
    end. SAME_UPPER crops floor(total/2) cells at the beginning, the other values of auto_pad crop
    them at the end; the rest is cropped on the other side. A negative total adds cells by the same
    rule, as in ONNX's reference evaluator; ONNX Runtime adds them all at the end.

    Args:
      kernel_shape, auto_pad, dilations, group, output_padding, output_shape, pads, strides: the
        operator's attributes; ``output_shape`` overrides ``pads``.
      sizes: the input's spatial sizes, k; required with ``output_shape``.

    >>> conv_transpose((3,), strides=2, output_shape=(6,), sizes=(3,))["padding"]
    ((1, 0),)
    """
    kernel_size = sizes_per_axis("kernel_shape", kernel_shape)
    axes = len(kernel_size)
    strides = per_axis("strides", strides, axes, least=1)
    dilations = per_axis("dilations", dilations, axes, least=1)
    extras = per_axis("output_padding", output_padding, axes, least=0)
    spans = extents(kernel_size, dilations)
    choice("auto_pad", auto_pad, AUTO_PADS)
    if output_shape is not None:
        if sizes is None:
            raise InputError(
                f"output_shape {tuple(output_shape)} needs a padding that depends on the input; "
                f"give its spatial sizes too, sizes=x.shape[1:-1]"
            )
        wanted = per_axis("output_shape", output_shape, axes, least=1)
        given = per_axis("sizes", sizes, axes, least=1)
        totals = [
            (k - 1) * s + extra + span - out
            for k, s, extra, span, out in zip(given, strides, extras, spans, wanted, strict=True)
        ]
    elif auto_pad.startswith("SAME"):
        totals = [f - s + extra for f, s, extra in zip(spans, strides, extras, strict=True)]
    else:
        pairs = _pairs(auto_pad, pads, axes)
        crops = [(low, high - extra) for (low, high), extra in zip(pairs, extras, strict=True)]
        return transposed(strides, crops, dilations, group)
    crops = []
    for total, extra in zip(totals, extras, strict=True):
        half = total // 2
        low = half if auto_pad == "SAME_UPPER" else total - half
        crops.append((low, total - low - extra))
    return transposed(strides, crops, dilations, group)


def max_pool(
    kernel_shape: Sequence[int],
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: int | Sequence[int] = 1,
    pads: Sequence[int] | None = None,
    strides: int | Sequence[int] = 1,
) -> Arguments:
    """MaxPool for :func:`jaxcnn.max_pool` and ``max_pool_with_indices``.

    With ``ceil_mode`` a last window overhangs, unless it would start beyond the input. With
    auto_pad ``ceil_mode`` has no effect. storage_order 1 is ``index_order="column_major"``.

    >>> max_pool((3, 3), ceil_mode=1, pads=(0, 0, 1, 1))["rounding"]
    'ceil'
    """
    kernel_size = sizes_per_axis("kernel_shape", kernel_shape)
    return {
        "kernel_size": kernel_size,
        "stride": per_axis("strides", strides, len(kernel_size), least=1),
        "padding": _padding(auto_pad, pads, len(kernel_size)),
        "dilation": per_axis("dilations", dilations, len(kernel_size), least=1),
        "rounding": "ceil" if ceil_mode and auto_pad == "NOTSET" else "floor",
    }


def avg_pool(
    kernel_shape: Sequence[int],
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: int | Sequence[int] = 1,
    pads: Sequence[int] | None = None,
    strides: int | Sequence[int] = 1,
) -> Arguments:
    """AveragePool for :func:`jaxcnn.avg_pool`; sizes as for :func:`max_pool`.

    >>> avg_pool((2, 2), count_include_pad=1)["count_include_pad"]
    True
    """
    arguments = max_pool(
        kernel_shape,
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
        dilations=dilations,
        pads=pads,
        strides=strides,
    )
    return {**arguments, "count_include_pad": bool(count_include_pad)}


def lp_pool(
    kernel_shape: Sequence[int],
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: int | Sequence[int] = 1,
    p: int = 2,
    pads: Sequence[int] | None = None,
    strides: int | Sequence[int] = 1,
) -> Arguments:
    """LpPool for :func:`jaxcnn.lp_pool`; sizes as for :func:`max_pool`.

    >>> lp_pool((2, 2), p=3)["p"]
    3
    """
    arguments = max_pool(
        kernel_shape,
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
        dilations=dilations,
        pads=pads,
        strides=strides,
    )
    return {**arguments, "p": p}


def upsample(
    *,
    scales: Sequence[float] | None = None,
    sizes: Sequence[int] | None = None,
    mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
) -> Arguments:
    """Resize for :func:`jaxcnn.upsample`, with scales or sizes of the spatial axes alone.

    pytorch_half_pixel is half_pixel, except for an output of one cell. With align_corners, the last
    cell is at size - 1, as in ONNX Runtime; if scales give a fraction of a cell, ONNX's node tests
    place it beyond.

    >>> upsample(scales=(2.0, 3.0))["method"], upsample(sizes=(4, 4), mode="linear")["output_size"]
    ('round_prefer_floor', (4, 4))
    """
    if (scales is None) == (sizes is None):
        raise InputError("Resize takes scales or sizes; give one of them")
    coordinates = {name: name for name in ("half_pixel", "align_corners", "asymmetric")}
    if sizes is None or 1 not in sizes:
        coordinates["pytorch_half_pixel"] = "half_pixel"
    choice("coordinate_transformation_mode", coordinate_transformation_mode, tuple(coordinates))
    choice("mode", mode, ("nearest", "linear"))
    methods = {name: name for name in ("round_prefer_floor", "floor", "ceil")}
    methods["round_prefer_ceil"] = "nearest"
    choice("nearest_mode", nearest_mode, tuple(methods))
    given = {"output_size": tuple(sizes)} if sizes is not None else {"scale_factor": scales}
    return {
        **given,
        "method": "linear" if mode == "linear" else methods[nearest_mode],
        "coordinates": coordinates[coordinate_transformation_mode],
        "rounding": "floor",
    }


def fold(
    image_shape: Sequence[int],
    block_shape: Sequence[int],
    *,
    dilations: int | Sequence[int] = 1,
    pads: Sequence[int] | None = None,
    strides: int | Sequence[int] = 1,
) -> Arguments:
    """Col2Im for :func:`jaxcnn.fold`, which describes how its columns become patches.

    >>> fold((5, 5), (1, 5))["output_size"]
    (5, 5)
    """
    arguments = max_pool(block_shape, dilations=dilations, pads=pads, strides=strides)
    del arguments["rounding"]
    axes = len(arguments["kernel_size"])
    return {**arguments, "output_size": per_axis("image_shape", image_shape, axes, least=1)}


def max_unpool(
    kernel_shape: Sequence[int],
    *,
    pads: Sequence[int] | None = None,
    strides: int | Sequence[int] = 1,
    sizes: Sequence[int],
) -> Arguments:
    """MaxUnpool for :func:`jaxcnn.max_unpool`: (k - 1)s + kernel - begin - end cells on each axis.

    An index counts from the first cell of its feature map here, of the whole tensor in ONNX: use
    ``indices % cells``. If there is an output_shape, ONNX's published test adds zeros at the end of
    this result (:func:`jaxcnn.pad`), while ONNX Runtime takes it as ``output_size``, in which the
    indices count.

    Args:
      kernel_shape, pads, strides: the operator's attributes.
      sizes: the input's spatial sizes, k.

    >>> max_unpool((2, 2), strides=2, sizes=(3, 4))
    {'output_size': (6, 8)}
    """
    arguments = max_pool(kernel_shape, pads=pads, strides=strides)
    given = per_axis("sizes", sizes, len(arguments["kernel_size"]), least=1)
    numbers = (arguments[name] for name in ("kernel_size", "stride", "padding"))
    layouts = zip(given, *numbers, strict=True)
    return {"output_size": tuple((k - 1) * s + f - sum(pair) for k, f, s, pair in layouts)}


def pad(
    pads: Sequence[int],
    *,
    mode: str = "constant",
    constant_value: Any = 0,
    axes: Sequence[int] | None = None,
    rank: int,
) -> Arguments:
    """Pad for :func:`jaxcnn.pad`, for an operator that leaves batch and channels as they are.

    Negative pads cut cells off before others are added, as in ONNX Runtime.

    Args:
      pads, mode, constant_value, axes: the operator's inputs and attributes.
      rank: the number of axes of the operator's data, (N, C, *spatial).

    >>> pad((0, 0, 1, 0, 0, 2), mode="edge", rank=3)["padding"]
    ((1, 2),)
    """
    listed = range(rank) if axes is None else [axis % rank for axis in axes]
    given = _pairs("NOTSET", pads, len(listed), least=None)
    pairs = dict(zip(listed, given, strict=True))
    if any(pairs.get(0, ()) + pairs.get(1, ())):
        raise InputError(
            f"pads {tuple(pads)} change batch or channels, which jaxcnn.pad does not; use jnp.pad"
        )
    choice("mode", mode, tuple(PAD_MODES))
    value = {"value": constant_value} if mode == "constant" else {}
    padding = tuple(pairs.get(axis, (0, 0)) for axis in range(2, rank))
    return {"padding": padding, "padding_mode": PAD_MODES[mode], **value}


def _padding(
    auto_pad: str, pads: Sequence[int] | None, axes: int
) -> str | tuple[tuple[int, int], ...]:
    choice("auto_pad", auto_pad, AUTO_PADS)
    pairs = _pairs(auto_pad, pads, axes)
    return pairs if auto_pad == "NOTSET" else _NAMES[auto_pad]


def _pairs(
    auto_pad: str, pads: Sequence[int] | None, axes: int, *, least: int | None = 0
) -> tuple[tuple[int, int], ...]:
    """(begin, end) for each axis, from ONNX's list of all beginnings and then all ends."""
    if pads is None:
        return ((0, 0),) * axes
    if auto_pad != "NOTSET":
        raise InputError(
            f"pads {pads!r} and auto_pad {auto_pad!r} exclude each other; use auto_pad 'NOTSET', "
            f"or no pads"
        )
    if not is_sequence(pads) or len(pads) != 2 * axes:
        raise InputError(
            f"pads {pads!r} must list {axes} beginnings and then {axes} ends, one for each spatial "
            f"axis; use {(0,) * 2 * axes} for none"
        )
    ends = tuple(integer("pads", cells, least=least) for cells in pads)
    return tuple(zip(ends[:axes], ends[axes:], strict=True))
