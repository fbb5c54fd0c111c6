"""``jaxcnn size``: the formula with the numbers in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from jaxcnn.cli.advice import PADDINGS, as_options, padding_option
from jaxcnn.errors import Advice, format_advice
from jaxcnn.geometry import (
    Window,
    describe_size_preserving_padding,
    resolve_padding,
    size_preserving_padding,
)
from jaxcnn.geometry.text import format_padding

Size = Annotated[int, typer.Argument(help="N, cells on the axis.", show_default=False)]
Filter = Annotated[int, typer.Option("--kernel-size", "-k", help="F, taps.", show_default=False)]
Stride = Annotated[int, typer.Option("--stride", "-s", help="s, cells from place to place.")]
Pad = Annotated[str, typer.Option("--padding", "-p", help=f"Cells around the axis: {PADDINGS}.")]
Dilation = Annotated[int, typer.Option("--dilation", "-d", help="d, cells from tap to tap.")]
Rounding = Annotated[
    str,
    typer.Option(
        "--rounding",
        help="What is done about cells at the end that no window reaches: exact refuses them, "
        "floor drops them, ceil adds a window.",
    ),
]


def size(
    size: Size,
    kernel_size: Filter,
    stride: Stride = 1,
    pad: Pad = "0",
    dilation: Dilation = 1,
    rounding: Rounding = "exact",
) -> None:
    """Print k = (N + lo + hi - F')/s + 1 with the numbers in it, or why it is impossible."""
    layout = {"stride": stride, "dilation": dilation}
    with format_advice(_as_options):
        padding = padding_option(pad, 1)
        ((low, high),) = resolve_padding(padding, (size,), (kernel_size,), **layout)
        window = Window(size, kernel_size, stride, (low, high), dilation, rounding)
    pair = size_preserving_padding(size, kernel_size, **layout)
    keep = describe_size_preserving_padding(size, kernel_size, **layout)
    typer.echo(f"k = {window}")
    if dilation != 1:
        typer.echo(f"    with F' = {dilation}*({kernel_size} - 1) + 1 = {window.extent}")
    if window.unread:
        typer.echo(f"    {window.unread} of {window.padded} cells at the end never read")
    typer.echo(f"    {keep.replace(str(pair), format_padding((pair,)))}")


def _as_options(advice: Advice) -> str:
    """An advice on one axis, where a pair is not one number for each of two."""
    if advice.argument == "padding":
        advice = replace(advice, values=tuple((pair,) for pair in advice.values))
    return as_options(advice)
