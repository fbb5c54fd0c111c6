"""``jaxcnn size``: the output size formula with the numbers filled in."""

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
KernelSize = Annotated[
    int, typer.Option("--kernel-size", "-k", help="F, taps of the kernel.", show_default=False)
]
Stride = Annotated[int, typer.Option("--stride", "-s", help="s, cells between windows.")]
Padding = Annotated[str, typer.Option("--padding", "-p", help=f"lo and hi: {PADDINGS}.")]
Dilation = Annotated[int, typer.Option("--dilation", "-d", help="d, cells between taps.")]
Rounding = Annotated[
    str,
    typer.Option(
        "--rounding",
        help="What to do if cells at the end fit no whole window: exact is an error, floor drops "
        "them, ceil adds a window.",
    ),
]


def size(
    size: Size,
    kernel_size: KernelSize,
    stride: Stride = 1,
    padding: Padding = "0",
    dilation: Dilation = 1,
    rounding: Rounding = "exact",
) -> None:
    """Print an output size, and the padding that keeps the size.

    The formula is k = (N + lo + hi - F')/s + 1 with F' = d*(F - 1) + 1. If k is not a whole number,
    the error says what to type instead.
    """
    layout = {"stride": stride, "dilation": dilation}
    with format_advice(_as_options):
        sides = padding_option(padding, 1)
        ((low, high),) = resolve_padding(sides, (size,), (kernel_size,), **layout)
        window = Window(size, kernel_size, stride, (low, high), dilation, rounding)
    pair = size_preserving_padding(size, kernel_size, **layout)
    keep = describe_size_preserving_padding(size, kernel_size, **layout)
    typer.echo(f"k = {window}")
    if dilation != 1:
        typer.echo(f"    with F' = {dilation}*({kernel_size} - 1) + 1 = {window.extent}")
    if window.unread:
        typer.echo(f"    {window.unread} of {window.padded} cells at the end are never read")
    typer.echo(f"    {keep.replace(str(pair), format_padding((pair,)))}")


def _as_options(advice: Advice) -> str:
    """Advice as options; on the only axis a pair means before and after, not two axes."""
    if advice.argument == "padding":
        advice = replace(advice, values=tuple((pair,) for pair in advice.values))
    return as_options(advice)
