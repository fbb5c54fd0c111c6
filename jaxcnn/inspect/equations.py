"""Equations of a traced program: inner programs, powers, constants, source locations."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, eq=False)
class Recipe:
    """How to compute, when needed, an array that depends on neither the input nor weights.

    Attributes:
      source: the array, or the equation that computes it.
      inputs: the recipes of the equation's inputs; None for an unknown one.
      output: the number of the equation's output.
    """

    source: Any
    inputs: tuple[Recipe | None, ...] | None = None
    output: int = 0

    @cached_property
    def numbers(self) -> np.ndarray | None:
        """The array; None if an input is not known."""
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
_PACKAGE = str(Path(__file__).parents[1])


def inner_of(eqn: Any) -> tuple[Jaxpr, Sequence[Any]] | None:
    """The program that an equation calls with its own inputs (jit, remat, custom rules)."""
    if eqn.primitive.name == "pallas_call":  # its program runs on blocks of the inputs
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
    """Whether an unsupported operation may multiply matrices, by its name and inner programs."""
    name = eqn.primitive.name
    programs = any(isinstance(each, ClosedJaxpr | Jaxpr) for each in eqn.params.values())
    return programs or any(word in name for word in _PRODUCTS)


def power_of(eqn: Any, powers: Sequence[Fraction]) -> Fraction:
    """The power of a mean square in an operation's output, from the powers of its inputs.

    1/2 is a deviation, by which a normalisation divides; 0 is not a function of a mean square.
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


def scope(eqn: Any) -> str:
    """The names that ``jax.named_scope`` gives to the place of an equation, joined by slashes."""
    stack = getattr(getattr(eqn, "source_info", None), "name_stack", None)
    entries = getattr(stack, "stack", ())
    return "/".join(each.name for each in entries if type(each).__name__ == "Scope")


def where(eqn: Any) -> str:
    """The file and line in the model's code, outside libraries, where an equation originates."""
    traceback = getattr(getattr(eqn, "source_info", None), "traceback", None)
    for frame in getattr(traceback, "frames", ()):
        path = frame.file_name
        if not ("site-packages" in path or path.startswith((_PACKAGE, "<"))):
            return f"{Path(path).name}:{frame.line_num}"
    return ""
