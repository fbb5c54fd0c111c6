"""Paddings as options, and the advice of errors spelled as options."""

from __future__ import annotations

from jaxcnn.errors import Advice, InputError
from jaxcnn.geometry import Padding
from jaxcnn.geometry.check import is_sequence
from jaxcnn.geometry.text import for_axes, format_padding, format_value, parse_padding

PADDINGS = "1 for every side, 3-2 for before and after, 3-2x0-1 for each axis, or a name"
"""The spelling of paddings, for the help texts of commands."""

OPTIONS = {
    "padding": "--padding",
    "rounding": "--rounding",
    "groups": "--groups",
    "out_channels": "--out-channels",
    "recipe": "--recipe",
    "input_shape": "--input",
    "channels": "--channels",
}


def as_options(advice: Advice) -> str:
    """Advice spelled as options: ``--padding 0-2x0-0``, ``--rounding floor``, ``sizes 6x6``.

    >>> as_options(Advice("padding", (((0, 2), (0, 0)), ((1, 1), (0, 0)))))
    '--padding 0-2x0-0 or 1-1x0-0'
    """
    name = OPTIONS.get(advice.argument, advice.argument)
    write = format_padding if advice.argument == "padding" else format_value
    return Advice(name, advice.values, advice.note).format(" ", list(map(write, advice.values)))


def padding_option(word: str, axes: int) -> Padding:
    """The padding that ``--padding word`` means for ``axes`` spatial axes.

    Raises:
      InputError: if the word is not a padding, or is one for another number of axes.
    """
    padding = for_axes(parse_padding(word), axes)
    if is_sequence(padding) and len(padding) != axes:
        raise InputError(
            f"--padding {word} is for {len(padding)} axes, not for {axes}; write {PADDINGS}"
        )
    return padding
