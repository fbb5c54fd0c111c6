"""Symbolic sizes: JAX's dimensions of unknown value, treated as integers.

They are added, multiplied and divided like integers. A comparison returns a bool if the answer is
the same for every value, and raises otherwise. This module does not import JAX.
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
    """The result of a comparison; None if it depends on the value of a symbolic size.

    >>> known(lambda: 2 > 1)
    True
    """
    try:
        return bool(condition())
    except Exception as error:
        # The error is recognised by name because the geometry does not import JAX.
        if type(error).__name__ != "InconclusiveDimensionOperation":
            raise
        return None


def require_at_least(name: str, size: Any, least: int) -> Any:
    """Returns a symbolic ``size`` if it is known to be ``least`` or more; otherwise raises."""
    if known(lambda: size >= least):
        return size
    raise InputError(
        f"{name} {size} is not known to be {least} or more; {constraint_advice(size, least)}"
    )


def constraint_advice(size: Any, least: int) -> str:
    """Advice on the constraint that makes a symbolic size known to be ``least`` or more."""
    return f'use symbolic_shape(..., constraints=["{size} >= {least}"])'
