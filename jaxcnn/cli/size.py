"""``jaxcnn size``: the formula with the numbers in it."""

from __future__ import annotations

from typing import Annotated

import typer

from jaxcnn.errors import InputError
from jaxcnn.geometry import Window, describe_size_preserving_padding, named_padding

Size = Annotated[int, typer.Argument(help="N, cells on the axis.", show_default=False)]
Filter = Annotated[int, typer.Option("--filter", "-f", help="F, taps.", show_default=False)]
Stride = Annotated[int, typer.Option("--stride", "-s", help="s, cells from place to place.")]
Pad = Annotated[
    str,
    typer.Option(
        "--pad", "-p", help="Zero cells on both sides; a pair as in 1,2; or a name such as SAME."
    ),
]
Dilation = Annotated[int, typer.Option("--dilation", "-d", help="d, cells from tap to tap.")]
Floor = Annotated[
    bool, typer.Option("--floor", help="Drop the cells at the end that no window reaches.")
]


def size(
    size: Size,
    filter: Filter,
    stride: Stride = 1,
    pad: Pad = "0",
    dilation: Dilation = 1,
    floor: Floor = False,
) -> None:
    """Print k = (N + lo + hi - F')/s + 1 with the numbers in it, or why it is impossible."""
    padding = _padding(pad, size, filter, stride, dilation)
    rounding = "floor" if floor else "exact"
    try:
        window = Window(size, filter, stride, padding, dilation, rounding)
    except InputError as error:  # here the way out is an option, not an argument
        raise InputError(str(error).replace('rounding="floor"', "--floor")) from None
    keep = describe_size_preserving_padding(size, filter, stride=stride, dilation=dilation)
    typer.echo(f"k = {window}")
    if dilation != 1:
        typer.echo(f"    with F' = {dilation}*({filter} - 1) + 1 = {window.extent}")
    if window.unread:
        typer.echo(f"    {window.unread} of {window.padded} cells at the end never read")
    typer.echo(f"    {keep}")


def _padding(pad: str, size: int, filter: int, stride: int, dilation: int) -> tuple[int, int]:
    parts = pad.split(",")
    if all(part.strip().isdecimal() for part in parts) and len(parts) <= 2:
        return int(parts[0]), int(parts[-1])
    if pad.replace("_", "").isalpha():
        return named_padding(pad, size, filter, stride=stride, dilation=dilation)
    raise InputError(f"pad {pad!r} must be a number >= 0, a pair as in 1,2, or a name such as SAME")
