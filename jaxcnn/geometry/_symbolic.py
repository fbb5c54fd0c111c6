"""Symbolic sizes: JAX's dimensions without a known value, seen here as integers with arithmetic.

They are added, multiplied and divided like integers. A comparison returns a bool where the answer
is the same for every value, and raises otherwise. JAX itself is not imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable


def is_symbolic(value: Any) -> bool:
    """Whether ``value`` is a symbolic size."""
    return hasattr(value, "dimension_as_value")


def known(condition: Callable[[], bool]) -> bool | None:
    """The answer of a comparison; None where it depends on the value of a symbolic size.

    >>> known(lambda: 2 > 1)
    True
    """
    try:
        return bool(condition())
    except Exception as error:
        # Recognised by name, since the geometry does not import JAX.
        if type(error).__name__ != "InconclusiveDimensionOperation":
            raise
        return None


def require_at_least(name: str, size: Any, least: int) -> Any:
    """Returns a symbolic ``size`` that is known to be ``least`` or more; refuses any other."""
    if known(lambda: size >= least):
        return size
    raise InputError(
        f"{name} {size} is not known to be {least} or more; {constraint_advice(size, least)}"
    )


def constraint_advice(size: Any, least: int) -> str:
    """Advice: the constraint with which a symbolic size is known to be ``least`` or more."""
    return f'use symbolic_shape(..., constraints=["{size} >= {least}"])'
