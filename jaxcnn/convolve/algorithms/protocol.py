"""What an algorithm is: a kernel, which computes a problem, or a rewrite, which makes smaller ones.

Both state which problems they support (``unsupported_reason``) and how much they do (``work``), so
that the choice can price them without an array.
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
"""(problem, x, kernel) -> y, by whatever algorithm is chosen for the problem."""


class Work(NamedTuple):
    """What an algorithm does for a problem, counted. The cost model turns it into time.

    Attributes:
      operations: multiply-adds.
      traffic: bytes read and written, temporaries included.
      turns: programs entered: calls, and turns of loops.
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
      name: in errors, in :func:`jaxcnn.explain` and for ``algorithm=``.
      unsupported_reason: why it does not support a problem; None if it does.
      work: what it does for a problem that it supports.
      run: (problem, x, kernel) -> y, a pure function of arrays.
      programs: how many programs ``run`` writes for XLA to compile: a fused expression, a call, a
        part of a concatenation.
      takes_forward_operands: whether ``run`` takes x (N, *size, C) and output gradient (N, *k, O)
        of the convolution whose kernel gradient the problem is, instead of the problem's operands.
      local: whether an output depends on its window alone, see :mod:`jaxcnn.convolve.algorithms`.
        A kernel that is not local is used only by name.
      unavailable: why it cannot be used in this process now; None if it can.
      host_only: whether it calls a library of this machine's CPU, and so is used neither on other
        platforms nor in exported programs.
      in_layout: (call of lax's) -> the program that reads and writes the call's own layout, or None
        if there is none. Kernels without it take channels last.
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
        """No smaller problems: a kernel hands nothing on."""
        return []


@dataclass(frozen=True)
class Rewrite:
    """An algorithm that hands smaller problems on, for which the choice is made again.

    Attributes:
      name, unsupported_reason, takes_forward_operands: as for a :class:`Kernel`.
      work: what it does itself, without its parts.
      parts: the problems that ``run`` hands to ``solve``, each with how often.
      run: (problem, x, kernel, solve) -> y, a pure function of arrays.
      loops: whether ``run`` goes over its parts in a loop, so that they are compiled once.
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
