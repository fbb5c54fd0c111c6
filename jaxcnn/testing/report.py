"""What a failed law says: the law, the problem as a call to paste, and the numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis.errors import HypothesisException


@contextmanager
def stating(law: str, problem: object) -> Iterator[None]:
    """Turns whatever is raised inside into an AssertionError that tells what it was about.

    >>> with stating("one is two", (1, 2)):
    ...     assert 1 == 2, "1 is not 2"
    Traceback (most recent call last):
    AssertionError: does not hold: one is two
      problem: (1, 2)
      1 is not 2
    """
    try:
        yield
    except HypothesisException:  # an adapter's assume() is no failure
        raise
    except Exception as error:
        kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
        raise AssertionError(
            f"does not hold: {law}\n  problem: {problem!r}\n  {kind}{error}"
        ) from error
