"""Which algorithm is taken for a convolution, in each direction, and what the others would cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

from jaxcnn.convolve.algorithms import ALGORITHMS
from jaxcnn.convolve.choose import AS_USUAL, choose, costs, laying
from jaxcnn.convolve.layout import Operation, channels_last, operation
from jaxcnn.convolve.primitive import LAX, conv_p
from jaxcnn.convolve.problem import Problem
from jaxcnn.errors import InputError


@dataclass(frozen=True)
class Direction:
    """One problem and the choice for it.

    Attributes:
      name: ``"forward"``, ``"input gradient"`` or ``"kernel gradient"``.
      problem: what is computed, in canonical form.
      chosen: the algorithm's name.
      costs: for each algorithm the predicted milliseconds, or why it does not take the problem.
    """

    name: str
    problem: Problem
    chosen: str
    costs: dict[str, float | str]

    def lines(self) -> list[tuple[str, str]]:
        """(algorithm, milliseconds or reason), the chosen one first, then by cost.

        What is taken only by name is marked.
        """
        order = sorted(
            self.costs.items(),
            key=lambda item: (
                item[0] != self.chosen,
                isinstance(item[1], str),
                item[1] if isinstance(item[1], float) else 0.0,
            ),
        )

        def says(name: str, cost: float | str) -> str:
            if isinstance(cost, str):
                return f"no: {cost}"
            return f"{cost:.3f} ms{'' if ALGORITHMS[name].local else ', by name alone'}"

        return [(name, says(name, cost)) for name, cost in order]

    def __str__(self) -> str:
        width = max(map(len, self.costs))
        rows = [
            f"  {'*' if name == self.chosen else ' '} {name:<{width}}  {says}"
            for name, says in self.lines()
        ]
        return "\n".join([f"{self.name}: {self.problem}", *rows])


@dataclass(frozen=True)
class Explanation:
    """The three directions of one convolution, or of several of a program, in their order."""

    directions: tuple[Direction, ...]

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.directions))


def explain_problem(problem: Problem) -> Explanation:
    """Forward, input gradient and kernel gradient of a canonical problem.

    >>> found = explain_problem(Problem(1, (7,), 3, (3,), 6, dtype="int32"))
    >>> found.directions[0].chosen, found.directions[0].costs["taps"]
    ('direct', 'dtype int32')
    """
    return Explanation(_directions(Operation(problem, channels_last(problem.axes), 1)))


def _directions(described: Operation) -> tuple[Direction, ...]:
    problem, backward = described.problem, described.of_input_gradient()
    named = (
        ("forward", problem, laying(described)),
        ("input gradient", backward.problem, laying(backward)),
        ("kernel gradient", problem.kernel_gradient(), AS_USUAL),
    )
    return tuple(
        Direction(name, each, choose(each, laid=laid), costs(each, laid=laid))
        for name, each, laid in named
    )


def explain(function: Callable[..., Any], *arguments: Any) -> Explanation:
    """How the convolutions of a function are computed on a CPU, each in all three directions.

    The function is traced, not run. Convolutions by jaxcnn and by lax are explained alike: what is
    said of lax's holds under :func:`jaxcnn.install`.

    Args:
      function: a function of arrays.
      arguments: its arguments: arrays, or :class:`jax.ShapeDtypeStruct`.

    Raises:
      InputError: (a ValueError) where it holds no convolution.

    >>> import jax.numpy as jnp, jaxcnn
    >>> x, kernel = jnp.ones((8, 14, 14, 576)), jnp.ones((3, 3, 1, 576))
    >>> found = explain(lambda x, w: jaxcnn.conv(x, w, groups=576, padding=1), x, kernel)
    >>> [direction.name for direction in found.directions]
    ['forward', 'input gradient', 'kernel gradient']
    """
    jaxpr = jax.make_jaxpr(function)(*arguments)
    directions = tuple(
        direction for described in _operations(jaxpr.jaxpr) for direction in _directions(described)
    )
    if not directions:
        raise InputError(
            f"{getattr(function, '__name__', function)!r} holds no convolution of known sizes; "
            "give a function that calls one, and its arguments"
        )
    return Explanation(directions)


def _operations(jaxpr: Any) -> list[Operation]:
    """Those of a program and of the programs inside it, in their order."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive in (LAX, conv_p):
            x, kernel = (variable.aval for variable in equation.invars)
            described = operation(x, kernel, equation.params)
            if described is not None:
                found.append(described)
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")
        ):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                found += _operations(inner)
    return found
