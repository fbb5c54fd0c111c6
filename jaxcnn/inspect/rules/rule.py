"""What a rule is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from jaxcnn.geometry.axis_maps import StridedAxis
from jaxcnn.inspect.network import Layer, Network

Found = tuple[str, Sequence[dict[str, Any]], Sequence[str]]
"""What is wrong along one axis, the settings that mend it, and, in words, what else does."""

Look = Callable[[StridedAxis, float], Found | None]
"""Looks at one axis; settings should read cells, not padding, to at least the given share."""

MOSTLY = 0.5
"""The share from which on something is most of the whole."""


@dataclass(frozen=True)
class Option:
    """One way to mend a layer; made so, it has no flaw of the kind that any rule looks for there.

    Attributes:
      axis: the spatial axis that it is for; empty for the layer as a whole.
      set: what to set: ``size``, ``kernel_size``, ``padding`` (on both sides), ``dilation``,
        ``channels``, ``dilations`` or ``use_bias``; the rest stays as it is.
    """

    axis: str
    set: dict[str, Any]

    def __str__(self) -> str:
        words = [f"{key} {value}" for key, value in self.set.items() if key != "padding"]
        if "padding" in self.set:
            words.append(f"padding {self.set['padding']} on both sides")
        first, *rest = words
        return f"{first} with {' and '.join(rest)}" if rest else first


@dataclass(frozen=True)
class Flaw:
    """What is wrong with one layer, in words with the numbers, and what to change.

    Where the change can be told in numbers, ``options`` has them, each enough by itself, one for
    each axis that is named.
    """

    layer: Layer
    message: str
    change: str
    options: tuple[Option, ...] = ()


@dataclass(frozen=True)
class Rule:
    """Something to look for in a network.

    Attributes:
      code: by which it is chosen and ignored.
      name: in a few words.
      reason: why it matters, with the source.
      example: a layer that has the flaw, and the same layer without it.
      find: gives its flaws in a network.
    """

    code: str
    name: str
    reason: str
    example: str
    find: Callable[[Network], Iterable[Flaw]]

    def __str__(self) -> str:
        return f"{self.code} {self.name}\n  {self.reason}\n  {self.example}"


def by_axis(layer: Layer, look: Look) -> tuple[str, str, tuple[Option, ...]] | None:
    """What ``look`` says of a layer's axes, (message, change, options), each thing said once."""
    said: dict[tuple[str, str], list[str]] = {}
    options: list[Option] = []
    shares = [real_share(slide) for _, slide in layer.slides]
    # So much on every axis, and the layer does not come to read mostly padding.
    least = 0.8 if prod(min(0.8, share) for share in shares) >= MOSTLY else 1.0
    for axis, slide in layer.slides:
        found = look(slide, least)
        if found is not None:
            message, settings, otherwise = found
            own = [Option(axis, setting) for setting in settings]
            *some, last = dict.fromkeys([*_in_words(own), *otherwise])
            change = f"{', '.join(some)}, or {last}" if some else last
            said.setdefault((message, change), []).append(axis)
            options += own
    if not said:
        return None
    messages = [f"{' and '.join(axes)}{message}" for (message, _), axes in said.items()]
    changes = "; ".join(dict.fromkeys(change for _, change in said))
    return "; ".join(messages), changes, tuple(options)


def _in_words(options: Sequence[Option]) -> list[str]:
    """The options as text, those that set one thing alone said together: ``size 8 or 10``."""
    said: dict[str, list[object]] = {}
    for option in options:
        alone = len(option.set) == 1 and "padding" not in option.set
        key = next(iter(option.set)) if alone else str(option)
        said.setdefault(key, []).append(option.set.get(key, ""))
    return [f"{key} {any_of(values)}".rstrip() for key, values in said.items()]


def flaws_by_axis(network: Network, kinds: Iterable[str], look: Look) -> Iterable[Flaw]:
    """The flaws that show on single axes of the layers of some kinds."""
    for layer in network.layers:
        found = by_axis(layer, look) if layer.kind in kinds else None
        if found is not None:
            yield Flaw(layer, *found)


def real_share(slide: StridedAxis) -> float:
    """The share of what windows along one axis read that is cells rather than padding."""
    read = real = 0
    for first, step, outputs in strides_of(slide):
        before, until = (-((first - cell) // step) for cell in (0, slide.size))
        real += int((until.clip(0, outputs) - before.clip(0, outputs)).sum())
        read += outputs * len(first)
    return real / max(1, read)


def strides_of(slide: StridedAxis) -> Iterator[tuple[np.ndarray, int, int]]:
    """All that the windows along one axis read, (cells, step, outputs): each of the cells, and so
    many in all, that step apart.
    """
    period = slide.period(1)  # outputs a period apart read cells a whole step apart
    step = int(period * slide.jump)
    for phase in range(min(period, slide.output)):
        outputs = len(range(phase, slide.output, period))
        # Where all outputs read the same cells, one stands for all.
        yield np.array(slide.cells(phase), int), step or 1, outputs if step else 1


def any_of(options: Iterable[object]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    *some, last = map(str, options)
    return f"{', '.join(some)} or {last}" if some else last
