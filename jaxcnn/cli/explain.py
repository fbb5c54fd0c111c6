"""``jaxcnn explain``: the algorithm chosen for a convolution, and the predicted costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from jaxcnn.cli.advice import PADDINGS, as_options, padding_option
from jaxcnn.errors import InputError, format_advice

if TYPE_CHECKING:
    from jaxcnn.convolve import Problem

InputShape = Annotated[
    str,
    typer.Argument(
        metavar="INPUT",
        help="Shape of the input: batch, spatial sizes and channels joined by x, as in 8x56x56x64.",
        show_default=False,
    ),
]
KernelSize = Annotated[
    str,
    typer.Option("--kernel-size", "-k", help="Taps on each axis, as in 3x3.", show_default=False),
]
OutChannels = Annotated[
    int, typer.Option("--out-channels", "-c", help="Channels of the output.", min=1)
]
Stride = Annotated[int, typer.Option("--stride", "-s", help="On every axis.", min=1)]
PaddingText = Annotated[str, typer.Option("--padding", "-p", help=f"Cells added: {PADDINGS}.")]
Dilation = Annotated[int, typer.Option("--dilation", "-d", help="On every axis.", min=1)]
Groups = Annotated[int, typer.Option("--groups", "-g", help="Groups of channels.", min=1)]
Rounding = Annotated[
    str,
    typer.Option(
        "--rounding",
        help="What to do if cells at the end fit no whole window: exact is an error, floor drops "
        "them.",
    ),
]
Dtype = Annotated[str, typer.Option("--dtype", help="float32, bfloat16, float16 or float64.")]
Plain = Annotated[bool, typer.Option("--plain", help="Leave oneDNN out.")]


def explain(
    input_shape: InputShape,
    kernel_size: KernelSize,
    out_channels: OutChannels,
    stride: Stride = 1,
    padding: PaddingText = "0",
    dilation: Dilation = 1,
    groups: Groups = 1,
    rounding: Rounding = "exact",
    dtype: Dtype = "float32",
    plain: Plain = False,
) -> None:
    """Print the algorithm chosen on a CPU, and why.

    It is chosen forward and for each gradient. Costs are predictions from counted work and stored
    rates; nothing is timed. An algorithm that does not support the convolution is listed with the
    reason.
    """
    from contextlib import nullcontext

    from jaxcnn.convolve import onednn_closed
    from jaxcnn.convolve.explain import explain_problem

    with format_advice(as_options), onednn_closed() if plain else nullcontext():
        problem = _problem(
            input_shape,
            kernel_size,
            out_channels,
            stride,
            padding,
            dilation,
            groups,
            rounding,
            dtype,
        )
        typer.echo(str(explain_problem(problem)))


def _problem(
    input_shape: str,
    kernel_size: str,
    out_channels: int,
    stride: int,
    padding: str,
    dilation: int,
    groups: int,
    rounding: str,
    dtype: str,
) -> Problem:
    from jaxcnn.convolve import Problem
    from jaxcnn.convolve.dtypes import FLOATS
    from jaxcnn.shapes import conv_shapes
    from jaxcnn.shapes.checks import require_groups

    if dtype not in FLOATS:
        raise InputError(f"--dtype must be one of {', '.join(FLOATS)}, got {dtype!r}")
    batch, *size, in_channels = _numbers("input", input_shape, "8x56x56x64", least=3)
    taps = _numbers("--kernel-size", kernel_size, "3x3", least=1)
    if len(size) != len(taps):
        raise InputError(
            f"input {input_shape} has {len(size)} spatial axes but --kernel-size {kernel_size} has "
            f"{len(taps)}; give batch, {len(taps)} sizes and channels"
        )
    require_groups(groups, in_channels, out_channels)
    shapes = conv_shapes(
        (batch, *size, in_channels),
        (*taps, in_channels // groups, out_channels),
        stride=stride,
        padding=padding_option(padding, len(taps)),
        dilation=dilation,
        groups=groups,
        rounding=rounding,
    )
    return Problem(
        batch,
        tuple(size),
        in_channels,
        tuple(taps),
        out_channels,
        groups,
        stride=shapes.strides,
        padding=shapes.paddings,
        dilation=shapes.dilations,
        dtype=dtype,
    )


def _numbers(name: str, text: str, example: str, *, least: int) -> list[int]:
    """The whole numbers in ``text``, at least ``least`` of them."""
    words = text.split("x")
    if len(words) < least or not all(word.isdecimal() and int(word) for word in words):
        raise InputError(f"{name} must be whole numbers joined by x, as in {example}, got {text!r}")
    return [int(word) for word in words]
