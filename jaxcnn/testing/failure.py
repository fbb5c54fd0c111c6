"""Failure messages: the law, the problem as a call to paste, and the numbers."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOT_FAILURES: tuple[type[Exception], ...]
try:
    from hypothesis.errors import HypothesisException

    _NOT_FAILURES = (HypothesisException,)  # such as assume(), which discards the problem
except ModuleNotFoundError:
    _NOT_FAILURES = ()


@contextmanager
def checking(law: str, problem: object) -> Iterator[None]:
    """Turns any exception raised inside into an AssertionError that names law and problem.

    >>> with checking("one is two", (1, 2)):
    ...     assert 1 == 2, "1 is not 2"
    Traceback (most recent call last):
    AssertionError: does not hold: one is two
      problem: (1, 2)
      1 is not 2
    """
    try:
        yield
    except _NOT_FAILURES:
        raise
    except Exception as error:
        kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
        raise AssertionError(
            f"does not hold: {law}\n  problem: {problem!r}\n  {kind}{error}"
        ) from error
