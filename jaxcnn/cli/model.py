"""What the commands on models share: the model's name, its input's shape and dtype."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

CLASSES = 10
"""The number of classes of a model that needs one."""

Dtype = Annotated[str, typer.Option("--dtype", help="Dtype of the model's input.")]


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


def named_model(name: str, shape: tuple[int, ...]) -> Callable[..., Any]:
    """The model of the package with this name, or that of ``module:function``."""
    from flax import nnx

    from jaxcnn.models import build, load_model, names

    if name in names():
        return nnx.eval_shape(lambda: build(name, shape, CLASSES, rngs=nnx.Rngs(0)))
    return load_model(name, image_shape=shape, classes=CLASSES, rngs=nnx.Rngs(0))
