"""Output sizes and windows of transposed convolutions, on one axis."""

from __future__ import annotations

from typing import Any

from jaxcnn.errors import Advice, InputError
from jaxcnn.geometry._symbolic import is_symbolic, known
from jaxcnn.geometry.check import choice, integer
from jaxcnn.geometry.padding import PADDING_NAMES, resolve_axis_padding
from jaxcnn.geometry.window import Window, add_padding, effective_kernel_size


def transposed_output_size(
    size: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: str | int | tuple[int, int] = 0,
    dilation: int = 1,
    output_padding: int = 0,
) -> int:
    """The output size of a transposed convolution: N = (k-1)s + F' - lo - hi + output_padding.

    The inverse of :func:`output_size`: a transposed convolution of k = ``size`` cells restores the
    N cells from which the convolution computes k outputs.

    Args:
      size: k, cells on the axis.
      kernel_size: F, taps.
      stride: s, output cells for each input cell.
      padding: cells cut off on both sides, a pair (before, after), or a name; SAME and SAME_LOWER
        give N = k*s. Numbers below 0 add cells.
      dilation: d, cells from tap to tap.
      output_padding: 0 to s-1. At stride s > 1, s sizes N give k outputs with
        ``rounding="floor"``; N is the smallest of them plus ``output_padding``.

    Raises:
      InputError: if no cell is left, or if ``output_padding`` is s or more.
      TypeError: if a number is not an integer.

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
    """The window of the convolution whose transpose is this transposed convolution.

    Args:
      size, kernel_size, stride, padding, dilation, output_padding: as in
        :func:`transposed_output_size`.
      output_size: N, one of the s sizes that give k outputs, instead of ``output_padding``. With
        SAME and SAME_LOWER these are the sizes from (k-1)s + 1 to k*s.
      axis: the name of the axis in errors.

    Returns:
      A window with k = ``size`` outputs on N cells.

    Raises:
      InputError: if no cell is left, or if ``output_size`` gives another number of outputs.
      TypeError: if a number is not an integer.

    >>> transposed_window(3, 3, stride=2, output_size=8).size
    8
    >>> transposed_window(3, 3, stride=2, padding="SAME", output_size=5).padding
    (1, 1)
    """
    size = integer(axis, size, least=1, symbolic=True)
    stride = integer("stride", stride, least=1)
    extra = integer("output_padding", output_padding, least=0)
    extent = effective_kernel_size(kernel_size, dilation)
    layout = {"stride": stride, "dilation": dilation}
    if extra and output_size is not None:
        raise InputError(
            f"output_size {output_size} and output_padding {extra} both set the output's size; use "
            f"one of them"
        )
    call = (
        f"{axis} {size} transposed with kernel_size {kernel_size}, stride {stride}, "
        f"dilation {dilation}, padding"
    )
    if isinstance(padding, str) and padding.upper().startswith("SAME"):
        choice("padding", padding.upper(), PADDING_NAMES)
        if extra:
            raise InputError(
                f"padding {padding.upper()} fixes the output at size*stride = {size * stride}, "
                f"output_padding was {extra}; use output_size, or give the padding as a pair"
            )
        call = f"{call} {padding.upper()}"
        pair = None
        smallest = (size - 1) * stride + 1
        restored = size * stride
    else:
        pair = resolve_axis_padding(padding, size, kernel_size, **layout, least=None)
        call = f"{call} {pair}"
        smallest = (size - 1) * stride + extent - sum(pair)
        if extra >= stride:
            more, rest = divmod(extra, stride)
            possible = sorted({0, stride - 1})
            if not is_symbolic(smallest):
                possible = [each for each in possible if smallest + each >= 1]
            raise InputError(
                f"output_padding {extra} must be below stride {stride}: the convolution that this "
                f"one transposes would have {more} outputs more.",
                Advice("output_padding", tuple(possible))
                if possible
                else f"padding {add_padding(pair, smallest - 1)} with output_padding=0",
                f"{axis} {size + more} with output_padding={rest}",
                "padding below 0 for more cells that no window reads",
            )
        restored = smallest + extra
        number = not is_symbolic(restored)
        if number and (smallest + stride <= 1 or (output_size is None and restored < 1)):
            needed = 1 - extra if output_size is None else output_size - stride + 1
            raise InputError(
                f"{call} gives ({size} - 1)*{stride} + {extent} - {sum(pair)} + {extra} = "
                f"{restored} cells.",
                Advice("padding", (add_padding(pair, smallest - needed),)),
            )
    if is_symbolic(restored) or is_symbolic(output_size):
        restored = _symbolic_size(call, axis, restored, smallest, stride, output_size)
    elif output_size is not None:
        restored = integer("output_size", output_size, least=1)
        possible = range(max(1, smallest), smallest + stride)
        if restored not in possible:
            needed = min(restored, max(smallest, restored - stride + 1))
            advice = [Advice("padding", (add_padding(pair, smallest - needed),))] if pair else []
            raise InputError(
                f"{call} cannot give output_size {restored}: a convolution has {size} outputs on "
                f"{_alternatives(possible)} cells.",
                Advice("output_size", tuple(sorted({possible[0], possible[-1]}))),
                *advice,
            )
    pair = resolve_axis_padding(padding, restored, kernel_size, **layout, least=None)
    return Window(restored, kernel_size, stride, pair, dilation, "floor", axis)


def _symbolic_size(
    call: str, axis: str, restored: Any, smallest: Any, stride: int, output_size: Any
) -> Any:
    """A symbolic output size: ``restored``, or a possible ``output_size``."""
    if output_size is None:
        return integer(axis, restored, least=1, symbolic=True)
    fits = known(lambda: smallest <= output_size) and known(lambda: output_size < smallest + stride)
    if not fits:
        raise InputError(
            f"{call} gives {smallest} to {smallest + (stride - 1)} cells; it is not known that "
            f"output_size {output_size} is one of these; use output_padding"
        )
    return output_size


def _alternatives(numbers: range) -> str:
    if len(numbers) <= 4:
        return " or ".join(map(str, numbers))
    return f"{numbers[0]} to {numbers[-1]}"
