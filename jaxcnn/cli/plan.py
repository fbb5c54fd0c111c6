"""``jaxcnn plan``: what each layer of a network makes of the size, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from jaxcnn.cli.model import example_shape, load_model
from jaxcnn.cli.tables import print_plan
from jaxcnn.errors import InputError, spelling

if TYPE_CHECKING:
    from jaxcnn.geometry import Plan

Input = Annotated[
    str, typer.Option("--input", "-i", help="Sizes and channels of one example, joined by x.")
]
Network = Annotated[
    list[str] | None,
    typer.Argument(
        help="Layers, first to last, such as conv:32:f3:s1:p1:relu or max:f2; or module:function, "
        "a function of no arguments that makes a model; without any, the digits network.",
        show_default=False,
    ),
]


def plan(network: Network = None, input: Input = "28x28x1") -> None:
    """Print a network's plan: output shapes, parameters, multiply-adds, receptive fields, losses.

    A layer is one word: conv with the number of filters, or max or avg; then f filter, s stride,
    p padding (p1, p1-2), d dilation, g groups, same or another named padding, an activation,
    nobias, floor. Axes that differ are joined by x: f3x5. A model, in Flax, Equinox or plain JAX,
    is traced, not run.
    """
    print_plan(_plan(network or [], example_shape(input)))


def _plan(words: list[str], shape: tuple[int, ...]) -> Plan:
    from jaxcnn.inspect import plan_of
    from jaxcnn.nn.spec import KINDS, as_part, parse
    from jaxcnn.nn.spec import plan as plan_of_layers
    from jaxcnn.train.config import DIGITS_LAYERS

    models = [word for word in words if ":" in word and word.split(":")[0] not in KINDS]
    if not models:
        layers = [parse(word) for word in words or DIGITS_LAYERS]
        with spelling(as_part):
            return plan_of_layers(shape, layers)
    if len(words) > 1:
        raise InputError(f"{models[0]} names a model, which comes alone; leave the other words out")
    return plan_of(load_model(models[0]), shape)
