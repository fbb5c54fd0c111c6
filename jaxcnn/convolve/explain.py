"""Explanations: the algorithm for each direction of a convolution, and the costs of the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax

from jaxcnn.convolve.algorithms import ALGORITHMS
from jaxcnn.convolve.choose import NO_LAYOUT_COST, choose, costs, layout_cost
from jaxcnn.convolve.layout import Operation, channels_last, describe
from jaxcnn.convolve.primitive import LAX, conv_p
from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxcnn.convolve.problem import Problem


@dataclass(frozen=True)
class Direction:
    """One direction of a convolution: its problem and the chosen algorithm.

    Attributes:
      name: ``"forward"``, ``"input gradient"`` or ``"kernel gradient"``.
      problem: the convolution to compute, in canonical form.
      chosen: the algorithm's name.
      costs: the predicted milliseconds of each algorithm, or the reason why it is not used.
    """

    name: str
    problem: Problem
    chosen: str
    costs: dict[str, float | str]

    def lines(self) -> list[tuple[str, str]]:
        """(algorithm, milliseconds or reason), the chosen one first, then by cost.

        Algorithms that are used only by name are marked.
        """
        order = sorted(
            self.costs.items(),
            key=lambda item: (
                item[0] != self.chosen,
                isinstance(item[1], str),
                item[1] if isinstance(item[1], float) else 0.0,
            ),
        )

        def text(name: str, cost: float | str) -> str:
            if isinstance(cost, str):
                return f"no: {cost}"
            return f"{cost:.3f} ms{'' if ALGORITHMS[name].local else ', by name only'}"

        return [(name, text(name, cost)) for name, cost in order]

    def __str__(self) -> str:
        width = max(map(len, self.costs))
        rows = [
            f"  {'*' if name == self.chosen else ' '} {name:<{width}}  {text}"
            for name, text in self.lines()
        ]
        return "\n".join([f"{self.name}: {self.problem}", *rows])


@dataclass(frozen=True)
class Explanation:
    """The three directions of each convolution of a program, in the program's order."""

    directions: tuple[Direction, ...]

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.directions))


def explain_problem(problem: Problem) -> Explanation:
    """Forward, input gradient and kernel gradient of a canonical problem.

    >>> from jaxcnn.convolve import Problem
    >>> found = explain_problem(Problem(1, (7,), 3, (3,), 6, dtype="int32"))
    >>> found.directions[0].chosen, found.directions[0].costs["taps"]
    ('direct', 'dtype int32')
    """
    return Explanation(_directions(Operation(problem, channels_last(problem.axes), 1)))


def _directions(operation: Operation) -> tuple[Direction, ...]:
    problem, backward = operation.problem, operation.input_gradient()
    named = (
        ("forward", problem, layout_cost(operation)),
        ("input gradient", backward.problem, layout_cost(backward)),
        ("kernel gradient", problem.kernel_gradient(), NO_LAYOUT_COST),
    )
    return tuple(
        Direction(name, each, choose(each, layout=layout), costs(each, layout=layout))
        for name, each, layout in named
    )


def explain(function: Callable[..., Any], *arguments: Any) -> Explanation:
    """The choice for each convolution of a function on a CPU, in all three directions.

    The function is traced, not run. lax's convolutions are explained like jaxcnn's: as under
    :func:`jaxcnn.install`.

    Args:
      function: a function of arrays.
      arguments: its arguments: arrays, or :class:`jax.ShapeDtypeStruct`.

    Raises:
      InputError: (a ValueError) if the function contains no convolution of known sizes.

    >>> import jax.numpy as jnp, jaxcnn
    >>> x, kernel = jnp.ones((8, 14, 14, 576)), jnp.ones((3, 3, 1, 576))
    >>> found = explain(lambda x, w: jaxcnn.conv(x, w, groups=576, padding=1), x, kernel)
    >>> [direction.name for direction in found.directions]
    ['forward', 'input gradient', 'kernel gradient']
    """
    jaxpr = jax.make_jaxpr(function)(*arguments)
    directions = tuple(
        direction for operation in _operations(jaxpr.jaxpr) for direction in _directions(operation)
    )
    if not directions:
        raise InputError(
            f"{getattr(function, '__name__', function)!r} contains no convolution of known sizes; "
            "use a function that calls one, and its arguments"
        )
    return Explanation(directions)


def _operations(jaxpr: Any) -> list[Operation]:
    """The convolutions of a program and of its nested programs, in order."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive in (LAX, conv_p):
            x, kernel = (variable.aval for variable in equation.invars)
            operation = describe(x, kernel, equation.params)
            if operation is not None:
                found.append(operation)
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")
        ):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                found += _operations(inner)
    return found
