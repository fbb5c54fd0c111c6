"""Output sizes, forwards and transposed, on one axis and on several, and the exact ones nearby."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxcnn.errors import InputError
from jaxcnn.geometry._check import choice, integer, is_sequence, per_axis
from jaxcnn.geometry.padding import NAMES, Padding, resolve_padding
from jaxcnn.geometry.window import Window, as_sizes, axis_names, effective_filter


def windows(
    sizes: Sequence[int],
    filters: int | Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
) -> tuple[Window, ...]:
    """The checked window on each axis; errors name the axis (height, width, ...).

    >>> [w.output for w in windows((7, 9), 3, stride=(1, 2))]
    [5, 4]
    """
    sizes = as_sizes("sizes", sizes)
    axes, names = len(sizes), axis_names(len(sizes))
    sizes = tuple(integer(name, size, least=1) for name, size in zip(names, sizes, strict=True))
    filters = per_axis("filter", filters, axes, least=1)
    strides = per_axis("stride", stride, axes, least=1)
    dilations = per_axis("dilation", dilation, axes, least=1)
    pairs = resolve_padding(padding, sizes, filters, stride=strides, dilation=dilations)
    return tuple(
        Window(*numbers[:5], rounding=rounding, axis=numbers[5])
        for numbers in zip(sizes, filters, strides, pairs, dilations, names, strict=True)
    )


def output_size(
    size: int,
    filter: int,
    *,
    stride: int = 1,
    padding: str | int | tuple[int, int] = 0,
    dilation: int = 1,
    rounding: str = "exact",
) -> int:
    """k = (N + lo + hi - F')/s + 1 on one axis, a whole number or an error.

    Args:
      size: N, cells on the axis.
      filter: F, taps.
      stride: s, in cells.
      padding: cells on both sides, a pair (before, after), or a name.
      dilation: d, cells from tap to tap.
      rounding: ``"exact"``, or ``"floor"`` to drop what no window reaches at the end.

    Raises:
      InputError: where k < 1, or is not whole and ``rounding`` is ``"exact"``.
      TypeError: where a number is not an integer.

    >>> output_size(7, 3), output_size(7, 3, stride=2), output_size(7, 3, padding=1)
    (5, 3, 7)
    >>> output_size(7, 3, stride=3)
    Traceback (most recent call last):
    jaxcnn.errors.InputError: size 7 with filter 3, stride 3, padding (0, 0) gives \
(7 + 0 + 0 - 3)/3 + 1 = 2.333... outputs; 2.333... is not an integer: 1 row at the end would \
never be read. Use padding (0, 2), size 6 or 9, or rounding="floor" to drop it.
    """
    pair = _one_axis(padding, size, filter, stride=stride, dilation=dilation)
    return Window(size, filter, stride, pair, dilation, rounding).output


def output_sizes(
    sizes: Sequence[int],
    filters: int | Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
) -> tuple[int, ...]:
    """:func:`output_size` on several axes at once; each argument may be one for all, or one each.

    >>> output_sizes((7, 9), 3, stride=(1, 2), padding="SAME")
    (7, 5)
    """
    laid = windows(
        sizes, filters, stride=stride, padding=padding, dilation=dilation, rounding=rounding
    )
    return tuple(window.output for window in laid)


def exact_sizes(
    size: int,
    filter: int,
    *,
    stride: int = 1,
    padding: str | int | tuple[int, int] = 0,
    dilation: int = 1,
) -> tuple[int, ...]:
    """The sizes nearest to ``size`` whose layout is exact: itself, or one below and one above.

    >>> exact_sizes(224, 7, stride=2, padding=3)
    (223, 225)
    >>> exact_sizes(223, 7, stride=2, padding=3)
    (223,)
    """
    size = integer("size", size, least=1)
    stride = integer("stride", stride, least=1)

    def exact(candidate: int) -> bool:
        pair = _one_axis(padding, candidate, filter, stride=stride, dilation=dilation)
        room = candidate + sum(pair) - effective_filter(filter, dilation)
        return room >= 0 and room % stride == 0

    if exact(size):
        return (size,)
    # Remainders repeat with the stride; from the filter's extent on there is room.
    reach = stride + max(size, effective_filter(filter, dilation))
    below = next((n for n in range(size - 1, 0, -1) if exact(n)), None)
    above = next((n for n in range(size + 1, reach + 1) if exact(n)), None)
    return tuple(n for n in (below, above) if n is not None)


def transposed_output_size(
    size: int,
    filter: int,
    *,
    stride: int = 1,
    padding: str | int | tuple[int, int] = 0,
    dilation: int = 1,
    output_padding: int = 0,
) -> int:
    """The size that a transposed window gives back: N = (k-1)s + F' - lo - hi + output_padding.

    The inverse of :func:`output_size`: a transposed convolution of k = ``size`` cells belongs to
    the convolution that has k outputs. At stride s > 1 that convolution could, with
    ``rounding="floor"``, have had up to s-1 cells more; ``output_padding`` (0 to s-1) says how
    many of them there are. By name, SAME and SAME_LOWER give N = k*s.

    >>> transposed_output_size(4, 4, stride=2, padding=1)
    8
    >>> transposed_output_size(3, 3, stride=2), transposed_output_size(3, 3, stride=2, padding="SAME")
    (7, 6)
    """
    size = integer("size", size, least=1)
    stride = integer("stride", stride, least=1)
    extra = integer("output_padding", output_padding, least=0)
    extent = effective_filter(filter, dilation)
    if extra >= stride:
        raise InputError(
            f"output_padding {extra} must be below stride {stride}: the convolution that this one "
            f"transposes would have one output more; use 0 to {stride - 1}, or size {size + 1}"
        )
    if isinstance(padding, str) and padding.upper().startswith("SAME"):
        choice("padding", padding.upper(), NAMES)
        if extra:
            raise InputError(
                f"padding {padding.upper()} fixes the output at size*stride = {size * stride}, "
                f"output_padding was {extra}; use output_padding=0, or give the padding as a pair"
            )
        return size * stride
    pair = _one_axis(padding, size, filter, stride=stride, dilation=dilation)
    full = (size - 1) * stride + extent - sum(pair) + extra
    if full < 1:
        raise InputError(
            f"size {size} transposed with filter {filter}, stride {stride}, dilation {dilation}, "
            f"padding {pair} gives ({size} - 1)*{stride} + {extent} - {sum(pair)} + {extra} = {full} "
            f"cells; use padding of at most {sum(pair) + full - 1} in all"
        )
    return full


def _one_axis(
    padding: Any, size: int, filter: int, *, stride: int, dilation: int
) -> tuple[int, int]:
    # On one axis a flat pair is (before, after), not one integer for each of two axes.
    if is_sequence(padding) and len(padding) == 2:
        padding = [padding]
    return resolve_padding(padding, (size,), (filter,), stride=stride, dilation=dilation)[0]
