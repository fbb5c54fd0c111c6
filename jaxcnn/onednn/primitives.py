"""oneDNN's three convolutions as calls of an XLA program, and the question whether it serves one.

A convolution is a list of integers here (:class:`Convolution`): the shim's ``struct description``.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np

from jaxcnn.onednn import library

if TYPE_CHECKING:
    from collections.abc import Sequence

TARGET = "jaxcnn_onednn_convolution"

DTYPES = {"float32": 11, "bfloat16": 16}
"""XLA's numbers of the dtypes that oneDNN computes with here."""

MOST_AXES = 3


class Kind(IntEnum):
    """Which of the three: what it computes from what."""

    FORWARD = 0  # output from image and kernel
    BACKWARD_DATA = 1  # image's gradient from output's and kernel
    BACKWARD_WEIGHTS = 2  # kernel's gradient from image and output's gradient


class Operand(NamedTuple):
    """How an array lies in memory, in oneDNN's order of axes.

    Attributes:
      sizes: (N, C, *size) of images, (O, C // groups, *F) of kernels.
      strides: cells from one to the next on each of them.
    """

    sizes: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def of(cls, shape: Sequence[int], axes: Sequence[int]) -> Operand:
        """A row-major array of this shape, whose axes oneDNN reads in the given order.

        >>> Operand.of((8, 7, 5, 3), (0, 3, 1, 2))
        Operand(sizes=(8, 3, 7, 5), strides=(105, 1, 15, 3))
        """
        steps = tuple(accumulate(reversed(shape[1:]), lambda a, b: a * b, initial=1))[::-1]
        return cls(tuple(shape[a] for a in axes), tuple(steps[a] for a in axes))

    def grouped(self, groups: int) -> Operand:
        """A kernel with its filters divided into groups, as a first axis."""
        (filters, *sizes), (step, *strides) = self
        own = filters // groups
        return Operand((groups, own, *sizes), (own * step, step, *strides))


@dataclass(frozen=True)
class Convolution:
    """One convolution, in one of its three directions, for arrays as they lie.

    Attributes:
      kind: the direction.
      dtype: of all three arrays.
      image, kernel, output: how they lie; the kernel's first axis are the groups where
        ``groups`` is above 1.
      groups: parts of the channels.
      stride, dilation, padding: on each spatial axis; padding as (lo, hi), not negative.
      rearranged: whether oneDNN may lay out image and output anew inside.
      passed_over: how many of its implementations are not taken, the first that would serve.
    """

    kind: Kind
    dtype: str
    image: Operand
    kernel: Operand
    output: Operand
    groups: int
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    rearranged: bool = False
    passed_over: int = 0

    @property
    def group_channels(self) -> tuple[int, int]:
        """Channels in and out of one group."""
        return self.image.sizes[1] // self.groups, self.output.sizes[1] // self.groups

    def numbers(self) -> np.ndarray:
        """The shim's ``struct description``."""
        axes, most = len(self.stride), MOST_AXES + 3

        def row(values: Sequence[int], length: int) -> list[int]:
            return [*values, *[0] * (length - len(values))]

        operands = (self.image, self.kernel, self.output)
        numbers = [self.kind, DTYPES[self.dtype], axes, self.groups > 1, self.rearranged]
        numbers.append(self.passed_over)
        for operand in operands:
            numbers += row(operand.sizes, most)
        for operand in operands:
            numbers += row(operand.strides, most)
        pads = zip(*self.padding, strict=True)
        for values in (self.stride, self.dilation, *pads):
            numbers += row(values, MOST_AXES)
        return np.array(numbers, np.int64)


class Answer(NamedTuple):
    """What oneDNN would do.

    Attributes:
      refused: why it does not; None where it does.
      implementation: its own name for how.
      rearranged: bytes of the operands and the result that are laid out anew inside.
      reordered_by: what does that for each, empty where it stays.
    """

    refused: str | None
    implementation: str = ""
    rearranged: tuple[int, int, int] = (0, 0, 0)
    reordered_by: tuple[str, str, str] = ("", "", "")


def ask(convolution: Convolution) -> Answer:
    """Whether and how oneDNN would serve it; nothing slow is taken for an answer."""
    if reason := library.closed_because():
        return Answer(reason)
    return _asked(convolution)


@lru_cache(maxsize=65536)
def _asked(convolution: Convolution) -> Answer:
    shim = library.shim()
    length = 48
    named, sizes = ctypes.create_string_buffer(4 * length), (ctypes.c_int64 * 4)()
    numbers = convolution.numbers()
    if shim.jaxcnn_onednn_numbers() != numbers.size:
        return Answer(f"the shim is another version's: {library.build_again()}")
    status = shim.jaxcnn_onednn_ask(
        numbers.ctypes.data_as(ctypes.POINTER(ctypes.c_int64)), named, sizes
    )
    if status:
        return Answer(f"oneDNN: {shim.jaxcnn_onednn_says(status).decode()}")
    name, first, second, result = (
        named.raw[i * length : (i + 1) * length].split(b"\0")[0].decode() for i in range(4)
    )
    reorders = (first, second, result)
    if sizes[3] < 0:
        return Answer(f"only by {name}", name)
    if any(each.startswith("ref") for each in reorders):
        return Answer(f"laid out by {', '.join(filter(None, reorders))}", name)
    return Answer(None, name, (sizes[0], sizes[1], sizes[2]), reorders)


@cache
def _register() -> None:
    handler = library.shim().jaxcnn_onednn_convolution
    jax.ffi.register_ffi_target(TARGET, jax.ffi.pycapsule(handler), platform="cpu")


def call(convolution: Convolution, a: jax.Array, b: jax.Array, shape: Sequence[int]) -> jax.Array:
    """The convolution of two operands as a call in a program, its result of the given shape."""
    _register()
    result = jax.ShapeDtypeStruct(tuple(shape), a.dtype)
    return jax.ffi.ffi_call(TARGET, result)(a, b, description=convolution.numbers())
