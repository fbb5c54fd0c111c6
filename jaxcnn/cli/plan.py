"""``jaxcnn plan``: the output shape and the cost of each layer of a network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from jaxcnn.cli.model import Dtype, InputShape, example_shape, resolve
from jaxcnn.cli.tables import print_plan
from jaxcnn.errors import InputError
from jaxcnn.geometry.text import format_shape

if TYPE_CHECKING:
    from jaxcnn.inspect import Plan

Network = Annotated[
    list[str] | None,
    typer.Argument(
        help="Layers, first to last, such as conv:32:k3:s1:p1:relu or max:k2, for inputs of "
        "28x28x1 or --input; or a network that `jaxcnn models` lists; or module:function, a "
        "function that returns a model. The default is digits.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")]


def plan(
    network: Network = None,
    input_shape: InputShape = None,
    dtype: Dtype = "float32",
    json: Json = False,
) -> None:
    """Print a network's shapes, costs and receptive fields.

    A layer is one word: conv with the number of output channels, or max or avg; then k kernel size,
    s stride, p padding (p1, p1-2), d dilation, g groups, same or another named padding, an
    activation (relu, gelu, silu, tanh, ...), nobias, floor. Join axes that differ by x: k3x5. Other
    layers are dense:128:relu, batchnorm, dropout:0.5, flatten, global_avg, global_max, and an
    activation alone. A model, in Flax NNX, Equinox or plain JAX, is traced, not run. An unknown
    number is a question mark, with the reason below the table.
    """
    found = _plan(network or ["digits"], input_shape, dtype)
    if json:
        typer.echo(found.to_json())
    else:
        print_plan(found)


def _plan(words: list[str], input_shape: str | None, dtype: str) -> Plan:
    from flax import nnx

    from jaxcnn.inspect import plan_of
    from jaxcnn.models import names
    from jaxcnn.nn import Stack
    from jaxcnn.nn.text import KINDS

    models = [
        word
        for word in words
        if word in names()
        or (word.partition(":")[0] not in KINDS and (":" in word or len(words) == 1))
    ]
    if len(words) > 1 and models:
        raise InputError(f"{models[0]} names a model; leave the other words out")
    if not models:
        shape = example_shape(input_shape or "28x28x1")
        stack = nnx.eval_shape(lambda: Stack(shape, words, rngs=nnx.Rngs(0)))
        found = plan_of(stack, shape, dtype=dtype)
        return replace(found, notes=(*found.notes, *_batch_note(shape)))
    model, shape = resolve(
        models[0], input_shape, other_form="; layers are words such as conv:32:k3"
    )
    return plan_of(model, shape, dtype=dtype)


def _batch_note(shape: tuple[int, ...]) -> tuple[str, ...]:
    """A note on inputs with more axes than an image, which may have a batch axis by mistake."""
    if len(shape) < 4:
        return ()
    return (
        f"input {format_shape(shape)} is treated as one example of {len(shape) - 1} spatial axes "
        f"and {shape[-1]} channels; if its first axis is a batch, leave it out: "
        f"{format_shape(shape[1:])}",
    )
