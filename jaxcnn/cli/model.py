"""Models by name: ``module:function``, a function of no arguments that makes one."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from jaxcnn.errors import InputError

Dtype = Annotated[str, typer.Option("--dtype", help="Number format of the model's input.")]

_FORM = "write module:function, such as nets:resnet for the function resnet in nets.py"


def load_model(name: str) -> Callable[..., Any]:
    """The model that the function called ``name`` makes; modules of the current folder are found.

    Raises:
      InputError: where there is no such module or function, it does not run without arguments, or
        what it gives cannot be called.
    """
    module_name, colon, function_name = name.partition(":")
    if not (colon and module_name and function_name):
        raise InputError(f"model {name!r} names no function; {_FORM}")
    if module_name.endswith(".py") or "/" in module_name:
        dotted = module_name.removesuffix(".py").replace("/", ".")
        raise InputError(f"model {name!r} names a file; write {dotted}:{function_name}")
    factory = _attribute(_module(module_name, name), function_name, name)
    if not callable(factory):
        raise InputError(f"{name} is a {type(factory).__name__}, no function; {_FORM}")
    try:
        model = factory()
    except Exception as error:  # the function's own, of whatever kind it raises
        raise InputError(
            f"{name}() failed, {type(error).__name__}: {error}; it must take no arguments and give "
            f"a model"
        ) from error
    if not callable(model):
        raise InputError(
            f"{name}() gave a {type(model).__name__}; it must give a Flax NNX module or a function "
            f"of one array"
        )
    return model


def example_shape(text: str) -> tuple[int, ...]:
    """The shape in a text such as ``224x224x3``, or ``100`` for a vector.

    Raises:
      InputError: where the text is no shape.
    """
    if not re.fullmatch(r"\d+(x\d+)*", text):
        raise InputError(
            f"input {text!r} is no shape; write the sizes of one example joined by x, as in "
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
                f"ones; {_FORM}"
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
