"""Parser of the text form of layers: one word for each layer, in stacks, commands and run files.

    conv:32:k4:s2:p1:relu      32 output channels, kernel 4x4, stride 2, padding 1, then ReLU
    max:k2                     max pooling, kernel size 2x2, stride 2

The kind (conv, max, avg) comes first and, for conv, out_channels. Then, in any order: k
kernel_size, s stride, p padding, d dilation, g groups, a named padding (same, same_lower, full,
causal), an activation, ``nobias``, ``floor`` and, for pools, ``ceil``. An x joins axes that differ
(k3x5); a hyphen joins two sides that differ (p1-2 on every axis, p1-2x0-3 on each).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jaxcnn.errors import Advice, InputError
from jaxcnn.geometry.check import per_axis
from jaxcnn.geometry.padding import PADDING_NAMES
from jaxcnn.geometry.text import for_axes, format_padding, format_value, parse_padding
from jaxcnn.nn.activations import ACTIVATIONS
from jaxcnn.nn.conv import Conv
from jaxcnn.nn.pool import AvgPool, MaxPool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flax import nnx

POOLS = {"max": MaxPool, "avg": AvgPool}
KINDS = ("conv", *POOLS)


@dataclass(frozen=True)
class Word:
    """The layer that a word describes.

    Attributes:
      kind: one of :data:`KINDS`.
      options: the layer's arguments in the word; for conv also ``out_channels``.

    >>> from flax import nnx
    >>> word = parse("conv:6:k3:relu")
    >>> word.build((7, 7, 1), rngs=nnx.Rngs(0)).kernel.shape
    (3, 3, 1, 6)
    """

    kind: str
    options: Mapping[str, Any]

    def build(self, input_shape: Sequence[int], **settings: Any) -> nnx.Module:
        """The layer for inputs (*spatial, C), with the ``settings`` of :class:`jaxcnn.nn.Conv`.

        Raises:
          InputError: if the layer is impossible, or if the input has no spatial axis.
        """
        axes = len(input_shape) - 1
        if axes < 1:
            raise InputError(
                f"needs an input (*spatial, channels), two numbers or more, as in (28, 28, 1), got "
                f"{tuple(input_shape)}"
            )
        options = dict(self.options)
        options["kernel_size"] = per_axis("kernel_size", options["kernel_size"], axes, least=1)
        if "padding" in options:
            options["padding"] = for_axes(options["padding"], axes)
        if self.kind == "conv":
            return Conv(input_shape[-1], **options, **settings)
        return POOLS[self.kind](**options)


def parse(word: str) -> Word:
    """The layer that a word of the text form describes.

    Raises:
      InputError: if the word is not understood; says which part, and how to write it.

    >>> parse("max:k3x5:p1-2")
    Word(kind='max', options={'kernel_size': (3, 5), 'padding': ((1, 2),)})
    """
    kind, *parts = word.split(":")
    found: dict[str, Any] = {}
    if kind not in KINDS:
        raise _unreadable(f"{kind!r} is not a kind of layer; the kinds are {', '.join(KINDS)}")
    if kind == "conv" and parts and parts[0].isdecimal():
        found["out_channels"] = int(parts.pop(0))
    for part in parts:
        key, value = _read_part(part, conv=kind == "conv")
        if key is None:
            raise _unreadable(f"{part!r} is not understood")
        if key in found:
            raise _unreadable(f"{part!r} sets {key} a second time")
        found[key] = value
    for needed in ("out_channels", "kernel_size") if kind == "conv" else ("kernel_size",):
        if needed not in found:
            raise _unreadable(f"{needed} is missing")
    return Word(kind, found)


def as_part(advice: Advice) -> str:
    """An error's advice as a part of a layer's word.

    >>> as_part(Advice("padding", (((0, 2), (0, 0)),))), as_part(Advice("rounding", ("floor",)))
    (':p0-2x0-0', ':floor')
    """
    letters = {"padding": ":p", "rounding": ":", "groups": ":g"}
    if advice.argument not in letters:
        return advice.format(" ", list(map(format_value, advice.values)))
    write = format_padding if advice.argument == "padding" else format_value
    parts = [letters[advice.argument] + write(value) for value in advice.values]
    return replace(advice, argument="").format("", parts)


SIZES = {"k": "kernel_size", "s": "stride", "d": "dilation"}


def _read_part(part: str, *, conv: bool) -> tuple[str | None, Any]:
    """The argument that a part sets, and its value; (None, None) if it is not understood."""
    if part.upper() in PADDING_NAMES:
        return "padding", part.upper()
    if re.fullmatch(r"p[0-9x-]+", part):
        return "padding", parse_padding(part[1:])
    if part == "floor" or (part == "ceil" and not conv):
        return "rounding", part
    if conv and part == "nobias":
        return "use_bias", False
    if conv and part in ACTIVATIONS:
        return "activation", part
    if re.fullmatch(r"[ksd]\d+(x\d+)*", part):
        sizes = tuple(map(int, part[1:].split("x")))
        return SIZES[part[0]], sizes[0] if len(sizes) == 1 else sizes
    if conv and re.fullmatch(r"g\d+", part):
        return "groups", int(part[1:])
    return None, None


def _unreadable(why: str) -> InputError:
    return InputError(
        f"{why}; write it as conv:32:k3:s1:p1:relu (out_channels, then k kernel_size, s stride, "
        f"p padding, d dilation, g groups, an activation) or as max:k2 or avg:k2"
    )
