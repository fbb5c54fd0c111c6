"""Sizes that are not numbers yet: JAX's symbolic dimensions, known here by their arithmetic alone.

They are added, multiplied and divided like integers; a comparison either holds for every value that
they may take, or for none, or raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxcnn.errors import InputError


def is_symbolic(value: Any) -> bool:
    """Whether ``value`` is a size that is not known as a number."""
    return hasattr(value, "dimension_as_value")


def known(condition: Callable[[], bool]) -> bool | None:
    """Whether a comparison holds, for whatever sizes; None where that depends on them.

    >>> known(lambda: 2 > 1)
    True
    """
    try:
        return bool(condition())
    except Exception as error:
        # By its name: nothing here imports JAX.
        if type(error).__name__ != "InconclusiveDimensionOperation":
            raise
        return None


def at_least(name: str, size: Any, least: int) -> Any:
    """A symbolic ``size``, if it is known to be so large."""
    if known(lambda: size >= least):
        return size
    raise InputError(f"{name} {size} is not known to be {least} or more; {state(size, least)}")


def state(size: Any, least: int) -> str:
    """How to say that a symbolic size is ``least`` or more."""
    return f'use symbolic_shape(..., constraints=["{size} >= {least}"])'
