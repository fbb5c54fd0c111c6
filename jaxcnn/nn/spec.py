"""Descriptions of layers: what a stack is built from, planned by, and written down as.

A description has a text form, one word a layer, that commands take and runs record:

    conv:32:k4:s2:p1:relu      32 filters of 4x4, stride 2, padding 1, then ReLU
    max:k2                     max pooling, windows of 2x2, as many apart

First the kind (conv, max, avg) and, for conv, the number of filters; then, in any order, k kernel_size,
s stride, p padding, d dilation, g groups, a named padding (same, same_lower, full, causal), an
activation, ``nobias``, ``floor`` and, for pools, ``ceil``. Axes that differ are joined by x (k3x5),
two sides that differ by a hyphen (p1-2, on every axis; p1-2x0-3 on each).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from jaxcnn.activations import ACTIVATIONS, activation
from jaxcnn.errors import Advice, InputError, error_prefix
from jaxcnn.geometry import Padding, Window
from jaxcnn.geometry.check import choice, integer, per_axis
from jaxcnn.geometry.padding import PADDING_NAMES
from jaxcnn.geometry.receptive_field import ReceptiveField
from jaxcnn.geometry.text import for_axes, format_padding, format_value, parse_padding
from jaxcnn.inspect import Plan, PlanRow
from jaxcnn.keywords import suggest_keywords
from jaxcnn.nn._options import option
from jaxcnn.shapes import conv_shapes, pool_shapes
from jaxcnn.shapes.checks import require_floor_or_exact, require_groups

POOLS = ("max", "avg")
KINDS = ("conv", *POOLS)


@suggest_keywords
@dataclass(frozen=True)
class ConvSpec:
    """A convolution of ``channels`` filters, as in :class:`jaxcnn.nn.Conv`.

    ``kernel_size`` may be one size for all spatial axes, ``padding`` one pair, as in ((1, 2),).

    >>> str(ConvSpec(32, 4, stride=2, padding=1, activation="relu"))
    'conv:32:k4:s2:p1:relu'
    """

    channels: int
    kernel_size: int | Sequence[int]
    stride: int | Sequence[int] = 1
    padding: Padding = "VALID"
    dilation: int | Sequence[int] = 1
    groups: int = 1
    activation: str = "linear"
    use_bias: bool = True
    rounding: str = "exact"

    def __post_init__(self) -> None:
        put = object.__setattr__
        for name in ("channels", "groups"):
            put(self, name, integer(name, getattr(self, name), least=1))
        for name in ("kernel_size", "stride", "padding", "dilation", "rounding"):
            put(self, name, option(name, getattr(self, name)))
        require_floor_or_exact(self.rounding)
        activation(self.activation)

    def filters(self, axes: int) -> tuple[int, ...]:
        """The filter's size on each of ``axes`` axes."""
        return per_axis("kernel_size", self.kernel_size, axes, least=1)

    def row(self, input: tuple[int, ...], fields: Sequence[ReceptiveField]) -> PlanRow:
        """The plan's row for an input (*spatial, C) whose cells have these receptive fields."""
        filters = self.filters(len(input) - 1)
        require_groups(self.groups, input[-1], self.channels)
        shapes = conv_shapes(
            input,
            (*filters, input[-1] // self.groups, self.channels),
            stride=self.stride,
            padding=for_axes(self.padding, len(filters)),
            dilation=self.dilation,
            groups=self.groups,
            rounding=self.rounding,
        )
        return _plan_row(
            str(self),
            shapes.windows,
            self.channels,
            fields,
            parameters=(shapes.terms + self.use_bias) * self.channels,
            multiply_adds=shapes.multiply_adds,
        )

    def __str__(self) -> str:
        words = [f"conv:{self.channels}:k{format_value(self.kernel_size)}", *_window_words(self, 1)]
        words += [f"g{self.groups}"] if self.groups != 1 else []
        words += [self.activation] if self.activation != "linear" else []
        words += ["nobias"] if not self.use_bias else []
        return ":".join(words)


@suggest_keywords
@dataclass(frozen=True)
class PoolSpec:
    """A pool of one kind, ``"max"`` or ``"avg"``, as in :func:`jaxcnn.max_pool`.

    >>> str(PoolSpec("avg", 3, stride=2))
    'avg:k3:s2'
    """

    kind: str
    kernel_size: int | Sequence[int]
    stride: int | Sequence[int] | None = None
    padding: Padding = "VALID"
    dilation: int | Sequence[int] = 1
    rounding: str = "exact"

    def __post_init__(self) -> None:
        choice("kind", self.kind, tuple(POOLS))
        put = object.__setattr__
        for name in ("kernel_size", "padding", "dilation", "rounding"):
            put(self, name, option(name, getattr(self, name)))
        if self.stride is not None:
            put(self, "stride", option("stride", self.stride))

    def windows(self, axes: int) -> tuple[int, ...]:
        """The window's size on each of ``axes`` axes."""
        return per_axis("kernel_size", self.kernel_size, axes, least=1)

    def row(self, input: tuple[int, ...], fields: Sequence[ReceptiveField]) -> PlanRow:
        """The plan's row for an input (*spatial, C) whose cells have these receptive fields."""
        shapes = pool_shapes(
            input,
            self.windows(len(input) - 1),
            stride=self.stride,
            padding=for_axes(self.padding, len(input) - 1),
            dilation=self.dilation,
            rounding=self.rounding,
        )
        return _plan_row(str(self), shapes.windows, input[-1], fields)

    def __str__(self) -> str:
        words = [f"{self.kind}:k{format_value(self.kernel_size)}", *_window_words(self, None)]
        return ":".join(words)


Spec = ConvSpec | PoolSpec


def _plan_row(
    name: str,
    windows: Sequence[Window],
    channels: int,
    before: Sequence[ReceptiveField],
    *,
    parameters: int = 0,
    multiply_adds: int = 0,
) -> PlanRow:
    """The row of a layer that lays ``windows`` over outputs whose fields are ``before``."""
    return PlanRow(
        name,
        (*(window.output for window in windows), channels),
        parameters,
        multiply_adds,
        tuple(field.apply(window) for field, window in zip(before, windows, strict=True)),
        tuple(window.lost for window in windows),
    )


def plan(input: Sequence[int], layers: Sequence[Spec]) -> Plan:
    """Lays the layers one after another over an input (*spatial, C) and reports each.

    Raises:
      InputError: where a layer does not fit what the one before it gives, naming the layer.

    >>> print(plan((7, 7, 1), [ConvSpec(6, 3), ConvSpec(10, 3)]))
    layer       output  parameters  multiply-adds  field  stride  lost
    input       7x7x1                                1x1     1x1
    conv:6:k3   5x5x6           60          1,350    3x3     1x1     0
    conv:10:k3  3x3x10         550          4,860    5x5     1x1     0
    total                      610          6,210
    """
    shape = tuple(input)
    if len(shape) < 2:
        raise InputError(
            f"input {shape} must be (*spatial, channels), two numbers or more, as in (28, 28, 1)"
        )
    fields = (ReceptiveField(),) * (len(shape) - 1)
    rows = []
    for number, layer in enumerate(layers, start=1):
        with error_prefix(f"layer {number} ({layer})"):
            row = layer.row(shape, fields)
        rows.append(row)
        assert row.field is not None  # as it is only where a program could not be read
        shape, fields = row.output, row.field
    return Plan(tuple(input), tuple(rows))


def as_part(advice: Advice) -> str:
    """What an error advises, as a part of a layer's word.

    >>> as_part(Advice("padding", (((0, 2), (0, 0)),))), as_part(Advice("rounding", ("floor",)))
    (':p0-2x0-0', ':floor')
    """
    letters = {"padding": ":p", "rounding": ":", "groups": ":g"}
    if advice.argument not in letters:
        return advice.format(" ", list(map(format_value, advice.values)))
    write = format_padding if advice.argument == "padding" else format_value
    parts = [letters[advice.argument] + write(value) for value in advice.values]
    return replace(advice, argument="").format("", parts)


def parse(word: str) -> Spec:
    """The layer that a word of the text form describes.

    >>> parse("conv:32:k4:s2:p1:relu")
    ConvSpec(channels=32, kernel_size=4, stride=2, padding=1, dilation=1, groups=1, \
activation='relu', use_bias=True, rounding='exact')
    >>> str(parse("max:k2"))
    'max:k2'
    """
    kind, *parts = word.split(":")
    found: dict[str, Any] = {}
    if kind == "conv":
        names = {"k": "kernel_size", "s": "stride", "p": "padding", "d": "dilation", "g": "groups"}
        if parts and parts[0].isdecimal():
            found["channels"] = int(parts.pop(0))
    elif kind in POOLS:
        names = {"k": "kernel_size", "s": "stride", "p": "padding", "d": "dilation"}
        found["kind"] = kind
    else:
        known = ", ".join(KINDS)
        raise InputError(_unreadable(word, f"{kind!r} is no kind of layer; known are {known}"))
    for part in parts:
        key, value = _read_part(part, names, conv=kind == "conv")
        if key is None:
            raise InputError(_unreadable(word, f"{part!r} is not understood"))
        if key in found:
            raise InputError(_unreadable(word, f"{part!r} sets {key} a second time"))
        found[key] = value
    for needed in ("channels", "kernel_size") if kind == "conv" else ("kernel_size",):
        if needed not in found:
            raise InputError(_unreadable(word, f"it does not say the {needed}"))
    with error_prefix(f"layer {word!r}"):
        return ConvSpec(**found) if kind == "conv" else PoolSpec(**found)


def _read_part(part: str, names: dict[str, str], *, conv: bool) -> tuple[str | None, Any]:
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
        return names[part[0]], sizes[0] if len(sizes) == 1 else sizes
    if conv and re.fullmatch(r"g\d+", part):
        return "groups", int(part[1:])
    return None, None


def _unreadable(word: str, why: str) -> str:
    return (
        f"layer {word!r}: {why}; write it as conv:32:k3:s1:p1:relu (filters, then k kernel_size, "
        f"s stride, p padding, d dilation, g groups, an activation) or as max:k2 or avg:k2"
    )


def _window_words(spec: ConvSpec | PoolSpec, stride: int | None) -> list[str]:
    words = [f"s{format_value(spec.stride)}"] if spec.stride != stride else []
    if isinstance(spec.padding, str):
        words += [spec.padding.lower()] if spec.padding.upper() != "VALID" else []
    else:
        words.append("p" + format_padding(spec.padding))
    words += [f"d{format_value(spec.dilation)}"] if spec.dilation != 1 else []
    return words + ([spec.rounding] if spec.rounding != "exact" else [])
