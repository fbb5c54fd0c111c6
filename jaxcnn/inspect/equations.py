"""What an equation of a traced program says about itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal


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


_POWERS = {"sqrt": Fraction(1, 2), "rsqrt": Fraction(-1, 2), "square": Fraction(2)}
_KEEP_POWER = (
    *("add", "add_any", "sub", "max", "min", "clamp", "select_n", "neg", "abs", "name"),
    *("convert_element_type", "copy", "copy_p", "reduce_precision", "stop_gradient", "stack"),
    *("reshape", "broadcast_in_dim", "squeeze", "expand_dims", "transpose", "concatenate", "slice"),
    *("reduce_sum", "reduce_max", "psum", "sharding_constraint", "optimization_barrier", "gather"),
    *("split", "rev", "pad", "dynamic_slice", "tile"),
)
_PRODUCTS = ("dot", "conv_", "call", "solve", "cholesky", "eig", "svd", "lu", "qr", "product")
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
        pairs = ((called.invars, eqn.invars), (called.outvars, eqn.outvars))
        if all(_shapes(inner) == _shapes(outer) for inner, outer in pairs):
            return called, consts
    return None


def _shapes(variables: Sequence[Any]) -> list[tuple[int, ...]]:
    return [variable.aval.shape for variable in variables]


def may_multiply(eqn: Any) -> bool:
    """Whether an operation that is not read may multiply matrices: it runs a program, or its name
    says so.
    """
    name = eqn.primitive.name
    programs = any(isinstance(each, ClosedJaxpr | Jaxpr) for each in eqn.params.values())
    return programs or any(word in name for word in _PRODUCTS)


def power_of(eqn: Any, powers: Sequence[Fraction]) -> Fraction:
    """To what power an operation raises a mean square, given to what its inputs have raised it.

    A deviation, which a normalisation divides by, is one to the power of 1/2; zero is none at all.
    """
    name = eqn.primitive.name
    if name in _POWERS:
        return powers[0] * _POWERS[name]
    if name == "integer_pow":
        return powers[0] * eqn.params["y"]
    if name == "pow":
        exponent = eqn.invars[1]
        known = isinstance(exponent, Literal) and np.ndim(exponent.val) == 0
        return powers[0] * Fraction(float(exponent.val)) if known else Fraction(0)
    if name == "mul":
        return sum(powers, Fraction(0))
    if name == "div":
        return powers[0] - powers[1]
    if name in _KEEP_POWER:
        return max(powers, key=abs, default=Fraction(0))
    return Fraction(0)


def where(eqn: Any) -> str:
    """File and line, outside of libraries, that an operation was asked for from."""
    traceback = getattr(getattr(eqn, "source_info", None), "traceback", None)
    for frame in getattr(traceback, "frames", ()):
        path = frame.file_name
        if not ("site-packages" in path or path.startswith((_HERE, "<"))):
            return f"{Path(path).name}:{frame.line_num}"
    return ""
