"""The one kind of error a person's input can cause, and how a caller's name gets in front of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Advice:
    """One argument that may be changed, and the values with which the call succeeds.

    Attributes:
      argument: its name; or what a size is called, such as ``height``.
      values: whole values, one per choice: what can be typed for the argument as it stands.
      note: what is said after them.

    >>> print(Advice("padding", (((0, 2), (0, 0)), ((1, 1), (0, 0)))))
    padding=((0, 2), (0, 0)) or ((1, 1), (0, 0))
    >>> print(Advice("height", (6, 9))), print(Advice("rounding", ("floor",), "to drop them"))
    height 6 or 9
    rounding="floor" to drop them
    (None, None)
    """

    argument: str
    values: tuple[Any, ...]
    note: str = ""

    def __str__(self) -> str:
        choices = [f'"{v}"' if isinstance(v, str) else repr(v) for v in self.values]
        size = self.argument in SIZES or self.argument.startswith("axis ")
        return self.spelled(" " if size else "=", choices)

    def spelled(self, between: str, choices: list[str]) -> str:
        """The advice with its values as they are typed somewhere."""
        *some, last = choices
        listed = f"{', '.join(some)} or {last}" if some else last
        return f"{self.argument}{between}{listed}{' ' if self.note else ''}{self.note}"


SIZES = ("size", "sizes", "length", "height", "width", "depth")
"""What sizes of the input are called: they are changed, and not typed as an argument."""


class InputError(ValueError):
    """Input that cannot be served: what was asked, why it cannot be, what to type instead.

    A subclass of :class:`ValueError`, so that library users catch what they expect, and of its
    own kind, so that the command line can tell a person's mistake from a defect of ours.

    Args:
      why: what was asked and why it cannot be; all there is to say, where no advice follows.
      advice: ways out, each by itself enough, listed at the end of the message.

    >>> print(InputError("3 does not fit.", Advice("stride", (1, 2)), "a larger filter"))
    3 does not fit. Use stride=1 or 2, or a larger filter.
    """

    def __init__(self, why: str, *advice: Advice | str) -> None:
        super().__init__(why, *advice)

    @property
    def advice(self) -> tuple[Advice | str, ...]:
        """The ways out."""
        return self.args[1:]

    def __str__(self) -> str:
        return self.spelled(str)

    def spelled(self, spell: Callable[[Advice], str]) -> str:
        """The message, with each advice as ``spell`` writes it."""
        ways = [way if isinstance(way, str) else spell(way) for way in self.advice]
        if not ways:
            return self.args[0]
        *some, last = ways
        return f"{self.args[0]} Use {', '.join(some)}{', or ' if some else ''}{last}."


@contextmanager
def error_prefix(who: str) -> Iterator[None]:
    """Puts ``who: `` in front of the message of an input error raised inside.

    >>> with error_prefix("conv"):
    ...     raise InputError("stride must be an integer >= 1, got 0")
    Traceback (most recent call last):
    jaxcnn.errors.InputError: conv: stride must be an integer >= 1, got 0
    """
    try:
        yield
    except InputError as error:
        why, *advice = error.args
        raise InputError(f"{who}: {why}", *advice) from None
    except TypeError as error:
        raise TypeError(f"{who}: {error}") from None


@contextmanager
def without(argument: str) -> Iterator[None]:
    """Leaves out, of an input error raised inside, advice on an argument that is not the caller's.

    >>> with without("padding"):
    ...     raise InputError("5 does not fit.", Advice("padding", (1,)), Advice("length", (6,)))
    Traceback (most recent call last):
    jaxcnn.errors.InputError: 5 does not fit. Use length 6.
    """
    try:
        yield
    except InputError as error:
        why, *ways = error.args
        kept = [way for way in ways if not isinstance(way, Advice) or way.argument != argument]
        raise InputError(why, *kept) from None


@contextmanager
def spelling(spell: Callable[[Advice], str]) -> Iterator[None]:
    """Says the advice of an input error raised inside as ``spell`` writes it."""
    try:
        yield
    except InputError as error:
        raise InputError(error.spelled(spell)) from None
