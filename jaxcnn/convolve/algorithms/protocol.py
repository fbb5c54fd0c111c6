"""The two kinds of algorithm: a kernel computes a problem, a rewrite splits it into smaller ones.

Both state which problems they support (``unsupported_reason``) and how much work they do
(``work``), so that the choice can predict their times without an array.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import jax

from jaxcnn.convolve.problem import Problem

if TYPE_CHECKING:
    from jaxcnn.convolve.layout import Operation

Program = Callable[[jax.Array, jax.Array], jax.Array]
"""(x, kernel) -> y."""

Solve = Callable[[Problem, jax.Array, jax.Array], jax.Array]
"""(problem, x, kernel) -> y, by the algorithm that is chosen for the problem."""


class Work(NamedTuple):
    """The work of an algorithm for a problem, in counts that the cost model turns into time.

    Attributes:
      operations: multiply-adds.
      traffic: bytes read and written, temporaries included.
      turns: programs entered: calls, and iterations of loops.
      kind: selects one of the algorithm's rates, if one rate does not fit all problems.
    """

    operations: float
    traffic: float
    turns: float = 1
    kind: str = ""


@dataclass(frozen=True)
class Kernel:
    """An algorithm that computes a problem itself.

    Attributes:
      name: the name in errors, in :func:`jaxcnn.explain` and for ``algorithm=``.
      unsupported_reason: the reason why it does not support a problem; None if it does.
      work: its work for a problem that it supports.
      run: (problem, x, kernel) -> y, a pure function of arrays.
      programs: the number of programs that XLA compiles for ``run``: fused expressions, calls,
        parts of a concatenation.
      takes_forward_operands: whether ``run`` computes a kernel gradient from the forward x
        (N, *size, C) and output gradient (N, *k, O), instead of the problem's operands.
      local: whether an output depends only on its window, see :mod:`jaxcnn.convolve.algorithms`. A
        kernel that is not local is used only by name.
      unavailable: the reason why it cannot be used in this process now; None if it can.
      host_only: whether it calls a library of this machine's CPU. If so, it is not used on other
        platforms or in exported programs.
      in_layout: (call of lax's) -> the program that reads and writes the call's own layout, or None
        if there is none. Kernels without this function take channels last.
    """

    name: str
    unsupported_reason: Callable[[Problem], str | None]
    work: Callable[[Problem], Work]
    run: Solve
    programs: Callable[[Problem], int] = lambda _: 1
    takes_forward_operands: bool = False
    local: bool = True
    unavailable: Callable[[], str | None] = lambda: None
    host_only: bool = False
    in_layout: Callable[[Operation], Program | None] | None = None

    def parts(self, _problem: Problem) -> list[tuple[Problem, int]]:
        """No parts: a kernel has no smaller problems."""
        return []


@dataclass(frozen=True)
class Rewrite:
    """An algorithm that splits a problem into smaller ones, each with its own choice.

    Attributes:
      name, unsupported_reason, takes_forward_operands: as for a :class:`Kernel`.
      work: its own work, without its parts.
      parts: the problems that ``run`` gives to ``solve``, each with its number of calls.
      run: (problem, x, kernel, solve) -> y, a pure function of arrays.
      loops: whether ``run`` solves its parts in a loop, so that they are compiled once.
    """

    name: str
    unsupported_reason: Callable[[Problem], str | None]
    work: Callable[[Problem], Work]
    parts: Callable[[Problem], list[tuple[Problem, int]]]
    run: Callable[[Problem, jax.Array, jax.Array, Solve], jax.Array]
    takes_forward_operands: bool = False
    loops: bool = False

    local: ClassVar[bool] = True
    """As for a :class:`Kernel`: outputs are sums of the parts' outputs for the same window."""


Algorithm = Kernel | Rewrite
