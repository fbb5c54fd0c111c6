"""oneDNN's three convolutions: describe one, query whether it is supported, call it from XLA.

A convolution is passed as a list of integers (:class:`Convolution`), the shim's
``struct description``.
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
"""The dtypes that are supported, with XLA's numbers for them."""

MOST_AXES = 3


class Kind(IntEnum):
    """Which of the three convolutions."""

    FORWARD = 0  # output, from image and kernel
    BACKWARD_DATA = 1  # gradient of the image, from that of the output and the kernel
    BACKWARD_WEIGHTS = 2  # gradient of the kernel, from the image and that of the output


class Operand(NamedTuple):
    """The layout of an array in memory, in oneDNN's order of axes.

    Attributes:
      sizes: (N, C, *size) for images, (O, C // groups, *F) for kernels.
      strides: distances in memory from one entry to the next on each axis.
    """

    sizes: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def of(cls, shape: Sequence[int], axes: Sequence[int]) -> Operand:
        """A row-major array of this shape, with its axes in the order that oneDNN reads.

        >>> Operand.of((8, 7, 5, 3), (0, 3, 1, 2))
        Operand(sizes=(8, 3, 7, 5), strides=(105, 1, 15, 3))
        """
        steps = tuple(accumulate(reversed(shape[1:]), lambda a, b: a * b, initial=1))[::-1]
        return cls(tuple(shape[a] for a in axes), tuple(steps[a] for a in axes))

    def grouped(self, groups: int) -> Operand:
        """The kernel with an axis of groups before the axis of its filters."""
        (filters, *sizes), (step, *strides) = self
        own = filters // groups
        return Operand((groups, own, *sizes), (own * step, step, *strides))


@dataclass(frozen=True)
class Convolution:
    """One convolution, in one of its three directions, for arrays in a certain layout.

    Attributes:
      kind: the direction.
      dtype: of all three arrays.
      image, kernel, output: the layouts of the arrays; if ``groups`` is above 1, the kernel's first
        axis holds the groups.
      groups: the number of groups of channels.
      stride, dilation, padding: on each spatial axis; padding as (lo, hi), not negative.
      may_reorder: whether oneDNN may copy image and output into a layout that it prefers.
      skipped: the number of oneDNN's implementations to skip, of those that support it.
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
    may_reorder: bool = False
    skipped: int = 0

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
        numbers = [self.kind, DTYPES[self.dtype], axes, self.groups > 1, self.may_reorder]
        numbers.append(self.skipped)
        for operand in operands:
            numbers += row(operand.sizes, most)
        for operand in operands:
            numbers += row(operand.strides, most)
        pads = zip(*self.padding, strict=True)
        for values in (self.stride, self.dilation, *pads):
            numbers += row(values, MOST_AXES)
        return np.array(numbers, np.int64)


class Answer(NamedTuple):
    """The implementation that oneDNN would use.

    Attributes:
      unsupported_reason: why oneDNN does not support a convolution; None if it does.
      implementation: oneDNN's name of the implementation.
      reordered_bytes: bytes of each operand and of the result that are copied to another layout.
      reordered_by: the implementation that copies each; empty if it is not copied.
    """

    unsupported_reason: str | None
    implementation: str = ""
    reordered_bytes: tuple[int, int, int] = (0, 0, 0)
    reordered_by: tuple[str, str, str] = ("", "", "")


def query(convolution: Convolution) -> Answer:
    """Whether and how oneDNN computes the convolution; slow implementations are unsupported."""
    if reason := library.unavailable_reason():
        return Answer(reason)
    return _query(convolution)


@lru_cache(maxsize=65536)
def _query(convolution: Convolution) -> Answer:
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
        return Answer(f"reordered by {', '.join(filter(None, reorders))}", name)
    return Answer(None, name, (sizes[0], sizes[1], sizes[2]), reorders)


@cache
def _register() -> None:
    handler = library.shim().jaxcnn_onednn_convolution
    jax.ffi.register_ffi_target(TARGET, jax.ffi.pycapsule(handler), platform="cpu")


def call(convolution: Convolution, a: jax.Array, b: jax.Array, shape: Sequence[int]) -> jax.Array:
    """The convolution of two operands, with a result of this shape, as a call in a program."""
    _register()
    result = jax.ShapeDtypeStruct(tuple(shape), a.dtype)
    return jax.ffi.ffi_call(TARGET, result)(a, b, description=convolution.numbers())
