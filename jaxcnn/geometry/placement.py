"""Windows on all spatial axes at once, with tested advice for whole arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from jaxcnn.errors import Advice, InputError
from jaxcnn.geometry.check import choice, integer, per_axis
from jaxcnn.geometry.padding import Padding, resolve_padding
from jaxcnn.geometry.window import ROUNDINGS, Window, axis_names, size_tuple

Check = Callable[[Sequence[Window], str], None]
"""An operation's own check: raises an InputError for windows that the operation does not support.

The second argument is the caller's rounding. The windows may have been placed with ``"floor"``
although it is ``"exact"``.
"""


def _accept_any(_windows: Sequence[Window], _rounding: str) -> None:
    """The check of an operation that supports all windows."""


def place_windows(
    sizes: Sequence[int],
    kernel_sizes: int | Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
    check: Check = _accept_any,
) -> tuple[Window, ...]:
    """One checked window for each axis.

    Args:
      sizes: N, one for each axis.
      kernel_sizes: F, one for all axes or one for each.
      stride, padding, dilation: as in :func:`jaxcnn.conv`.
      rounding: as in :class:`jaxcnn.geometry.Window`.
      check: raises if the operation does not support the windows. It runs before the error about
        unread cells, which another rounding would avoid. Advice that it refuses is not given.

    Raises:
      InputError: if a window is impossible; names the axis (height, ...), its numbers and what to
        use instead.
      TypeError: if an entry is not an integer.

    >>> [window.output for window in place_windows((7, 9), 3, stride=(1, 2))]
    [5, 4]
    """
    choice("rounding", rounding, ROUNDINGS)
    sizes = size_tuple("sizes", sizes)
    axes, names = len(sizes), axis_names(len(sizes))
    named = zip(names, sizes, strict=True)
    sizes = tuple(integer(name, size, least=1, symbolic=True) for name, size in named)
    kernel_sizes = per_axis("kernel_size", kernel_sizes, axes, least=1)
    strides = per_axis("stride", stride, axes, least=1)
    dilations = per_axis("dilation", dilation, axes, least=1)

    def place(sizes: Sequence[int], padding: Padding, rounding: str) -> tuple[Window, ...]:
        pairs = resolve_padding(padding, sizes, kernel_sizes, stride=strides, dilation=dilations)
        numbers = zip(sizes, kernel_sizes, strides, pairs, dilations, strict=True)
        makers = [partial(Window, *entries, rounding=rounding) for entries in numbers]
        return collect_windows(makers, sizes=sizes, padding=pairs)

    def succeeds(argument: str, value: Any) -> bool:
        changed: dict[str, Any] = {"sizes": sizes, "padding": padding, "rounding": rounding}
        if argument in names:
            axis, argument = names.index(argument), "sizes"
            value = (*sizes[:axis], value, *sizes[axis + 1 :])
        changed[argument] = value
        try:
            check(place(**changed), changed["rounding"])
        except InputError:
            return False
        return True

    try:
        windows = place(sizes, padding, rounding)
    except InputError as error:
        if not error.advice:
            raise
        try:
            floored = place(sizes, padding, "floor")
        except InputError:
            floored = ()
        check(floored, rounding)
        advice = list(_that_succeeds(error.advice, succeeds))
        advice = advice or ["another kernel size, stride or dilation"]
        raise InputError(error.args[0], *advice) from None
    check(windows, rounding)
    return windows


def _that_succeeds(
    advice: Sequence[Advice | str], succeeds: Callable[[str, Any], bool]
) -> Iterator[Advice | str]:
    """The advice without the values that fail; advice in words cannot be tested and is kept."""
    for each in advice:
        if isinstance(each, str):
            yield each
        elif values := tuple(value for value in each.values if succeeds(each.argument, value)):
            yield replace(each, values=values)


def collect_windows(
    makers: Sequence[partial[Window]], **arguments: Sequence[Any]
) -> tuple[Window, ...]:
    """The windows that ``makers`` return, one for each axis; one error for all axes that fail.

    Args:
      makers: take the name of their axis as ``axis``.
      arguments: the arguments that advice may be about, with one entry for each axis. The advice of
        single axes is merged into values for all axes, which can be typed as they stand.
    """
    windows, errors = [], {}
    names = axis_names(len(makers))
    for i, (make, name) in enumerate(zip(makers, names, strict=True)):
        try:
            windows.append(make(axis=name))
        except InputError as error:
            if not error.advice:
                raise
            errors[i] = error
    if not errors:
        return tuple(windows)
    reasons: dict[str, str] = {}
    for i, error in errors.items():
        numbers = repr((makers[i].args, makers[i].keywords))
        reasons[numbers] = (
            f"{reasons[numbers]} Likewise on {names[i]}." if numbers in reasons else error.args[0]
        )
    raise InputError(" ".join(reasons.values()), *_merge_advice(errors, names, arguments))


def _merge_advice(
    errors: dict[int, InputError],
    names: Sequence[str],
    arguments: Mapping[str, Sequence[Any]],
) -> Iterator[Advice | str]:
    """The advice that the errors of all failing axes share, as values for all axes."""
    several = len(errors) > 1

    def subject(advice: Advice | str, axis: str) -> str:
        if isinstance(advice, str):
            return advice
        return "sizes" if several and advice.argument == axis else advice.argument

    by_axis = {i: {subject(a, names[i]): a for a in e.advice} for i, e in errors.items()}
    for about, first in next(iter(by_axis.values())).items():
        if not all(about in others for others in by_axis.values()):
            continue
        if about not in arguments:
            yield replace(first, note="") if several and isinstance(first, Advice) else first
            continue
        found = ((i, each[about]) for i, each in by_axis.items())
        values = {i: advice.values for i, advice in found if isinstance(advice, Advice)}
        choices = []
        for nth in range(max(map(len, values.values()))):
            entries = list(arguments[about])
            for i, own in values.items():
                entries[i] = own[min(nth, len(own) - 1)]
            choices.append(tuple(entries))
        yield Advice(about, tuple(choices))
