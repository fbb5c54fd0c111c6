"""What goes wrong in oneDNN 3.2: what is not asked of it, and what is asked with care.

Seen over some ten thousand drawn problems in whole numbers, of which every result is exact, and
with cells that are NaN or infinite: float32 and bfloat16, up to AMX.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxcnn.onednn import library
from jaxcnn.onednn.primitives import Convolution, Kind, ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST_PASSED_OVER = 4

LONGEST_ROW = 64
"""Outputs that are summed in one piece; longer rows are divided into pieces of any length."""


class Fault(NamedTuple):
    """Something that goes wrong.

    Attributes:
      kind: the direction.
      names: how the names of the implementations begin.
      when: whether it goes wrong for a convolution.
      seen: what was.
    """

    kind: Kind
    names: tuple[str, ...]
    when: Callable[[Convolution], bool]
    seen: str


def _odd_inputs(convolution: Convolution) -> bool:
    return convolution.group_channels[0] % 2 == 1


def _odd_outputs(convolution: Convolution) -> bool:
    return convolution.group_channels[1] % 2 == 1


def _odd_row(convolution: Convolution) -> bool:
    row = convolution.output.sizes[-1]
    return row % (2 if row <= LONGEST_ROW else 16) != 0


def _depthwise(convolution: Convolution) -> bool:
    return convolution.groups > 1 and convolution.group_channels == (1, 1)


def _strided_points_of_few_channels(convolution: Convolution) -> bool:
    return set(convolution.stride) != {1} and convolution.image.sizes[1] < 16


FAULTS = (
    Fault(Kind.BACKWARD_WEIGHTS, ("jit_bf16:",), _depthwise, "wrong sums, and slow"),
    Fault(
        Kind.BACKWARD_WEIGHTS,
        ("jit_1x1:",),
        _strided_points_of_few_channels,
        "memory overwritten: https://github.com/uxlfoundation/oneDNN/issues/6035",
    ),
)
"""Wrong numbers, or worse."""

SPILLS = (
    Fault(
        Kind.FORWARD,
        ("brgconv:avx512_core_bf16", "brgconv_1x1:avx512_core_bf16", "jit_bf16"),
        _odd_inputs,
        "channels are multiplied in pairs, the last with its neighbour's and a weight of zero",
    ),
    Fault(
        Kind.FORWARD,
        ("jit:avx512_core_amx",),
        lambda _: True,
        "a row of taps is filled up with cells beside it and weights of zero",
    ),
    Fault(
        Kind.BACKWARD_DATA,
        ("brg_fwd:avx512_core_bf16", "brgconv_strided:avx512_core_bf16"),
        _odd_outputs,
        "channels are multiplied in pairs, the last with its neighbour's and a weight of zero",
    ),
    Fault(
        Kind.BACKWARD_WEIGHTS,
        ("brgconv_bwd_w:", "jit:avx512_core_amx", "jit_bf16:"),
        _odd_row,
        "cells are multiplied in pairs, the last with one that the tap does not meet and a zero",
    ),
)
"""Right for finite numbers; a NaN or an infinity makes NaN of sums that it is no part of."""


def served(convolution: Convolution) -> Convolution | str:
    """The question to which oneDNN says yes with an implementation that is right; or why not.

    It is first asked for the arrays as they lie, then for images laid out anew inside.
    """
    return library.closed_because() or _served(convolution)


@lru_cache(maxsize=65536)
def _served(convolution: Convolution) -> Convolution | str:
    if _meets_padding_alone(convolution):
        return "a window or a tap that meets padding alone"  # wrong numbers, SIGSEGV
    reasons = []
    for rearranged in (False, True):
        for passed_over in range(MOST_PASSED_OVER):
            asked = replace(convolution, rearranged=rearranged, passed_over=passed_over)
            answer = ask(asked)
            if answer.refused is not None:
                reasons.append(answer.refused)
                break
            if (fault := _found(FAULTS, asked, answer.implementation)) is None:
                return asked
            reasons.append(f"{answer.implementation}: {fault.seen}")
    return reasons[0]


def spills(convolution: Convolution) -> bool:
    """Whether a NaN or an infinity may change sums that it is no part of, of a served question."""
    return _found(SPILLS, convolution, ask(convolution).implementation) is not None


def _found(faults: Iterable[Fault], convolution: Convolution, name: str) -> Fault | None:
    for fault in faults:
        named = fault.kind == convolution.kind and name.startswith(fault.names)
        if named and fault.when(convolution):
            return fault
    return None


def _meets_padding_alone(convolution: Convolution) -> bool:
    """Whether some window, or some tap at all its places, meets no cell on an axis."""
    axes = zip(
        convolution.image.sizes[2:],
        convolution.kernel.sizes[-len(convolution.stride) :],
        convolution.output.sizes[2:],
        convolution.stride,
        convolution.dilation,
        convolution.padding,
        strict=True,
    )
    return any(
        _some_miss(n, lo, outputs, stride, taps, dilation)
        or _some_miss(n, lo, taps, dilation, outputs, stride)
        for n, taps, outputs, stride, dilation, (lo, _) in axes
    )


def _some_miss(n: int, lo: int, count: int, step: int, others: int, apart: int) -> bool:
    """Whether for some i < count all i * step + j * apart - lo, with j < others, miss the cells
    0 to n - 1.
    """
    first = np.arange(count) * step - lo
    least = np.maximum(0, -(first // apart))
    most = np.minimum(others - 1, (n - 1 - first) // apart)
    return bool((least > most).any())
