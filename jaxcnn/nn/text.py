"""Parser of the text form of layers: one word for each layer, in stacks, commands and run files.

    conv:32:k4:s2:p1:relu      32 output channels, kernel 4x4, stride 2, padding 1, then ReLU
    max:k2                     max pooling, kernel size 2x2, stride 2
    batchnorm                  normalises each channel over the batch, or by running averages
    global_avg, global_max     the mean or maximum of each channel: a vector
    flatten                    all cells and channels in one vector
    dense:128:relu             of a vector: 128 outputs, then ReLU
    dropout:0.5                in training, sets half of the entries to zero
    relu                       an activation alone

The kind comes first and, for conv, out_channels. Then for conv, max and avg, in any order: k
kernel_size, s stride, p padding, d dilation, g groups, a named padding (same, same_lower, full,
causal), an activation, ``nobias``, ``floor`` and, for pools, ``ceil``. An x joins axes that differ
(k3x5); a hyphen joins two sides that differ (p1-2 on every axis, p1-2x0-3 on each).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxcnn.errors import Advice, InputError
from jaxcnn.geometry.check import per_axis
from jaxcnn.geometry.padding import PADDING_NAMES
from jaxcnn.geometry.text import for_axes, format_padding, format_value, parse_padding
from jaxcnn.nn.activations import ACTIVATIONS
from jaxcnn.nn.conv import Conv
from jaxcnn.nn.dense import Dense
from jaxcnn.nn.norm import BatchNorm
from jaxcnn.nn.pool import AvgPool, MaxPool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def flatten(x: jax.Array) -> jax.Array:
    """The cells and channels of each example as a vector.

    >>> flatten(jnp.ones((2, 3, 3, 4))).shape
    (2, 36)
    """
    return jax.vmap(jnp.ravel)(x)


def global_avg(x: jax.Array) -> jax.Array:
    """The mean of each channel of a batch: (N, *spatial, C) -> (N, C).

    >>> global_avg(jnp.ones((2, 3, 3, 4))).shape
    (2, 4)
    """
    return x.mean(tuple(range(1, x.ndim - 1)))


def global_max(x: jax.Array) -> jax.Array:
    """The maximum of each channel of a batch: (N, *spatial, C) -> (N, C).

    >>> global_max(jnp.ones((2, 3, 3, 4))).shape
    (2, 4)
    """
    return x.max(tuple(range(1, x.ndim - 1)))


POOLS = {"max": MaxPool, "avg": AvgPool}
GLOBAL_POOLS = {"global_avg": global_avg, "global_max": global_max}
ALONE = {name: known.function for name, known in ACTIVATIONS.items() if name != "linear"}
"""Activations that are layers of their own."""

KINDS = ("conv", *POOLS, "dense", "batchnorm", "dropout", "flatten", *GLOBAL_POOLS, *ALONE)


@dataclass(frozen=True)
class Word:
    """The layer that a word describes.

    Attributes:
      kind: one of :data:`KINDS`.
      options: the layer's arguments in the word; for conv also ``out_channels``.

    >>> word = parse("conv:6:k3:relu")
    >>> word.build((7, 7, 1), rngs=nnx.Rngs(0)).kernel.shape
    (3, 3, 1, 6)
    """

    kind: str
    options: Mapping[str, Any]

    def build(self, input_shape: Sequence[int], **settings: Any) -> Callable[[Any], Any]:
        """The layer for inputs (*spatial, C), with the ``settings`` of :class:`jaxcnn.nn.Conv`.

        Raises:
          InputError: if the layer is impossible, or is not for inputs of this shape.
        """
        kind, options, channels = self.kind, dict(self.options), input_shape[-1]
        if kind == "dense":
            if len(input_shape) != 1:
                raise InputError(
                    f"needs a vector, got {tuple(input_shape)}; write flatten or global_avg before "
                    f"it"
                )
            return Dense(channels, **options, **_with_stream(settings, "params"))
        if kind == "batchnorm":
            return BatchNorm(channels, **_with_stream(settings, "params"))
        if kind == "dropout":
            return nnx.Dropout(**options, rngs=_with_stream(settings, "dropout")["rngs"])
        if kind == "flatten":
            return flatten
        if kind in ALONE:
            return ALONE[kind]
        axes = len(input_shape) - 1
        if axes < 1:
            raise InputError(
                f"needs an input (*spatial, channels), two numbers or more, as in (28, 28, 1), got "
                f"{tuple(input_shape)}"
            )
        if kind in GLOBAL_POOLS:
            return GLOBAL_POOLS[kind]
        options["kernel_size"] = per_axis("kernel_size", options["kernel_size"], axes, least=1)
        if "padding" in options:
            options["padding"] = for_axes(options["padding"], axes)
        if kind == "conv":
            return Conv(channels, **options, **settings)
        return POOLS[kind](**options)


def _with_stream(settings: dict[str, Any], stream: str) -> dict[str, Any]:
    """The settings, if their ``rngs`` has this stream."""
    rngs = settings.get("rngs")
    if not isinstance(rngs, nnx.Rngs):
        raise TypeError(f"rngs must be flax.nnx.Rngs, as in nnx.Rngs(0), got {rngs!r}")
    if not hasattr(rngs, stream):
        raise InputError(f"rngs has no stream {stream}; use nnx.Rngs(0), or add {stream}=1")
    return settings


def parse(word: str) -> Word:
    """The layer that a word of the text form describes.

    Raises:
      InputError: if the word is not understood; says which part, and how to write it.

    >>> parse("max:k3x5:p1-2")
    Word(kind='max', options={'kernel_size': (3, 5), 'padding': ((1, 2),)})
    """
    kind, *parts = word.split(":")
    if kind not in KINDS:
        raise _unreadable(f"{kind!r} is not a kind of layer; the kinds are {', '.join(KINDS)}")
    if kind == "dropout":
        return Word(kind, {"rate": _rate(parts)})
    found: dict[str, Any] = {}
    count = {"conv": "out_channels", "dense": "out_features"}.get(kind)
    if count and parts and parts[0].isdecimal():
        found[count] = int(parts.pop(0))
    for part in parts:
        key, value = _read_part(part, kind)
        if key is None:
            raise _unreadable(f"{part!r} is not understood", kind)
        if key in found:
            raise _unreadable(f"{part!r} sets {key} a second time", kind)
        found[key] = value
    for needed in filter(None, (count, "kernel_size" if kind in ("conv", *POOLS) else None)):
        if needed not in found:
            raise _unreadable(f"{needed} is missing", kind)
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


def _read_part(part: str, kind: str) -> tuple[str | None, Any]:
    """The argument that a part sets, and its value; (None, None) if it is not understood."""
    if kind in ("conv", "dense") and part == "nobias":
        return "use_bias", False
    if kind in ("conv", "dense") and part in ACTIVATIONS:
        return "activation", part
    if kind not in ("conv", *POOLS):
        return None, None
    if part.upper() in PADDING_NAMES:
        return "padding", part.upper()
    if re.fullmatch(r"p[0-9x-]+", part):
        return "padding", parse_padding(part[1:])
    if part == "floor" or (part == "ceil" and kind != "conv"):
        return "rounding", part
    if re.fullmatch(r"[ksd]\d+(x\d+)*", part):
        sizes = tuple(map(int, part[1:].split("x")))
        return SIZES[part[0]], sizes[0] if len(sizes) == 1 else sizes
    if kind == "conv" and re.fullmatch(r"g\d+", part):
        return "groups", int(part[1:])
    return None, None


def _rate(parts: list[str]) -> float:
    if len(parts) != 1 or not re.fullmatch(r"\d+(\.\d*)?|\.\d+", parts[0]):
        raise _unreadable(f"its rate is {':'.join(parts) or 'missing'}", "dropout")
    rate = float(parts[0])
    if rate >= 1:
        raise _unreadable(f"rate {parts[0]} must be below 1, the share set to zero", "dropout")
    return rate


_FORMS = {
    "dense": "dense:128:relu (out_features, an activation, nobias)",
    "dropout": "dropout:0.5 (the share of entries that training sets to zero)",
}


def _unreadable(why: str, kind: str = "conv") -> InputError:
    if kind in ("conv", *POOLS):
        form = (
            "conv:32:k3:s1:p1:relu (out_channels, then k kernel_size, s stride, p padding, d "
            "dilation, g groups, an activation) or as max:k2 or avg:k2"
        )
    else:
        form = _FORMS.get(kind, f"{kind} alone")
    return InputError(f"{why}; write it as {form}")
