"""``jaxcnn explain``: which algorithm computes a convolution, and what the others would cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from jaxcnn.cli.advice import PADDINGS, as_options, padding_option
from jaxcnn.errors import InputError, spelling

if TYPE_CHECKING:
    from jaxcnn.convolve import Problem

Sizes = Annotated[
    str, typer.Argument(help="The input: batch, sizes and channels joined by x, as in 8x56x56x64.")
]
Filter = Annotated[str, typer.Option("--kernel-size", "-k", help="The filter's sizes, as in 3x3.")]
Channels = Annotated[
    int, typer.Option("--out-channels", "-c", help="Filters: channels made.", min=1)
]
Stride = Annotated[int, typer.Option("--stride", "-s", help="On every axis.", min=1)]
Pad = Annotated[str, typer.Option("--padding", "-p", help=f"Cells around it: {PADDINGS}.")]
Dilation = Annotated[int, typer.Option("--dilation", "-d", help="On every axis.", min=1)]
Groups = Annotated[int, typer.Option("--groups", "-g", help="Parts of the channels.", min=1)]
Rounding = Annotated[
    str,
    typer.Option(
        "--rounding",
        help="What is done about cells at the end that no window reaches: exact refuses them, "
        "floor drops them.",
    ),
]
Dtype = Annotated[str, typer.Option("--dtype", help="float32, bfloat16, float16 or float64.")]
Plain = Annotated[bool, typer.Option("--plain", help="As if oneDNN were closed.")]


def explain(
    input: Sizes,
    kernel_size: Filter,
    channels: Channels,
    stride: Stride = 1,
    pad: Pad = "0",
    dilation: Dilation = 1,
    groups: Groups = 1,
    rounding: Rounding = "exact",
    dtype: Dtype = "float32",
    plain: Plain = False,
) -> None:
    """Say which algorithm is taken on a CPU, forward and for both gradients, and why.

    Costs are predicted from counted work and rates that were measured once; nothing is timed. What
    an algorithm does not take, it says why.
    """
    from contextlib import nullcontext

    from jaxcnn.convolve import onednn_closed
    from jaxcnn.convolve.explain import explain_problem

    with spelling(as_options), onednn_closed() if plain else nullcontext():
        problem = _problem(
            input, kernel_size, channels, stride, pad, dilation, groups, rounding, dtype
        )
        typer.echo(str(explain_problem(problem)))


def _problem(
    input: str,
    kernel_size: str,
    channels: int,
    stride: int,
    pad: str,
    dilation: int,
    groups: int,
    rounding: str,
    dtype: str,
) -> Problem:
    from jaxcnn.convolve import Problem
    from jaxcnn.convolve.dtypes import FLOATS
    from jaxcnn.geometry import conv_shapes
    from jaxcnn.geometry.shapes import require_groups

    if dtype not in FLOATS:
        raise InputError(f"--dtype must be one of {', '.join(FLOATS)}, got {dtype!r}")
    batch, *size, in_channels = _numbers("input", input, "8x56x56x64")
    taps = _numbers("--kernel-size", kernel_size, "3x3")
    if len(size) != len(taps):
        raise InputError(
            f"input {input} has {len(size)} spatial axes but --kernel_size {kernel_size} has {len(taps)}; "
            f"give batch, {len(taps)} sizes and channels"
        )
    require_groups(groups, in_channels, channels)
    shapes = conv_shapes(
        (batch, *size, in_channels),
        (*taps, in_channels // groups, channels),
        stride=stride,
        padding=padding_option(pad, len(taps)),
        dilation=dilation,
        groups=groups,
        rounding=rounding,
    )
    return Problem(
        batch,
        tuple(size),
        in_channels,
        tuple(taps),
        channels,
        groups,
        stride=shapes.strides,
        padding=shapes.paddings,
        dilation=shapes.dilations,
        dtype=dtype,
    )


def _numbers(name: str, text: str, example: str) -> list[int]:
    words = text.split("x")
    if not all(word.isdecimal() and int(word) for word in words) or len(words) < (
        1 if name == "--kernel-size" else 3
    ):
        raise InputError(f"{name} must be whole numbers joined by x, as in {example}, got {text!r}")
    return [int(word) for word in words]
