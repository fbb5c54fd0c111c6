"""InputError, the one error for a caller's mistake, and its advice on what to type instead."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Advice:
    """One argument to change, and the values with which the call succeeds.

    Attributes:
      argument: the argument's name, or the name of a size, such as ``height``.
      values: the alternatives; each is a whole value to type for the argument.
      note: text after the values.

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
        values = [f'"{v}"' if isinstance(v, str) else repr(v) for v in self.values]
        is_size = self.argument in SIZE_NAMES or self.argument.startswith("axis ")
        return self.format(" " if is_size else "=", values)

    def format(self, separator: str, values: list[str]) -> str:
        """The advice as text: the argument, ``separator``, the given values, the note.

        >>> Advice("--padding", (((1, 2),),), "to keep it").format(" ", ["1-2"])
        '--padding 1-2 to keep it'
        """
        *others, last = values
        listed = f"{', '.join(others)} or {last}" if others else last
        return f"{self.argument}{separator}{listed}{' ' if self.note else ''}{self.note}"


SIZE_NAMES = ("size", "sizes", "length", "height", "width", "depth")
"""Names of input sizes. They are not arguments, so advice on them has no equals sign."""


class InputError(ValueError):
    """Input that is not supported: what was requested, why it is impossible, what to type instead.

    A subclass of :class:`ValueError`, which library users expect; the command line tells it apart
    from other errors, which are defects of this library.

    Args:
      why: what was requested and why it is impossible; without advice, the whole message.
      advice: alternatives, listed at the end of the message; each is enough by itself.

    >>> print(InputError("3 does not fit.", Advice("stride", (1, 2)), "a larger kernel"))
    3 does not fit. Use stride=1 or 2, or a larger kernel.
    """

    def __init__(self, why: str, *advice: Advice | str) -> None:
        super().__init__(why, *advice)

    @property
    def advice(self) -> tuple[Advice | str, ...]:
        """The alternatives, in the order of the message."""
        return self.args[1:]

    def __str__(self) -> str:
        return self.format(str)

    def format(self, write: Callable[[Advice], str]) -> str:
        """The message, with each :class:`Advice` written by ``write``."""
        words = [each if isinstance(each, str) else write(each) for each in self.advice]
        if not words:
            return self.args[0]
        *others, last = words
        return f"{self.args[0]} Use {', '.join(others)}{', or ' if others else ''}{last}."


@contextmanager
def error_prefix(caller: str) -> Iterator[None]:
    """Prefixes the messages of input errors and type errors raised inside with ``caller: ``.

    >>> with error_prefix("conv"):
    ...     raise InputError("stride must be an integer >= 1, got 0")
    Traceback (most recent call last):
    jaxcnn.errors.InputError: conv: stride must be an integer >= 1, got 0
    """
    try:
        yield
    except InputError as error:
        why, *advice = error.args
        raise InputError(f"{caller}: {why}", *advice) from None
    except TypeError as error:
        raise TypeError(f"{caller}: {error}") from None


@contextmanager
def omit_advice(argument: str) -> Iterator[None]:
    """Omits advice on ``argument``, which the caller does not have, from errors raised inside.

    >>> with omit_advice("padding"):
    ...     raise InputError("5 does not fit.", Advice("padding", (1,)), Advice("length", (6,)))
    Traceback (most recent call last):
    jaxcnn.errors.InputError: 5 does not fit. Use length 6.
    """
    try:
        yield
    except InputError as error:
        why, *advice = error.args
        kept = [a for a in advice if not isinstance(a, Advice) or a.argument != argument]
        raise InputError(why, *kept) from None


@contextmanager
def format_advice(write: Callable[[Advice], str]) -> Iterator[None]:
    """Makes ``write`` format the advice of an input error raised inside.

    >>> with format_advice(lambda advice: f"--{advice.argument} {advice.values[0]}"):
    ...     raise InputError("5 does not fit.", Advice("padding", (1,)))
    Traceback (most recent call last):
    jaxcnn.errors.InputError: 5 does not fit. Use --padding 1.
    """
    try:
        yield
    except InputError as error:
        raise InputError(error.format(write)) from None
