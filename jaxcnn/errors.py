"""The one kind of error a person's input can cause, and how a caller's name gets in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """Input that cannot be served: what was asked, why it cannot be, what to type instead.

    A subclass of :class:`ValueError`, so that library users catch what they expect, and of its
    own kind, so that the command line can tell a person's mistake from a defect of ours.
    """


@contextmanager
def speaking_as(who: str) -> Iterator[None]:
    """Puts ``who: `` in front of the message of an input error raised inside.

    >>> with speaking_as("conv"):
    ...     raise InputError("stride must be an integer >= 1, got 0")
    Traceback (most recent call last):
    jaxcnn.errors.InputError: conv: stride must be an integer >= 1, got 0
    """
    try:
        yield
    except (InputError, TypeError) as error:
        raise type(error)(f"{who}: {error}") from None
