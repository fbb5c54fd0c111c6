"""Flaws of single axes, reported once for axes that are alike."""

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
    """What is wrong with the window on one axis.

    Attributes:
      message: what is wrong; it follows the name of the axis.
      settings: the settings that mend it, each enough by itself.
      other_changes: in words, what else mends it.
    """

    message: str
    settings: Sequence[dict[str, Any]] = ()
    other_changes: Sequence[str] = ()


AxisCheck = Callable[[StridedAxis, float], AxisFlaw | None]
"""Looks at the window on one axis. Of what the settings it advises read, at least the given share
should be cells rather than padding.
"""


def flaws_by_axis(network: Network, kinds: Iterable[str], check: AxisCheck) -> Iterable[Flaw]:
    """The flaws that a check finds on the axes of the layers of some kinds."""
    for layer in network.layers:
        found = flaw_by_axis(layer, check) if layer.kind in kinds else None
        if found is not None:
            yield found


def flaw_by_axis(layer: Layer, check: AxisCheck) -> Flaw | None:
    """The flaw that a check finds on some of a layer's axes; axes with one message share it."""
    axes_of: dict[tuple[str, str], list[str]] = {}
    options: list[Option] = []
    shares = [real_share(window) for _, window in layer.windows]
    # With such a share on every axis, the layer as a whole does not read mostly padding.
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
    """The options as text, with those that set the same single thing together: ``size 8 or 10``."""
    values: dict[str, list[object]] = {}
    for option in options:
        alone = len(option.set) == 1 and "padding" not in option.set
        key = next(iter(option.set)) if alone else str(option)
        values.setdefault(key, []).append(option.set.get(key, ""))
    return [f"{key} {any_of(each)}".rstrip() for key, each in values.items()]
