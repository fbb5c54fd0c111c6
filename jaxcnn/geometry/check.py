"""Checks of arguments: integers, values for each axis, names."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeGuard

from jaxcnn.errors import Advice, InputError
from jaxcnn.geometry._symbolic import is_symbolic, require_at_least


def integer(name: str, value: Any, *, least: int | None, symbolic: bool = False) -> int:
    """``value`` as a Python int.

    Args:
      name: the argument's name in errors.
      value: any object with ``__index__``, or an array of one integer without axes.
      least: the smallest value allowed; None allows any.
      symbolic: whether to accept JAX's symbolic sizes, which are returned unchanged.

    Raises:
      InputError: if the value is below ``least``.
      TypeError: if the value is not an integer.

    >>> integer("stride", 2, least=1)
    2
    """
    if symbolic and is_symbolic(value):
        return value if least is None else require_at_least(name, value, least)
    kind = "an integer" if least is None else f"an integer >= {least}"
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be {kind}, got {value!r} of type {type(value).__name__}")
    try:
        number = operator.index(value)
    except TypeError:  # an array that is not an integer scalar, or a traced array
        raise TypeError(f"{name} must be {kind}, got {value!r}") from None
    if least is not None and number < least:
        raise InputError(f"{name} must be an integer >= {least}, got {number}; use {least} or more")
    return number


def per_axis(
    name: str, value: Any, axes: int, *, least: int, symbolic: bool = False
) -> tuple[int, ...]:
    """One integer for each of ``axes`` axes, from one integer for all or a sequence.

    The other arguments and the errors are those of :func:`integer`.

    >>> per_axis("stride", 2, 3, least=1), per_axis("stride", (1, 2), 2, least=1)
    ((2, 2, 2), (1, 2))
    """
    if not is_sequence(value):
        return (integer(name, value, least=least, symbolic=symbolic),) * axes
    if len(value) != axes:
        given = tuple(value)
        around = len(given) == axes + 2 and given[0] == given[-1] == 1  # TensorFlow's form
        hint = f", as in {name}={given[1:-1]}, without batch and channels" if around else ""
        raise InputError(
            f"{name} {given!r} has {len(given)} entries for {axes} spatial "
            f"{'axis' if axes == 1 else 'axes'}; give one integer, or {axes} of them{hint}"
        )
    return tuple(
        integer(f"{name}[{i}]", entry, least=least, symbolic=symbolic)
        for i, entry in enumerate(value)
    )


def choice(
    name: str, value: Any, choices: Sequence[str], synonyms: Mapping[str, str] | None = None
) -> str:
    """``value`` if it is one of ``choices``; otherwise an InputError names the most similar one.

    Args:
      name: the argument.
      value: as it was given.
      choices: the values that are known.
      synonyms: other libraries' words in upper case, each with the choice that it means.

    >>> choice("rounding", "floor", ("exact", "floor"))
    'floor'
    """
    if isinstance(value, str) and value in choices:
        return value
    known = {each.upper(): each for each in choices} | dict(synonyms or {})
    near = get_close_matches(str(value).upper(), known, n=1)
    raise InputError(
        f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}.",
        *(Advice(name, (known[each],)) for each in near),
    )


def is_sequence(value: Any) -> TypeGuard[Sequence[Any]]:
    """Whether ``value`` is an ordered collection: a tuple, a list, an array with axes.

    Strings, bytes, sets, mappings and arrays without axes are not.

    >>> is_sequence([1, 2]), is_sequence("12"), is_sequence({1, 2})
    (True, False, False)
    """
    if isinstance(value, str | bytes | bytearray | Mapping) or getattr(value, "shape", 0) == ():
        return False
    return all(hasattr(value, name) for name in ("__len__", "__iter__", "__getitem__"))
