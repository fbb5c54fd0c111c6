"""Rule, Flaw and Option: what a rule is, and what it finds."""

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
    """One way to mend a layer, after which no rule finds a flaw of this kind there.

    Attributes:
      axis: the spatial axis that it is for; empty for the layer as a whole.
      set: what to set: ``size``, ``kernel_size``, ``padding`` (on both sides), ``dilation``,
        ``out_channels``, ``dilations`` or ``use_bias``; the rest stays as it is.
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
    """What is wrong with one layer.

    Attributes:
      layer: the layer.
      message: what is wrong, with the numbers.
      change: what to change, in words.
      options: the changes as data where numbers can say them; for a named axis, each is enough.
    """

    layer: Layer
    message: str
    change: str
    options: tuple[Option, ...] = ()


@dataclass(frozen=True)
class Rule:
    """Something to look for in a network; made by :func:`rule`.

    Attributes:
      code: by which it is selected and ignored.
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


def rule(
    code: str, name: str, *, example: str
) -> Callable[[Callable[[Network], Iterable[Flaw]]], Rule]:
    """Makes a rule of a function from a network to its flaws; its docstring is the reason."""

    def made(find: Callable[[Network], Iterable[Flaw]]) -> Rule:
        return Rule(code, name, " ".join((inspect.getdoc(find) or "").split()), example, find)

    return made


def any_of(options: Iterable[object]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    *some, last = map(str, options)
    return f"{', '.join(some)} or {last}" if some else last
