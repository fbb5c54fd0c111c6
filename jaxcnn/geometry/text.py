"""Paddings and sizes as words, for the command line and the text form of layers.

1          one cell on every side
3-2        3 before and 2 after, on every axis
1x2        1 on both sides of the first axis, 2 of the second
3-2x0-1    before and after, for each axis
same       a name
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jaxcnn.errors import InputError
from jaxcnn.geometry.check import is_sequence
from jaxcnn.geometry.padding import PADDING_NAMES, Padding

if TYPE_CHECKING:
    from collections.abc import Iterable
    from fractions import Fraction


def parse_padding(word: str) -> Padding:
    """The padding that a word describes; a pair for every axis becomes a tuple of one entry.

    Raises:
      InputError: if the word has another form.

    >>> parse_padding("1"), parse_padding("3-2"), parse_padding("1x0-2"), parse_padding("same")
    (1, ((3, 2),), ((1, 1), (0, 2)), 'SAME')
    """
    if word.upper() in PADDING_NAMES:
        return word.upper()
    if not re.fullmatch(r"[0-9]+(-[0-9]+)?(x[0-9]+(-[0-9]+)?)*", word):
        raise InputError(
            f"padding {word!r} is not understood; write 1 for every side, 3-2 for before and "
            f"after, 3-2x0-1 for each axis, or a name: {', '.join(PADDING_NAMES).lower()}"
        )
    sides = [tuple(map(int, axis.split("-"))) for axis in word.split("x")]
    if len(sides) == 1 and len(sides[0]) == 1:
        return sides[0][0]
    return tuple((side[0], side[-1]) for side in sides)


def format_padding(padding: Padding) -> str:
    """The word for a padding.

    >>> format_padding(((0, 2), (1, 1))), format_padding(2), format_padding("SAME")
    ('0-2x1-1', '2', 'same')
    """
    if isinstance(padding, str):
        return padding.lower()
    if not is_sequence(padding):
        return str(padding)
    words = ["-".join(map(str, each)) if is_sequence(each) else str(each) for each in padding]
    return "x".join(words)


def format_value(value: object) -> str:
    """The word for a number, a name, or a number for each axis.

    >>> format_value(3), format_value((6, 9))
    ('3', '6x9')
    """
    return "x".join(map(str, value)) if is_sequence(value) else str(value)


def for_axes(padding: Padding, axes: int) -> Padding:
    """``padding`` for ``axes`` axes: repeats the pair of a tuple of one entry.

    >>> for_axes(((3, 2),), 2), for_axes(1, 2)
    (((3, 2), (3, 2)), 1)
    """
    if is_sequence(padding) and len(padding) == 1:
        return tuple(padding) * axes
    return padding


def format_shape(sizes: Iterable[int | Fraction]) -> str:
    """Sizes as one word.

    >>> format_shape((28, 28, 1))
    '28x28x1'
    """
    return "x".join(map(str, sizes))


def format_count(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless it is 1.

    >>> format_count(1, "row"), format_count(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
