"""Models of the caller: ``module:function``, a function that returns a model."""

from __future__ import annotations

import inspect
import sys
import traceback
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxcnn.errors import InputError, error_prefix

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_PACKAGE = str(Path(__file__).parents[1])

_FORM = "write module:function, such as nets:resnet for the function resnet in nets.py"


def load_model(name: str, **offered: Any) -> Callable[..., Any]:
    """The model that the function ``name`` (module:function) returns.

    Modules in the current folder can be imported.

    Args:
      name: such as ``"nets:resnet"``.
      offered: arguments; the function is given those among its parameters, by their names.

    Raises:
      InputError: (a ValueError) if there is no such module or function, if the function needs
        another argument or fails, or if its result is not callable.

    >>> load_model("jaxcnn.nn:MaxPool", kernel_size=2, classes=10).kernel_size
    2
    """
    with error_prefix(f"model {name}"):
        return _load(name, offered)


def place_of(error: BaseException) -> str:
    """Where an error was raised in a person's own code: `` at nets.py:7``, or nothing."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((_PACKAGE, "<frozen"))
        and "site-packages" not in Path(frame.filename).parts
    ]
    return f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def _load(name: str, offered: dict[str, Any]) -> Callable[..., Any]:
    """The model of :func:`load_model`."""
    module_name, colon, function_name = name.partition(":")
    if not (colon and module_name and function_name):
        raise InputError(f"it does not name a function; {_FORM}")
    if module_name.endswith(".py") or "/" in module_name:
        path = Path(module_name.removesuffix(".py"))
        inside = not path.is_absolute() and ".." not in path.parts
        where = "" if inside else f", in the folder {path.parent}"
        dotted = ".".join(path.parts) if inside else path.name
        raise InputError(f"it names a file; write {dotted}:{function_name}{where}")
    factory = _attribute(_module(module_name), function_name)
    if not callable(factory):
        raise InputError(
            f"{function_name} is not a function but a {type(factory).__name__}; {_FORM}"
        )
    given = _accepted(function_name, factory, offered)
    try:
        model = factory(**given)
    except Exception as error:  # a person's code may raise anything
        raise InputError(
            f"{function_name}({', '.join(given)}) failed, {type(error).__name__}"
            f"{place_of(error)}: {error}"
        ) from error
    if not callable(model):
        raise InputError(
            f"{function_name}() returned a {type(model).__name__}; it must return a Flax NNX "
            f"module or a function of one array"
        )
    return model


def _accepted(name: str, factory: Callable[..., Any], offered: dict[str, Any]) -> dict[str, Any]:
    """The offered arguments that the function has."""
    # The signature of a Flax module's class is that of its metaclass, (*args, **kwargs).
    function = partial(factory.__init__, None) if isinstance(factory, type) else factory
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a builtin without a signature
        return {}
    keywords = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    by_name = [each.name for each in parameters if each.kind in keywords]
    for each in parameters:
        needed = each.default is inspect.Parameter.empty and each.kind not in variadic
        if needed and (each.name not in offered or each.name not in by_name):
            given = f"{', '.join(offered)} alone" if offered else "no arguments"
            raise InputError(
                f"{name} needs {each.name}, but is given {given}; give {each.name} a default, or "
                f"wrap {name} in a function without it"
            )
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters):
        return offered
    return {argument: value for argument, value in offered.items() if argument in by_name}


def _module(module_name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise InputError(
                f"there is no module {error.name} in {here} or among the installed packages; run "
                f"from the folder that has it, or set PYTHONPATH to that folder; {_FORM}"
            ) from None
        raise InputError(f"importing {module_name} failed{place_of(error)}: {error}") from error
    except Exception as error:
        raise InputError(
            f"importing {module_name} failed, {type(error).__name__}{place_of(error)}: {error}"
        ) from error


def _attribute(module: ModuleType, function_name: str) -> Any:
    if hasattr(module, function_name):
        return getattr(module, function_name)
    public = [each for each in vars(module) if not each.startswith("_")]
    near = get_close_matches(function_name, public, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else _FORM
    raise InputError(f"{module.__name__} has no {function_name}; {hint}")
