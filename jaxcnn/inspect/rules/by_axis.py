"""Flaws of single axes; axes with equal flaws are reported together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxcnn.geometry.axis_maps import StridedAxis
from jaxcnn.inspect.rules.reads import real_share
from jaxcnn.inspect.rules.rule import MOSTLY, Flaw, Option, any_of

if TYPE_CHECKING:
    from jaxcnn.inspect.network import Layer, Network


class AxisFlaw(NamedTuple):
    """A flaw of the window on one axis.

    Attributes:
      message: the flaw; the text follows the name of the axis.
      settings: the settings that remove it, each enough by itself.
      other_changes: other changes that remove it, in words.
    """

    message: str
    settings: Sequence[dict[str, Any]] = ()
    other_changes: Sequence[str] = ()


AxisCheck = Callable[[StridedAxis, float], AxisFlaw | None]
"""Checks the window on one axis. At least the given share of what its advised settings read should
be cells rather than padding.
"""


def flaws_by_axis(network: Network, kinds: Iterable[str], check: AxisCheck) -> Iterable[Flaw]:
    """The flaws that a check finds on the axes of layers of the given kinds."""
    for layer in network.layers:
        found = flaw_by_axis(layer, check) if layer.kind in kinds else None
        if found is not None:
            yield found


def flaw_by_axis(layer: Layer, check: AxisCheck) -> Flaw | None:
    """The flaw that a check finds on a layer's axes; axes with the same message share it."""
    axes_of: dict[tuple[str, str], list[str]] = {}
    options: list[Option] = []
    shares = [real_share(window) for _, window in layer.windows]
    # With this share on every axis, the layer as a whole does not read mostly padding.
    least = 0.8 if prod(min(0.8, share) for share in shares) >= MOSTLY else 1.0
    for axis, window in layer.windows:
        found = check(window, least)
        if found is not None:
            own = [Option(axis, setting) for setting in found.settings]
            changes = dict.fromkeys([*_in_words(own), *found.other_changes])
            *some, last = changes or [""]
            change = f"{', '.join(some)}, or {last}" if some else last
            axes_of.setdefault((found.message, change), []).append(axis)
            options += own
    if not axes_of:
        return None
    messages = [f"{' and '.join(axes)}{message}" for (message, _), axes in axes_of.items()]
    changes = dict.fromkeys(change for _, change in axes_of)
    return Flaw(layer, "; ".join(messages), "; ".join(changes), tuple(options))


def _in_words(options: Sequence[Option]) -> list[str]:
    """The options as text; options for the same single setting are joined: ``size 8 or 10``."""
    values: dict[str, list[object]] = {}
    for option in options:
        alone = len(option.set) == 1 and "padding" not in option.set
        key = next(iter(option.set)) if alone else str(option)
        values.setdefault(key, []).append(option.set.get(key, ""))
    return [f"{key} {any_of(each)}".rstrip() for key, each in values.items()]
