"""``jaxcnn plan``: what each layer of a network makes of the size, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from jaxcnn.cli.model import Dtype, example_shape, load_model
from jaxcnn.cli.tables import print_plan
from jaxcnn.errors import InputError
from jaxcnn.geometry.text import format_shape

if TYPE_CHECKING:
    from jaxcnn.inspect import Plan

Input = Annotated[
    str, typer.Option("--input", "-i", help="Sizes and channels of one example, joined by x.")
]
Network = Annotated[
    list[str] | None,
    typer.Argument(
        help="Layers, first to last, such as conv:32:k3:s1:p1:relu or max:k2; or module:function, "
        "a function of no arguments that makes a model; without any, the digits network.",
        show_default=False,
    ),
]


Json = Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")]


def plan(
    network: Network = None, input: Input = "28x28x1", dtype: Dtype = "float32", json: Json = False
) -> None:
    """Print a network's plan: output shapes, parameters, multiply-adds, receptive fields, losses.

    A layer is one word: conv with the number of filters, or max or avg; then k kernel_size,
    s stride, p padding (p1, p1-2), d dilation, g groups, same or another named padding, an
    activation, nobias, floor. Axes that differ are joined by x: k3x5. A model, in Flax, Equinox or
    plain JAX, is traced, not run. A number that is not known is a question mark, with its reason
    below.
    """
    found = _plan(network or [], example_shape(input), dtype)
    if json:
        typer.echo(found.to_json())
    else:
        print_plan(found)


def _plan(words: list[str], shape: tuple[int, ...], dtype: str) -> Plan:
    from flax import nnx

    from jaxcnn.inspect import plan_of
    from jaxcnn.nn import Stack
    from jaxcnn.nn.text import KINDS
    from jaxcnn.train.config import DIGITS_LAYERS

    models = [word for word in words if ":" in word and word.split(":")[0] not in KINDS]
    if not models:
        layers = words or DIGITS_LAYERS
        stack = nnx.eval_shape(lambda: Stack(shape, layers, rngs=nnx.Rngs(0)))
        found = plan_of(stack, shape, dtype=dtype)
        return replace(found, notes=(*found.notes, *_axes_said(shape)))
    if len(words) > 1:
        raise InputError(f"{models[0]} names a model, which comes alone; leave the other words out")
    return plan_of(load_model(models[0]), shape, dtype=dtype)


def _axes_said(shape: tuple[int, ...]) -> tuple[str, ...]:
    """What an input of more axes than an image has is taken for."""
    if len(shape) < 4:
        return ()
    return (
        f"input {format_shape(shape)} is taken for one example of {len(shape) - 1} spatial axes and "
        f"{shape[-1]} channels; if its first axis is a batch, leave it out: {format_shape(shape[1:])}",
    )
