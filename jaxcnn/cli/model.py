"""Models by name: ``module:function``, a function without arguments that returns a model."""

from __future__ import annotations

import re
import sys
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

Dtype = Annotated[str, typer.Option("--dtype", help="Dtype of the model's input.")]

_FORM = "write module:function, such as nets:resnet for the function resnet in nets.py"


def load_model(name: str) -> Callable[..., Any]:
    """The model that the function ``name`` (module:function) returns.

    Modules in the current folder can be imported.

    Raises:
      InputError: if there is no such module or function, if the function fails without arguments,
        or if its result is not callable.
    """
    module_name, colon, function_name = name.partition(":")
    if not (colon and module_name and function_name):
        raise InputError(f"model {name!r} does not name a function; {_FORM}")
    if module_name.endswith(".py") or "/" in module_name:
        path = Path(module_name.removesuffix(".py"))
        inside = not path.is_absolute() and ".." not in path.parts
        where = "" if inside else f", in the folder {path.parent}"
        dotted = ".".join(path.parts) if inside else path.name
        raise InputError(f"model {name!r} names a file; write {dotted}:{function_name}{where}")
    factory = _attribute(_module(module_name, name), function_name, name)
    if not callable(factory):
        raise InputError(f"{name} is not a function but a {type(factory).__name__}; {_FORM}")
    try:
        model = factory()
    except Exception as error:  # a person's code may raise anything
        raise InputError(
            f"{name}() failed, {type(error).__name__}: {error}; it must take no arguments and "
            f"return a model"
        ) from error
    if not callable(model):
        raise InputError(
            f"{name}() returned a {type(model).__name__}; it must return a Flax NNX module or a "
            f"function of one array"
        )
    return model


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


def _module(module_name: str, name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise InputError(
                f"model {name!r}: there is no module {error.name} in {here} or among the installed "
                f"packages; {_FORM}"
            ) from None
        raise InputError(f"model {name!r}: importing {module_name} failed: {error}") from error
    except Exception as error:
        raise InputError(
            f"model {name!r}: importing {module_name} failed, {type(error).__name__}: {error}"
        ) from error


def _attribute(module: ModuleType, function_name: str, name: str) -> Any:
    if hasattr(module, function_name):
        return getattr(module, function_name)
    public = [each for each in vars(module) if not each.startswith("_")]
    near = get_close_matches(function_name, public, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else _FORM
    raise InputError(f"model {name!r}: {module.__name__} has no {function_name}; {hint}")
