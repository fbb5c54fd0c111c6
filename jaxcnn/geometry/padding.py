"""Paddings by name and by number, resolved to pairs (lo, hi).

VALID        (0, 0)                   every window is inside the input
SAME         outputs = ceil(N/s)      an odd cell goes after (TensorFlow, lax)
SAME_LOWER   outputs = ceil(N/s)      an odd cell goes before (ONNX)
FULL         (F'-1, F'-1)             every window that meets the input
CAUSAL       (F'-1, 0)                no output reads a later cell
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from jaxcnn.errors import InputError
from jaxcnn.geometry._symbolic import is_symbolic
from jaxcnn.geometry.check import choice, integer, is_sequence, per_axis
from jaxcnn.geometry.window import decimal, effective_kernel_size

Padding = str | int | Sequence[int] | Sequence[tuple[int, int]]
"""A name, one int for all sides, an int for each axis, or a pair (before, after) for each axis."""

PADDING_NAMES = ("VALID", "SAME", "SAME_LOWER", "FULL", "CAUSAL")


def padding_total(
    size: int, kernel_size: int, output: int, *, stride: int = 1, dilation: int = 1
) -> int:
    """The sum lo + hi that gives a window exactly ``output`` outputs: (k-1)s + F' - N.

    A negative sum is the number of cells to cut off.

    >>> padding_total(7, 3, 7), padding_total(7, 3, 4)
    (2, -1)
    """
    size = integer("size", size, least=1)
    output = integer("output", output, least=1)
    stride = integer("stride", stride, least=1)
    return (output - 1) * stride + effective_kernel_size(kernel_size, dilation) - size


def padding_for_output(
    size: int, kernel_size: int, output: int, *, stride: int = 1, dilation: int = 1
) -> tuple[int, int]:
    """The pair (lo, hi) that gives ``output`` outputs; an odd cell goes after.

    Raises:
      InputError: if cells would have to be cut off.

    >>> padding_for_output(7, 3, 7)
    (1, 1)
    >>> padding_for_output(224, 7, 112, stride=2)
    (2, 3)
    """
    total = padding_total(size, kernel_size, output, stride=stride, dilation=dilation)
    if total < 0:
        raise InputError(
            f"size {size} with kernel_size {kernel_size}, stride {stride}, dilation {dilation} has "
            f"{output} outputs only if {-total} of its cells are cut off; use size {size + total}, "
            f"a larger kernel or stride, or ask for more outputs"
        )
    return total // 2, total - total // 2


def size_preserving_padding(
    size: int, kernel_size: int, *, stride: int = 1, dilation: int = 1
) -> tuple[int, int]:
    """The pair (lo, hi) that gives as many outputs as inputs, k = N.

    Both sides are equal if p = ((N-1)s + F' - N)/2 is a whole number. Otherwise (at stride 1, for
    even F') the odd cell goes after.

    >>> size_preserving_padding(7, 3)
    (1, 1)
    >>> size_preserving_padding(7, 4)
    (1, 2)
    """
    return padding_for_output(size, kernel_size, size, stride=stride, dilation=dilation)


def describe_size_preserving_padding(
    size: int, kernel_size: int, *, stride: int = 1, dilation: int = 1
) -> str:
    """The size-preserving padding in words, with its formula filled in.

    >>> describe_size_preserving_padding(7, 3)
    'padding ((7 - 1)*1 + 3 - 7)/2 = 1 on both sides keeps size 7'
    >>> describe_size_preserving_padding(7, 4)
    'padding ((7 - 1)*1 + 4 - 7)/2 = 1.5 is not whole: the uneven pair (1, 2) keeps size 7'
    """
    low, high = size_preserving_padding(size, kernel_size, stride=stride, dilation=dilation)
    half = decimal(Fraction(low + high, 2))
    extent = effective_kernel_size(kernel_size, dilation)
    formula = f"padding (({size} - 1)*{stride} + {extent} - {size})/2 = {half}"
    if low == high:
        return f"{formula} on both sides keeps size {size}"
    return f"{formula} is not whole: the uneven pair {(low, high)} keeps size {size}"


def named_padding(
    name: str, size: int, kernel_size: int, *, stride: int = 1, dilation: int = 1
) -> tuple[int, int]:
    """The pair (lo, hi) that a padding name means on one axis.

    >>> named_padding("SAME", 224, 7, stride=2), named_padding("CAUSAL", 10, 3, dilation=2)
    ((2, 3), (4, 0))
    """
    _refuse_padding_mode(name)
    name = choice("padding", name.upper() if isinstance(name, str) else name, PADDING_NAMES)
    extent = effective_kernel_size(kernel_size, dilation)
    if name == "VALID":
        return 0, 0
    if name == "FULL":
        return extent - 1, extent - 1
    if name == "CAUSAL":
        return extent - 1, 0
    rest = integer("size", size, least=1, symbolic=True) % integer("stride", stride, least=1)
    if is_symbolic(rest):
        raise InputError(
            f"padding {name} at stride {stride} depends on the remainder of size {size}, which is "
            f'not known; use a multiple, as in "{stride}*h", symbolic_shape(..., constraints='
            f'["{rest} == 0"]), or padding in numbers'
        )
    # (k - 1)s + F' - N with k = ceil(N/s), so that N = (k - 1)s + (rest or s).
    total = max(0, extent - (rest or stride))
    small, large = total // 2, total - total // 2
    return (small, large) if name == "SAME" else (large, small)


def resolve_padding(
    padding: Padding,
    sizes: Sequence[int],
    kernel_sizes: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    least: int | None = 0,
) -> tuple[tuple[int, int], ...]:
    """One pair (lo, hi) for each axis, from any form of :data:`Padding`.

    Args:
      padding: a name; an int for every side of every axis; or a sequence with an entry for each
        axis, which is an int for both sides or a pair (before, after).
      sizes, kernel_sizes: N and F of each axis.
      stride, dilation: one integer for all axes, or one for each.
      least: the smallest number allowed; None allows any.

    Raises:
      InputError: if the name or the number of entries is wrong, or a number is too small.
      TypeError: if an entry is of another type.

    >>> resolve_padding("SAME", (7, 8), (3, 4))
    ((1, 1), (1, 2))
    >>> resolve_padding([1, (0, 2)], (7, 8), (3, 4))
    ((1, 1), (0, 2))
    """
    axes = len(sizes)
    if isinstance(padding, str):
        strides = per_axis("stride", stride, axes, least=1)
        dilations = per_axis("dilation", dilation, axes, least=1)
        return tuple(
            named_padding(padding, size, kernel_size, stride=s, dilation=d)
            for size, kernel_size, s, d in zip(sizes, kernel_sizes, strides, dilations, strict=True)
        )
    if not is_sequence(padding):
        low = _padding_entry("padding", padding, least)
        return (low,) * axes
    if len(padding) != axes:
        given = tuple(padding)
        raise InputError(
            f"padding {given!r} has {len(given)} entries for {axes} spatial "
            f"{'axis' if axes == 1 else 'axes'}; give a name, one integer, or for each axis an "
            f"integer or a pair (before, after){_foreign_form_advice(given, axes)}"
        )
    return tuple(_padding_entry(f"padding[{i}]", entry, least) for i, entry in enumerate(padding))


def resolve_axis_padding(
    padding: Any,
    size: int,
    kernel_size: int,
    *,
    stride: int,
    dilation: int,
    least: int | None = 0,
) -> tuple[int, int]:
    """:func:`resolve_padding` on one axis, where a flat pair is (before, after).

    >>> resolve_axis_padding((1, 2), 7, 3, stride=1, dilation=1)
    (1, 2)
    """
    if is_sequence(padding) and len(padding) == 2:
        padding = [padding]
    return resolve_padding(
        padding, (size,), (kernel_size,), stride=stride, dilation=dilation, least=least
    )[0]


def _foreign_form_advice(given: tuple[Any, ...], axes: int) -> str:
    """Advice on a padding whose number of entries fits PyTorch's or TensorFlow's form."""
    numbers = not any(map(is_sequence, given))
    if numbers and len(given) == 2 * axes:
        pairs = tuple(zip(given[::2], given[1::2], strict=True))
        one = "one axis" if axes == 1 else "pairs one after another"
        return f"; for {one}, use padding={pairs!r}"
    ends = {(0, 0), 0}
    if len(given) == axes + 2 and {_hashable(given[0]), _hashable(given[-1])} <= ends:
        return f"; without batch and channels, use padding={given[1:-1]!r}"
    return ""


def _hashable(entry: Any) -> Any:
    return tuple(entry) if is_sequence(entry) else entry


PADDING_MODE_SYNONYMS = {
    "CIRCULAR": "circular",
    "WRAP": "circular",
    "PERIODIC": "circular",
    "REFLECT": "reflect",
    "MIRROR": "reflect",
    "REPLICATE": "replicate",
    "EDGE": "replicate",
    "NEAREST": "replicate",
    "ZEROS": "zeros",
    "CONSTANT": "zeros",
}
"""Other libraries' names of padding modes, some of which they pass as ``padding``, and ours."""


def _refuse_padding_mode(name: Any) -> None:
    mode = PADDING_MODE_SYNONYMS.get(name.upper()) if isinstance(name, str) else None
    if mode is not None:
        raise InputError(
            f"padding {name!r} is a padding mode: it names the padding's values, not its size; "
            f'use padding="SAME" and, in a convolution, padding_mode="{mode}"; in other '
            f'operations use jaxcnn.pad(x, cells, padding_mode="{mode}") before'
        )


def _padding_entry(name: str, entry: Any, least: int | None) -> tuple[int, int]:
    if not is_sequence(entry):
        if not hasattr(entry, "__index__") and not isinstance(entry, float):
            raise TypeError(
                f"{name} must be a name ({', '.join(PADDING_NAMES)}), an integer or a pair "
                f"(before, after) for each axis, got {entry!r}"
            )
        cells = _cells(name, entry, least)
        return cells, cells
    if len(entry) != 2:
        raise InputError(
            f"{name} must be an integer or a pair (before, after), got {tuple(entry)!r}"
        )
    return _cells(name, entry[0], least), _cells(name, entry[1], least)


def _cells(name: str, value: Any, least: int | None) -> int:
    try:
        return integer(name, value, least=least)
    except InputError:
        raise InputError(
            f"{name} must be an integer >= {least}, got {value}; to cut cells off, slice the input"
        ) from None
