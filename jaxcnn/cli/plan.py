"""``jaxcnn plan``: what each layer of a stack makes of the size, and what it costs."""

from __future__ import annotations

from typing import Annotated

import typer

from jaxcnn.cli.tables import print_plan, shape

Input = Annotated[
    str, typer.Option("--input", "-i", help="Sizes and channels of one example, joined by x.")
]
Layers = Annotated[
    list[str] | None,
    typer.Argument(
        help="Layers, first to last, such as conv:32:f3:s1:p1:relu or max:f2; without any, the "
        "digits network.",
        show_default=False,
    ),
]


def plan(layers: Layers = None, input: Input = "28x28x1") -> None:
    """Print a stack's plan: output shape, parameters, multiply-adds, receptive field, stride, loss.

    A layer is one word: conv with the number of filters, or max or avg; then f filter, s stride,
    p padding (p1, p1-2), d dilation, g groups, same or another named padding, an activation,
    nobias, floor. Axes that differ are joined by x: f3x5.
    """
    from jaxcnn.nn.spec import parse
    from jaxcnn.nn.spec import plan as plan_of
    from jaxcnn.train.config import DIGITS_LAYERS

    print_plan(plan_of(shape(input), [parse(word) for word in layers or DIGITS_LAYERS]))
