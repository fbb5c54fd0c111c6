"""Builds a model from its name, from layers in words, or by a function of the caller's."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import jax
from flax import nnx

from jaxcnn.errors import InputError, error_prefix
from jaxcnn.geometry.check import integer
from jaxcnn.geometry.text import format_shape
from jaxcnn.keywords import suggest_keywords
from jaxcnn.models.loading import load_model, place_of
from jaxcnn.models.network import check_input
from jaxcnn.models.registry import NETWORKS
from jaxcnn.nn import Stack
from jaxcnn.nn.text import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.models.published import Published

SMALL = 32
"""The largest height and width for which digits is the default."""


def default_name(input_shape: Sequence[int]) -> str:
    """The name of the model for images (H, W, C) if none is given.

    >>> default_name((28, 28, 1)), default_name((32, 32, 3)), default_name((64, 64, 1))
    ('digits', 'residual', 'residual')
    """
    height, width, channels = input_shape
    return "digits" if channels == 1 and max(height, width) <= SMALL else "residual"


@suggest_keywords
def build(name: str, input_shape: Sequence[int], classes: int, *, rngs: nnx.Rngs) -> nnx.Module:
    """The model of this name, for images (N, H, W, C) and ``classes`` outputs.

        model(x: (N, H, W, C)) -> (N, classes) or (N, 1, 1, classes)

    Args:
      name: one of :func:`jaxcnn.models.names`; or layers in the text form of
        :mod:`jaxcnn.nn.text`, joined by spaces, where ``{classes}`` stands for the number of
        classes; or ``module:function``, a function that returns an NNX module and may have
        parameters ``input_shape``, ``classes`` and ``rngs``.
      input_shape: (H, W, C).
      classes: 2 or more.
      rngs: random streams for the parameters.

    Raises:
      InputError: (a ValueError) if there is no such model, or if its output for two images is not
        one number for each class; says what it is.

    >>> model = build("conv:8:k3:relu global_avg dense:{classes}", (9, 9, 3), 5, rngs=nnx.Rngs(0))
    >>> model.output_shape
    (5,)
    """
    if not isinstance(name, str):
        raise TypeError(f"model must be a name, got {name!r}; {_forms()}")
    classes = integer("classes", classes, least=2)
    shape = check_input(input_shape, classes)
    words = name.replace("{classes}", str(classes)).split()
    of_package = name in NETWORKS or all(word.partition(":")[0] in KINDS for word in words)
    theirs = len(words) == 1 and ":" in name and not of_package
    model = load_model(name, input_shape=shape, classes=classes, rngs=rngs) if theirs else None
    with error_prefix(f"model {name}"):
        if name in NETWORKS:
            return _named(NETWORKS[name], shape, classes, rngs)
        if words and of_package:
            model = Stack(shape, words, rngs=rngs)
        elif not theirs:
            raise _unknown(words)
        if not isinstance(model, nnx.Module):
            raise InputError(
                f"the function returned a {type(model).__name__}; it must return a Flax NNX module"
            )
        _require_classes(model, shape, classes)
    return model


def _named(network: Published, shape: tuple[int, ...], classes: int, rngs: nnx.Rngs) -> nnx.Module:
    if network.task != "classify":
        raise InputError(
            f"does not give one number for each class ({network.task}); use a classifier, such as "
            f"residual"
        )
    return network.build(shape, classes, rngs=rngs)


def _require_classes(model: nnx.Module, shape: tuple[int, ...], classes: int) -> None:
    """Refuses a model that does not give one number for each class."""
    graph, state = nnx.split(model)

    def call(state: Any, x: jax.Array) -> Any:
        return nnx.merge(graph, state)(x)

    x = jax.ShapeDtypeStruct((2, *shape), "float32")
    try:
        found = jax.eval_shape(call, state, x)
    except Exception as error:  # a person's model may raise anything
        first = (str(error).strip().splitlines() or [""])[0]
        raise InputError(
            f"does not accept images of shape {x.shape}, {type(error).__name__}{place_of(error)}: "
            f"{first}"
        ) from error
    if not isinstance(found, jax.ShapeDtypeStruct):
        raise InputError(f"returns a {type(found).__name__}; it must return one array")
    if found.shape in [(2, *(1,) * axes, classes) for axes in range(4)]:
        return
    wanted = f"one number for each of the {classes} classes, (2, {classes})"
    advice = ""
    if isinstance(model, Stack):
        last = f"dense:{classes}"
        spatial = len(model.output_shape) > 1
        advice = f"; add {'global_avg ' if spatial else ''}{last} at the end"
    raise InputError(
        f"gives {found.shape} for two images of {format_shape(shape)}, not {wanted}{advice}"
    )


def _unknown(words: list[str]) -> InputError:
    wrong = next((word for word in words if word.partition(":")[0] not in KINDS), "")
    near = get_close_matches(wrong.partition(":")[0], [*NETWORKS, *KINDS], n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    what = f"{wrong!r} is neither a model nor a layer" if words else "names no model"
    return InputError(f"{what}; {meant}{_forms()}")


def _forms() -> str:
    return (
        "use a name of `jaxcnn models`, layers such as 'conv:32:k3:relu global_avg "
        "dense:{classes}', or module:function"
    )
