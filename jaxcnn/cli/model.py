"""What the commands on models share: the model's name, its input's shape and dtype."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jaxcnn.cli.advice import as_options
from jaxcnn.errors import InputError, error_prefix, format_advice

if TYPE_CHECKING:
    from collections.abc import Callable

CLASSES = 10
"""The number of classes of a person's model that needs one."""

Dtype = Annotated[str, typer.Option("--dtype", help="Dtype of the model's input.")]
InputShape = Annotated[
    str | None,
    typer.Option(
        "--input",
        "-i",
        help="Sizes and channels of one example as the model expects it, joined by x: 224x224x3. A "
        "network of the package has the published one by default.",
        show_default=False,
    ),
]


def example_shape(text: str) -> tuple[int, ...]:
    """The shape that a text such as ``224x224x3``, or ``100`` for a vector, describes.

    Raises:
      InputError: if the text is not a shape.
    """
    if not re.fullmatch(r"\d+(x\d+)*", text):
        raise InputError(
            f"input {text!r} is not a shape; write the sizes of one example joined by x, as in "
            f"224x224x3"
        )
    return tuple(map(int, text.split("x")))


def resolve(
    name: str, input_shape: str | None, *, arrays: bool = False, other_form: str = ""
) -> tuple[Callable[..., Any], tuple[int, ...]]:
    """The model of the package with this name, of ``module:function`` or of an ONNX file.

    A model of the package has the published number of classes; its arrays are only shapes,
    unless ``arrays``. ``other_form`` says what else the command takes.

    Returns:
      the model, and the shape of one example: the given one, the published one, the file's.

    Raises:
      InputError: if there is no such model, or if the shape is not known.
    """
    from flax import nnx

    from jaxcnn.models import load_model
    from jaxcnn.models.registry import NETWORKS
    from jaxcnn.nn.text import KINDS

    shape = None if input_shape is None else example_shape(input_shape)
    if name in NETWORKS:
        network = NETWORKS[name]
        shape = shape or network.input_shape
        with error_prefix(name), format_advice(as_options):
            build, classes = network.build, network.classes
            make = nnx.jit if arrays else partial(partial, nnx.eval_shape)
            return make(lambda: build(shape, classes, rngs=nnx.Rngs(0)))(), shape
    if name.endswith(".onnx"):
        return _of_file(name, shape)
    if name.partition(":")[0] in KINDS:
        raise InputError(
            f"{name} is a layer, and this command takes a model; `jaxcnn plan` takes layers, or "
            f"write a function that returns jaxcnn.nn.Stack(shape, [{name!r}], rngs=...), and name "
            f"it as module:function"
        )
    if ":" not in name:
        raise InputError(_unknown(name, tuple(NETWORKS)) + other_form)
    if shape is None:
        raise InputError(
            f"the input of {name} is not known; add the shape of one example, such as --input "
            f"224x224x3"
        )
    return load_model(name, input_shape=shape, classes=CLASSES, rngs=nnx.Rngs(0)), shape


def _of_file(
    path: str, shape: tuple[int, ...] | None
) -> tuple[Callable[..., Any], tuple[int, ...]]:
    """The model of an ONNX file; its axes have the file's order."""
    from jaxcnn.models import from_onnx

    graph, params = from_onnx(path)
    if len(graph.inputs) != 1:
        names = ", ".join(each.name for each in graph.inputs)
        raise InputError(f"{path} has the inputs {names}; plans are for models of one input")
    of_file = graph.inputs[0].shape[1:]
    known = tuple(size for size in of_file if isinstance(size, int))
    if shape is None and len(known) < len(of_file):
        sizes = ", ".join(map(str, of_file))
        raise InputError(
            f"{path} leaves sizes of its input open ({sizes}); add the shape of one example in "
            f"this order, such as --input 3x224x224"
        )
    return lambda x: graph(params, x), shape or known


def _unknown(name: str, known: tuple[str, ...]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return (
        f"there is no network {name}; {meant}`jaxcnn models` lists the networks, and "
        f"module:function is a function that returns a model; ONNX files end in .onnx"
    )
