"""What is known of a setting: its explanation, its rules, and its form on the command line."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxcnn.data import augment
from jaxcnn.data.order import INT32
from jaxcnn.errors import InputError, error_prefix
from jaxcnn.geometry.check import choice, integer, is_sequence

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Setting:
    """What is known of a setting beside its type.

    Attributes:
      help: one line for the command line and the documentation.
      check: (name, value) -> the value as it is stored; raises InputError or TypeError.
      parse: the value that a text of the command line means.
      moves: whether a resumed run may change it, because the run's numbers depend on it by no more
        than the rounding of sums.
    """

    help: str
    check: Callable[[str, Any], Any]
    parse: Callable[[str], Any]
    moves: bool = False


def whole(default: int, help_text: str, least: int, *, most: int = INT32, **more: Any) -> Any:
    """An integer from ``least`` to ``most``."""

    def check(name: str, value: Any) -> int:
        value = integer(name, value, least=least)
        if value > most:
            raise InputError(f"{name} must be at most {most}, got {value}; use {most} or less")
        return value

    return _setting(default, Setting(help_text, check, int, **more))


def number(
    default: float,
    help_text: str,
    least: float,
    below: float = math.inf,
    *,
    above: bool = False,
    **more: Any,
) -> Any:
    """A number from ``least``, or above it, and below ``below``."""
    lower = f"{'above' if above else 'at least'} {least:g}"
    upper = "finite" if below == math.inf else f"below {below:g}"

    def check(name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{name} must be a number, got {value!r}")
        if not least <= value < below or (above and value == least):
            raise InputError(f"{name} must be {lower} and {upper}, got {value:g}")
        return float(value)

    return _setting(default, Setting(help_text, check, float, **more))


def one_of(default: str, help_text: str, choices: tuple[str, ...]) -> Any:
    """One of the words ``choices``."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError(
                f"{name} must be a name, one of {', '.join(choices)}, got an object of type "
                f"{type(value).__name__}"
            )
        return choice(name, value, choices)

    return _setting(default, Setting(f"{help_text}: {', '.join(choices)}.", check, str))


def free_text(default: str | None, help_text: str, **more: Any) -> Any:
    """Any text but the empty one."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise TypeError(f"{name} must be a text, got {value!r}")
        return value

    return _setting(default, Setting(help_text, check, str, **more))


def file_path(help_text: str) -> Any:
    """The path of a file, which is kept as text."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str | Path) or not str(value):
            raise TypeError(f"{name} must be a path, got {value!r}")
        return str(value)

    return _setting(None, Setting(help_text, check, str))


def augmentations(default: tuple[str, ...], help_text: str) -> Any:
    """Words of :mod:`jaxcnn.data.augment`."""

    def check(name: str, value: Any) -> tuple[str, ...]:
        if not is_sequence(value) or not all(isinstance(word, str) for word in value):
            raise TypeError(f"{name} must list words such as 'shift:2', got {value!r}")
        with error_prefix(name):
            for word in value:
                augment.parse(word)
        return tuple(value)

    return _setting(default, Setting(help_text, check, lambda text: tuple(text.split())))


def image_size(help_text: str) -> Any:
    """A height and a width."""

    def check(name: str, value: Any) -> tuple[int, int]:
        if not is_sequence(value) or len(value) != 2:
            raise TypeError(f"{name} must be (height, width), got {value!r}; as in (64, 64)")
        return tuple(integer(f"{name}[{i}]", v, least=1) for i, v in enumerate(value))  # type: ignore[return-value]

    def parse(text: str) -> tuple[int, ...]:
        sizes = tuple(map(int, text.split("x")))
        return sizes * 2 if len(sizes) == 1 else sizes

    return _setting(None, Setting(help_text, check, parse))


def optional(setting: Any) -> Any:
    """The setting with None as its default, which switches it off."""
    return field(default=None, metadata=setting.metadata)


def _setting(default: Any, setting: Setting) -> Any:
    return field(default=default, metadata={"setting": setting})
