"""The choice: what each algorithm would cost for a problem, and the cheapest that may be taken.

Costs come from counted work and from rates measured once on a machine of the platform; nothing is
timed while a program is traced, so the same problem gets the same algorithm everywhere and always.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import jax

from jaxcnn.convolve import fence
from jaxcnn.convolve.algorithms import ALGORITHMS
from jaxcnn.convolve.algorithms.algorithm import trimmed
from jaxcnn.convolve.problem import Problem
from jaxcnn.errors import InputError

ONEDNN = frozenset({"onednn", "onednn_products"})
"""The algorithms that are fenced."""


def check_name(name: str) -> None:
    """Refuses the name of no algorithm."""
    if name not in ALGORITHMS:
        raise InputError(f"algorithm must be None or one of {', '.join(ALGORITHMS)}, got {name!r}")


def solve(
    problem: Problem,
    x: jax.Array,
    kernel: jax.Array,
    *,
    name: str | None = None,
    closed: frozenset[str] = frozenset(),
) -> jax.Array:
    """y (N, *k, O), by the named algorithm where it takes the problem, else by the chosen one."""
    problem, x = trimmed(problem, x)
    if name is None or ALGORITHMS[name].refuses(problem):
        name = choose(problem, closed)

    def smaller(problem: Problem, x: jax.Array, kernel: jax.Array) -> jax.Array:
        return solve(problem, x, kernel, closed=closed)

    return ALGORITHMS[name].run(problem, x, kernel, smaller)


def choose(problem: Problem, closed: frozenset[str] = frozenset()) -> str:
    if "onednn" not in closed and not ALGORITHMS["onednn"].refuses(problem): return "onednn"
    if not ALGORITHMS["phases"].refuses(problem): return "phases"
    return "direct"


del dataclass, lru_cache, fence
