"""What a rule is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from jaxcnn.geometry.steps import Slide
from jaxcnn.inspect.network import Layer, Network


@dataclass(frozen=True)
class Flaw:
    """What is wrong with one layer, in words with the numbers, and what to change."""

    layer: Layer
    message: str
    change: str


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


def by_axis(
    layer: Layer, look: Callable[[Slide], tuple[str, str] | None]
) -> tuple[str, str] | None:
    """What ``look`` says of a layer's axes, (message, change), each thing said once."""
    said: dict[tuple[str, str], list[str]] = {}
    for axis, slide in layer.slides:
        found = look(slide)
        if found is not None:
            said.setdefault(found, []).append(axis)
    if not said:
        return None
    messages = [f"{' and '.join(axes)}{message}" for (message, _), axes in said.items()]
    return "; ".join(messages), "; ".join(dict.fromkeys(change for _, change in said))


def flaws_by_axis(
    network: Network, kinds: Iterable[str], look: Callable[[Slide], tuple[str, str] | None]
) -> Iterable[Flaw]:
    """The flaws that show on single axes of the layers of some kinds."""
    for layer in network.layers:
        found = by_axis(layer, look) if layer.kind in kinds else None
        if found is not None:
            yield Flaw(layer, *found)


def count_of(number: int, noun: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def any_of(options: Iterable[object]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    *some, last = map(str, options)
    return f"{', '.join(some)} or {last}" if some else last
