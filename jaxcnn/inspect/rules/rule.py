"""Rule, Flaw and Option: a rule finds flaws, and a flaw has options that remove it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jaxcnn.inspect.network import Layer, Network

MOSTLY = 0.5
"""A share above this is most of the whole."""


@dataclass(frozen=True)
class Option:
    """One change to a layer, after which no rule finds a flaw of this kind in it.

    Attributes:
      axis: the spatial axis of the change; empty for the layer as a whole.
      set: the new values of ``size``, ``kernel_size``, ``padding`` (on both sides), ``dilation``,
        ``out_channels``, ``dilations`` or ``use_bias``; the rest does not change.
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
    """A flaw of one layer.

    Attributes:
      layer: the layer.
      message: the flaw, with its numbers.
      change: the changes that remove it, in words.
      options: the changes as data, if they are numbers; each is enough for its axis.
    """

    layer: Layer
    message: str
    change: str
    options: tuple[Option, ...] = ()


@dataclass(frozen=True)
class Rule:
    """A kind of flaw to find in a network; created by :func:`rule`.

    Attributes:
      code: the code that selects or ignores it.
      name: the flaw in a few words.
      reason: why the flaw matters, with the source.
      example: a layer that has the flaw, and the same layer without it.
      find: a function that returns the flaws of a network.
    """

    code: str
    name: str
    reason: str
    example: str
    find: Callable[[Network], Iterable[Flaw]]

    def __str__(self) -> str:
        return f"{self.code} {self.name}\n  {self.reason}\n  {self.example}"


def rule(
    code: str, name: str, *, example: str
) -> Callable[[Callable[[Network], Iterable[Flaw]]], Rule]:
    """Decorates a function from a network to its flaws; the docstring becomes the reason."""

    def made(find: Callable[[Network], Iterable[Flaw]]) -> Rule:
        return Rule(code, name, " ".join((inspect.getdoc(find) or "").split()), example, find)

    return made


def any_of(options: Iterable[object]) -> str:
    """The options as text: ``a``, ``a or b``, ``a, b or c``."""
    *some, last = map(str, options)
    return f"{', '.join(some)} or {last}" if some else last
