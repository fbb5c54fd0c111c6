"""What an equation of a traced program says about itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr


@dataclass(frozen=True, eq=False)
class Recipe:
    """How to compute an array that depends on no input of the program: asked for, it is computed.

    Attributes:
      source: the array itself, or the equation whose output it is.
      inputs: the equation's inputs; None among them where one is not known.
      output: which of the equation's outputs it is.
    """

    source: Any
    inputs: tuple[Recipe | None, ...] | None = None
    output: int = 0

    @cached_property
    def numbers(self) -> np.ndarray | None:
        """The array, or None where an input of its is not known."""
        if self.inputs is None:
            return np.asarray(self.source)
        inputs = [None if recipe is None else recipe.numbers for recipe in self.inputs]
        if any(array is None for array in inputs):
            return None
        found = self.source.primitive.bind(*inputs, **self.source.params)
        return np.asarray(found[self.output] if self.source.primitive.multiple_results else found)


_CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")
_HERE = str(Path(__file__).parents[1])


def inner_of(eqn: Any) -> tuple[Jaxpr, Sequence[Any]] | None:
    """The program that an equation calls with its own inputs (jit, remat, custom rules), if any."""
    if eqn.primitive.name == "pallas_call":  # its program runs on blocks, not on the inputs
        return None
    for name in _CALLS:
        called = eqn.params.get(name)
        if isinstance(called, ClosedJaxpr):
            called, consts = called.jaxpr, called.consts
        elif isinstance(called, Jaxpr):
            consts = ()
        else:
            continue
        if len(called.invars) == len(eqn.invars) and len(called.outvars) == len(eqn.outvars):
            return called, consts
    return None


def is_root(eqn: Any) -> bool:
    """Whether an operation takes a root, as normalisations do of a variance."""
    return eqn.primitive.name in ("sqrt", "rsqrt", "pow")


def where(eqn: Any) -> str:
    """File and line, outside of libraries, that an operation was asked for from."""
    traceback = getattr(getattr(eqn, "source_info", None), "traceback", None)
    for frame in getattr(traceback, "frames", ()):
        path = frame.file_name
        if not ("site-packages" in path or path.startswith((_HERE, "<"))):
            return f"{Path(path).name}:{frame.line_num}"
    return ""
