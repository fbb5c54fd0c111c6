"""Faults of oneDNN 3.2: implementations that are skipped, and those whose inputs are checked.

They were found with some ten thousand random problems on integers, whose results are exact, and
with cells that are NaN or infinite: float32 and bfloat16, instruction sets up to AMX.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxcnn.onednn import library
from jaxcnn.onednn.primitives import Convolution, Kind, query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST_SKIPPED = 4

MOST_INPUTS = 2048
"""Input channels with which a kernel gradient in bfloat16 never ended in a division by zero."""

LONGEST_ROW = 64
"""Outputs that oneDNN sums in one piece; longer rows are split into pieces of any length."""


class Fault(NamedTuple):
    """A fault of some implementations.

    Attributes:
      kind: the direction.
      names: prefixes of the implementations' names.
      when: whether a convolution is affected.
      seen: the effect.
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


def _many_inputs(convolution: Convolution) -> bool:
    return convolution.group_channels[0] > MOST_INPUTS


def _strided_points_of_few_channels(convolution: Convolution) -> bool:
    return set(convolution.stride) != {1} and convolution.image.sizes[1] < 16


FAULTS = (
    Fault(Kind.BACKWARD_WEIGHTS, ("jit_bf16:",), _depthwise, "wrong sums, and slow"),
    Fault(
        Kind.BACKWARD_WEIGHTS,
        ("brgconv_bwd_w:",),
        _many_inputs,
        "division by zero, which ends the process (SIGFPE)",
    ),
    Fault(
        Kind.BACKWARD_WEIGHTS,
        ("jit_1x1:",),
        _strided_points_of_few_channels,
        "memory overwritten: https://github.com/uxlfoundation/oneDNN/issues/6035",
    ),
)
"""Implementations that compute wrong numbers, or worse."""

NAN_LEAKS = (
    Fault(
        Kind.FORWARD,
        ("brgconv:avx512_core_bf16", "brgconv_1x1:avx512_core_bf16", "jit_bf16"),
        _odd_inputs,
        "channels are multiplied in pairs, the last one with a cell of its neighbour times zero",
    ),
    Fault(
        Kind.FORWARD,
        ("jit:avx512_core_amx",),
        lambda _: True,
        "a row of taps is extended by neighbouring cells times zero",
    ),
    Fault(
        Kind.BACKWARD_DATA,
        ("brg_fwd:avx512_core_bf16", "brgconv_strided:avx512_core_bf16"),
        _odd_outputs,
        "channels are multiplied in pairs, the last one with a cell of its neighbour times zero",
    ),
    Fault(
        Kind.BACKWARD_WEIGHTS,
        ("brgconv_bwd_w:", "jit:avx512_core_amx", "jit_bf16:"),
        _odd_row,
        "cells are multiplied in pairs, the last one with a cell outside the window times zero",
    ),
)
"""Implementations that are right for finite numbers but leak NaNs and infinities to other sums."""


def choose_implementation(convolution: Convolution) -> Convolution | str:
    """The convolution with the first correct implementation; or why there is none.

    Implementations for arrays in their own layout come before those that reorder images.
    """
    return library.unavailable_reason() or _choose_implementation(convolution)


@lru_cache(maxsize=65536)
def _choose_implementation(convolution: Convolution) -> Convolution | str:
    if _meets_only_padding(convolution):
        return "a window or a tap that reads only padding"  # wrong numbers, SIGSEGV
    reasons = []
    for may_reorder in (False, True):
        for skipped in range(MOST_SKIPPED):
            asked = replace(convolution, may_reorder=may_reorder, skipped=skipped)
            answer = query(asked)
            if answer.unsupported_reason is not None:
                reasons.append(answer.unsupported_reason)
                break
            if (fault := _found(FAULTS, asked, answer.implementation)) is None:
                return asked
            reasons.append(f"{answer.implementation}: {fault.seen}")
    return reasons[0]


def leaks_nans(convolution: Convolution) -> bool:
    """Whether a NaN or an infinity may leak into other sums, with the chosen implementation."""
    return _found(NAN_LEAKS, convolution, query(convolution).implementation) is not None


def _found(faults: Iterable[Fault], convolution: Convolution, name: str) -> Fault | None:
    for fault in faults:
        named = fault.kind == convolution.kind and name.startswith(fault.names)
        if named and fault.when(convolution):
            return fault
    return None


def _meets_only_padding(convolution: Convolution) -> bool:
    """Whether on some axis a window reads no cell, or a tap reads none at any output."""
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
    """Whether for some i < count no i * step + j * apart - lo with j < others is in 0 ... n - 1."""
    first = np.arange(count) * step - lo
    least = np.maximum(0, -(first // apart))
    most = np.minimum(others - 1, (n - 1 - first) // apart)
    return bool((least > most).any())
