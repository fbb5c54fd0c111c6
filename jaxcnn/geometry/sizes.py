"""Output sizes, forwards and transposed, on one axis and on several, and the exact ones nearby."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from jaxcnn.errors import Advice, InputError
from jaxcnn.geometry._symbolic import is_symbolic, known
from jaxcnn.geometry.check import choice, integer, is_sequence, per_axis
from jaxcnn.geometry.padding import NAMES, Padding, resolve_padding
from jaxcnn.geometry.window import (
    ROUNDINGS,
    Window,
    as_sizes,
    axis_names,
    effective_kernel_size,
    first_empty,
)

Check = Callable[[Sequence[Window], str], None]
"""What an operation asks of its windows beyond their layout, given the rounding that was asked for;
where that is exact, the windows may be rounded all the same."""


def _take_any(laid: Sequence[Window], rounding: str) -> None:
    """The check of an operation that takes whatever windows there are."""


def windows(
    sizes: Sequence[int],
    filters: int | Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
    check: Check = _take_any,
) -> tuple[Window, ...]:
    """The checked window on each axis; errors name the axis (height, width, ...).

    ``check`` raises where the operation cannot take the windows. Nothing is advised that it would
    refuse; and what it refuses is said before cells that are left unread, for no rounding mends it.

    >>> [w.output for w in windows((7, 9), 3, stride=(1, 2))]
    [5, 4]
    """
    choice("rounding", rounding, ROUNDINGS)
    sizes = as_sizes("sizes", sizes)
    axes, names = len(sizes), axis_names(len(sizes))
    named = zip(names, sizes, strict=True)
    sizes = tuple(integer(name, size, least=1, symbolic=True) for name, size in named)
    filters = per_axis("kernel_size", filters, axes, least=1)
    strides = per_axis("stride", stride, axes, least=1)
    dilations = per_axis("dilation", dilation, axes, least=1)

    def lay(sizes: Sequence[int], padding: Padding, rounding: str) -> tuple[Window, ...]:
        pairs = resolve_padding(padding, sizes, filters, stride=strides, dilation=dilations)
        numbers = zip(sizes, filters, strides, pairs, dilations, strict=True)
        each = [partial(Window, *entries, rounding=rounding) for entries in numbers]
        return on_every_axis(each, sizes=sizes, padding=pairs)

    def succeeds(argument: str, value: Any) -> bool:
        changed: dict[str, Any] = {"sizes": sizes, "padding": padding, "rounding": rounding}
        if argument in names:
            axis, argument = names.index(argument), "sizes"
            value = (*sizes[:axis], value, *sizes[axis + 1 :])
        changed[argument] = value
        try:
            check(lay(**changed), changed["rounding"])
        except InputError:
            return False
        return True

    try:
        laid = lay(sizes, padding, rounding)
    except InputError as error:
        if not error.advice:
            raise
        try:
            floored = lay(sizes, padding, "floor")
        except InputError:
            floored = ()
        check(floored, rounding)
        ways = list(_possible(error.advice, succeeds))
        raise InputError(error.args[0], *(ways or ["another filter, stride or dilation"])) from None
    check(laid, rounding)
    return laid


def _possible(
    advice: Sequence[Advice | str], succeeds: Callable[[str, Any], bool]
) -> Iterator[Advice | str]:
    """What succeeds of an advice, value by value; words that cannot be tried stay."""
    for way in advice:
        if isinstance(way, str):
            yield way
        elif values := tuple(value for value in way.values if succeeds(way.argument, value)):
            yield replace(way, values=values)


def on_every_axis(lay: Sequence[partial[Window]], **given: Sequence[Any]) -> tuple[Window, ...]:
    """The window that each of ``lay`` gives, told what its axis is called.

    What an axis by itself advises is put together to what can be typed for all of them; ``given``
    are the arguments, with an entry an axis, that advice may be about.
    """
    laid, errors = [], {}
    names = axis_names(len(lay))
    for i, (make, name) in enumerate(zip(lay, names, strict=True)):
        try:
            laid.append(make(axis=name))
        except InputError as error:
            if not error.advice:
                raise
            errors[i] = error
    if not errors:
        return tuple(laid)
    reasons: dict[str, str] = {}
    for i, error in errors.items():
        numbers = repr((lay[i].args, lay[i].keywords))
        reasons[numbers] = (
            f"{reasons[numbers]} Likewise on {names[i]}." if numbers in reasons else error.args[0]
        )
    why = " ".join(reasons.values())
    raise InputError(why, *_together(errors, names, given))


def lessened(window: Window, most: tuple[int, int], rounding: str) -> tuple[int, int] | None:
    """The padding next below the window's that is nowhere above ``most``, if there is one.

    >>> lessened(Window(5, 3, stride=2, padding=(4, 2)), (1, 2), "exact")
    (1, 1)
    """
    low, high = (min(pair) for pair in zip(window.padding, most, strict=True))
    steps = range(window.stride)  # to where the layout is exact again
    fewer = [(low, high - n) for n in steps] + [(low - n, high) for n in steps]
    for pair in fewer:
        if min(pair) < 0:
            continue
        try:
            return replace(window, padding=pair, rounding=rounding).padding
        except InputError:
            continue
    return None


def less_padding(
    laid: Sequence[Window], most: Sequence[tuple[int, int]], rounding: str
) -> list[Advice]:
    """The advice to pad every axis by no more than ``most``, where that is possible."""
    pairs = tuple(lessened(window, pair, rounding) for window, pair in zip(laid, most, strict=True))
    return [] if None in pairs else [Advice("padding", (pairs,))]


def padding_under_windows(laid: Sequence[Window], rounding: str) -> Sequence[Advice | str]:
    """The advice to pad no more than leaves each window a real cell; in words, if not by itself."""
    reach = [(window.extent - 1, window.extent - 1) for window in laid]
    advice = less_padding(laid, reach, rounding)
    for way in advice:
        pads = zip(laid, way.values[0], strict=True)
        if any(first_empty(replace(window, padding=pair)) is not None for window, pair in pads):
            return ["less padding"]
    return advice or ["less padding"]


def _together(
    errors: dict[int, InputError],
    names: Sequence[str],
    given: Mapping[str, Sequence[Any]],
) -> Iterator[Advice | str]:
    """What every one of the axes' errors advises, as values for all axes."""
    several = len(errors) > 1

    def subject(way: Advice | str, axis: str) -> str:
        if isinstance(way, str):
            return way
        return "sizes" if several and way.argument == axis else way.argument

    ways = {i: {subject(way, names[i]): way for way in e.advice} for i, e in errors.items()}
    for about, first in next(iter(ways.values())).items():
        if not all(about in others for others in ways.values()):
            continue
        if about not in given:
            yield replace(first, note="") if several and isinstance(first, Advice) else first
            continue
        choices = []
        found = ((i, each[about]) for i, each in ways.items())
        values = {i: way.values for i, way in found if isinstance(way, Advice)}
        for nth in range(max(map(len, values.values()))):
            entries = list(given[about])
            for i, own in values.items():
                entries[i] = own[min(nth, len(own) - 1)]
            choices.append(tuple(entries))
        yield Advice(about, tuple(choices))


def output_size(
    size: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: str | int | tuple[int, int] = 0,
    dilation: int = 1,
    rounding: str = "exact",
) -> int:
    """k = (N + lo + hi - F')/s + 1 on one axis, a whole number or an error.

    Args:
      size: N, cells on the axis.
      kernel_size: F, taps.
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
    jaxcnn.errors.InputError: size 7 with kernel_size 3, stride 3, padding (0, 0) gives \
(7 + 0 + 0 - 3)/3 + 1 = 2.333... outputs; 2.333... is not an integer: 1 row at the end would \
never be read. Use padding=(0, 2), size 6 or 9, or rounding="floor" to drop it.
    """
    pair = _one_axis(padding, size, kernel_size, stride=stride, dilation=dilation)
    return Window(size, kernel_size, stride, pair, dilation, rounding).output


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
    kernel_size: int,
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
        pair = _one_axis(padding, candidate, kernel_size, stride=stride, dilation=dilation)
        room = candidate + sum(pair) - effective_kernel_size(kernel_size, dilation)
        return room >= 0 and room % stride == 0

    if exact(size):
        return (size,)
    # Remainders repeat with the stride; from the filter's extent on there is room.
    reach = stride + max(size, effective_kernel_size(kernel_size, dilation))
    below = next((n for n in range(size - 1, 0, -1) if exact(n)), None)
    above = next((n for n in range(size + 1, reach + 1) if exact(n)), None)
    return tuple(n for n in (below, above) if n is not None)


def transposed_output_size(
    size: int,
    kernel_size: int,
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
    many of them there are. Padding below 0 adds cells that it would have cut off. By name, SAME and
    SAME_LOWER give N = k*s.

    >>> transposed_output_size(4, 4, stride=2, padding=1), transposed_output_size(3, 3, stride=2)
    (8, 7)
    >>> transposed_output_size(3, 3, stride=2, padding="SAME")
    6
    """
    return transposed_window(
        size,
        kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        output_padding=output_padding,
    ).size


def transposed_window(
    size: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: str | int | tuple[int, int] = 0,
    dilation: int = 1,
    output_size: int | None = None,
    output_padding: int = 0,
    axis: str = "size",
) -> Window:
    """The window, with k = ``size`` outputs, that a transposed convolution is the transpose of.

    With stride s there are s sizes that give k outputs (with ``rounding="floor"``); which one is
    meant is said by ``output_padding``, as in :func:`transposed_output_size`, or by ``output_size``
    itself, which takes any of the s sizes under a name too: SAME gives k outputs for
    (k-1)s + 1 ... ks cells.

    Raises:
      InputError: where no size is left, or ``output_size`` is none of them, saying which there are.

    >>> transposed_window(3, 3, stride=2, output_size=8).size
    8
    >>> transposed_window(3, 3, stride=2, padding="SAME", output_size=5).padding
    (1, 1)
    """
    size = integer(axis, size, least=1, symbolic=True)
    stride = integer("stride", stride, least=1)
    extra = integer("output_padding", output_padding, least=0)
    extent = effective_kernel_size(kernel_size, dilation)
    if extra and output_size is not None:
        raise InputError(
            f"output_size {output_size} and output_padding {extra} say the same thing twice; use "
            f"one of them"
        )
    if extra >= stride:
        more, rest = divmod(extra, stride)
        raise InputError(
            f"output_padding {extra} must be below stride {stride}: the convolution that this one "
            f"transposes would have {more} outputs more.",
            Advice("output_padding", tuple(sorted({0, stride - 1}))),
            f"{axis} {size + more} with output_padding={rest}",
            "padding below 0 for more cells that no window reads",
        )
    asked = (
        f"{axis} {size} transposed with kernel_size {kernel_size}, stride {stride}, dilation {dilation}, "
        f"padding"
    )
    if isinstance(padding, str) and padding.upper().startswith("SAME"):
        choice("padding", padding.upper(), NAMES)
        if extra:
            raise InputError(
                f"padding {padding.upper()} fixes the output at size*stride = {size * stride}, "
                f"output_padding was {extra}; use output_size, or give the padding as a pair"
            )
        asked = f"{asked} {padding.upper()}"
        pair = None
        least = (size - 1) * stride + 1
        wanted = size * stride
    else:
        pair = _one_axis(padding, size, kernel_size, stride=stride, dilation=dilation, least=None)
        asked = f"{asked} {pair}"
        least = (size - 1) * stride + extent - sum(pair)
        wanted = least + extra
        unknown = is_symbolic(wanted)
        if not unknown and (least + stride <= 1 or (output_size is None and wanted < 1)):
            first = 1 - extra if output_size is None else output_size - stride + 1
            raise InputError(
                f"{asked} gives ({size} - 1)*{stride} + {extent} - {sum(pair)} + {extra} = "
                f"{wanted} cells.",
                Advice("padding", (_padding_more(pair, least - first),)),
            )
    if is_symbolic(wanted) or is_symbolic(output_size):
        wanted = _symbolic_size(asked, axis, wanted, least, stride, output_size)
    elif output_size is not None:
        wanted = integer("output_size", output_size, least=1)
        possible = range(max(1, least), least + stride)
        if wanted not in possible:
            first = min(wanted, max(least, wanted - stride + 1))
            raise InputError(
                f"{asked} cannot give {wanted} cells, output_size: a convolution has {size} "
                f"outputs on {_listed(possible)} cells.",
                Advice("output_size", tuple(sorted({possible[0], possible[-1]}))),
                *([Advice("padding", (_padding_more(pair, least - first),))] if pair else []),
            )
    pair = _one_axis(padding, wanted, kernel_size, stride=stride, dilation=dilation, least=None)
    return Window(wanted, kernel_size, stride, pair, dilation, "floor", axis)


def _padding_more(pair: tuple[int, int], cells: int) -> tuple[int, int]:
    """The pair with so many cells more (or, below 0, fewer), at the end where that is possible."""
    most = sum(pair) + cells
    low = min(pair[0], most)
    return low, most - low


def _symbolic_size(
    asked: str, axis: str, wanted: Any, least: Any, stride: int, output_size: Any
) -> Any:
    """The size, where it is symbolic, of the ``stride`` from ``least`` on that is meant."""
    if output_size is None:
        return integer(axis, wanted, least=1, symbolic=True)
    if not known(lambda: least <= output_size) or not known(lambda: output_size < least + stride):
        raise InputError(
            f"{asked} gives {least} cells, and up to {stride - 1} more; that output_size "
            f"{output_size} is one of these is not known; use output_padding"
        )
    return output_size


def _listed(numbers: range) -> str:
    if len(numbers) <= 4:
        return " or ".join(map(str, numbers))
    return f"{numbers[0]} to {numbers[-1]}"


def _one_axis(
    padding: Any, size: int, kernel_size: int, *, stride: int, dilation: int, least: int | None = 0
) -> tuple[int, int]:
    # On one axis a flat pair is (before, after), not one integer for each of two axes.
    if is_sequence(padding) and len(padding) == 2:
        padding = [padding]
    return resolve_padding(
        padding, (size,), (kernel_size,), stride=stride, dilation=dilation, least=least
    )[0]
