"""The choice: what each algorithm would cost for a problem, and the cheapest that may be taken.

    milliseconds = turn * turns + operation * operations + byte * traffic + those of the parts

with work counted by the algorithm and rates measured once on a machine of the platform
(``rates.json``, written by ``experiments/calibrate_convolution.py``). Nothing is timed while a
program is traced: the same problem gets the same algorithm, everywhere and always.
"""

from __future__ import annotations

import json
import math
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

import jax

from jaxcnn.convolve.algorithms import ALGORITHMS, Work, onednn
from jaxcnn.convolve.algorithms.algorithm import trimmed
from jaxcnn.convolve.layout import (
    Operation,
    as_kernel_gradient,
    channels_last,
    forward_laid,
    from_kernel_gradient,
)
from jaxcnn.convolve.problem import Problem
from jaxcnn.geometry.check import choice
from jaxcnn.onednn import closed_because

ONEDNN = frozenset(onednn.DIRECTIONS)
"""The algorithms that need oneDNN."""

MOST_WRITTEN = 128
"""Programs that are compiled for one convolution at the most, whatever its sizes: XLA takes some 10
to 50 ms for each (2 cores of an AMD EPYC, jax 0.10.2). By name an algorithm may take more."""

WORTH = 0.9
"""Another algorithm than the direct call must promise less than this share of its time."""


LAYING_OUT = 2e-7
"""Milliseconds a byte for XLA to transpose an array of float32: 6.9 ms for the 32 MB of a 1x1
convolution with channels first, 2.0 ms for a kernel of 9.4 MB (2 cores of an AMD EPYC, jax 0.10.2,
the same convolution with and without)."""


class Laying(NamedTuple):
    """What the layout of a call costs.

    Attributes:
      total: bytes that are laid out anew before and after.
      readers: the algorithms that need not, for they read and write what lies so.
    """

    total: int = 0
    readers: frozenset[str] = frozenset()


AS_USUAL = Laying()
"""Arrays that lie as every algorithm takes them."""


def laying(operation: Operation) -> Laying:
    """What it costs to lay out the arrays of a call."""
    problem, numbers, batch_groups = operation
    readers = frozenset(onednn.readers(operation))
    sizes = (problem.x_shape, problem.kernel_shape, problem.output_shape)
    usual = [channels_last(problem.axes)] * (batch_groups == 1)
    if batch_groups == problem.groups:
        usual.append(forward_laid(problem.axes))
    total = min(
        sum(
            math.prod(shape)
            for shape, spec, own in zip(sizes, numbers, each, strict=True)
            if spec != own
        )
        for each in usual or [channels_last(problem.axes)]
    )
    return Laying(problem.itemsize * total, readers)


class Rates(NamedTuple):
    """Milliseconds for a turn, for a multiply-add, and for a byte."""

    turn: float
    operation: float
    byte: float

    def milliseconds(self, work: Work) -> float:
        return self.turn * work.turns + self.operation * work.operations + self.byte * work.traffic


@cache
def rates() -> dict[str, Rates]:
    """By ``algorithm/kind/dtype``."""
    text = (files("jaxcnn.convolve") / "rates.json").read_text()
    return {key: Rates(*numbers) for key, numbers in json.loads(text)["rates"].items()}


def check_name(name: str) -> None:
    """Refuses the name of no algorithm.

    >>> check_name("im2col")
    Traceback (most recent call last):
    jaxcnn.errors.InputError: algorithm must be one of 'direct', 'onednn', ..., got 'im2col'.
    """
    choice("algorithm", name, tuple(ALGORITHMS))


def solve(
    problem: Problem,
    x: jax.Array,
    kernel: jax.Array,
    *,
    name: str | None = None,
    closed: frozenset[str] = frozenset(),
    of_forward: bool = False,
    most: int = MOST_WRITTEN,
) -> jax.Array:
    """y (N, *k, O) by the chosen algorithm, or by the named one where it takes the problem.

    Args:
      problem: what is computed.
      x, kernel: as the problem says.
      name: an algorithm.
      closed: algorithms that may not be taken here.
      of_forward: whether x and kernel are input and output gradient of the convolution whose kernel
        gradient the problem is, as they lie there.
      most: programs that may be compiled for it.
    """
    problem, x = trimmed(problem, x)
    taken = named_or_chosen(problem, name, closed, most=most)
    algorithm, share = ALGORITHMS[taken], max(1, _share(problem, taken, most))
    if algorithm.of_forward != of_forward:
        put = from_kernel_gradient if algorithm.of_forward else as_kernel_gradient
        x, kernel = put(problem.kernel_gradient(), x, kernel)

    def smaller(problem: Problem, x: jax.Array, kernel: jax.Array) -> jax.Array:
        return solve(problem, x, kernel, closed=closed, most=share)

    return algorithm.run(problem, x, kernel, smaller)


def named_or_chosen(
    problem: Problem,
    name: str | None,
    closed: frozenset[str],
    laid: Laying = AS_USUAL,
    most: int = MOST_WRITTEN,
) -> str:
    """The named algorithm, where one is and it takes the problem; else the choice."""
    problem, _ = problem.trimmed()
    if (
        name is not None
        and name not in closed
        and (name in laid.readers or not ALGORITHMS[name].unsupported_reason(problem))
    ):
        return name
    return choose(problem, closed, laid, most)


def choose(
    problem: Problem,
    closed: frozenset[str] = frozenset(),
    laid: Laying = AS_USUAL,
    most: int = MOST_WRITTEN,
) -> str:
    """The algorithm of least cost; the direct call where no other is clearly cheaper.

    Only those whose outputs depend on their windows alone; what is not :attr:`.Algorithm.local` is
    taken by name.

    Args:
      problem: what is computed.
      closed: algorithms that may not be taken here.
      laid: what the layout of its arrays costs.
      most: programs that may be compiled for it.
    """
    return _cheapest(problem, _shut(closed), laid, most)[0]


def costs(
    problem: Problem, closed: frozenset[str] = frozenset(), laid: Laying = AS_USUAL
) -> dict[str, float | str]:
    """For each algorithm, those included that must be named, its milliseconds, or why not."""
    shut = _shut(closed)
    bare, _ = problem.trimmed()
    return {name: _reason(bare, name, shut) or _cost(bare, name, shut, laid) for name in ALGORITHMS}


def _shut(closed: frozenset[str]) -> frozenset[str]:
    """``closed``, and oneDNN where it may not be asked: that can change while the process runs."""
    return closed | ONEDNN if closed_because() else closed


def _reason(
    problem: Problem, name: str, shut: frozenset[str], most: int = MOST_WRITTEN
) -> str | None:
    if name in shut:
        return closed_because() or "not where this is compiled"
    reason = ALGORITHMS[name].unsupported_reason(problem)
    if reason is None and _share(problem, name, most) < 1:
        reason = f"by name alone: more than {most} programs to compile"
    return reason


def _share(problem: Problem, name: str, most: int) -> int:
    """Programs that each part may be, so that all are ``most``; below 1 they do not fit."""
    algorithm = ALGORITHMS[name]
    left, parts = most - algorithm.written(problem), algorithm.parts(problem)
    if not parts:
        return left + 1
    return left // (len(parts) if algorithm.loops else sum(times for _, times in parts))


@lru_cache(maxsize=65536)
def _cheapest(
    problem: Problem, shut: frozenset[str], laid: Laying = AS_USUAL, most: int = MOST_WRITTEN
) -> tuple[str, float]:
    problem, _ = problem.trimmed()
    direct = _cost(problem, "direct", shut, laid, most)
    best = min(
        (
            (_cost(problem, name, shut, laid, most), name)
            for name in ALGORITHMS
            if name != "direct"
            and ALGORITHMS[name].local
            and not _reason(problem, name, shut, most)
        ),
        default=(float("inf"), "direct"),
    )
    return (best[1], best[0]) if best[0] < WORTH * direct else ("direct", direct)


def _cost(
    problem: Problem,
    name: str,
    shut: frozenset[str],
    laid: Laying = AS_USUAL,
    most: int = MOST_WRITTEN,
) -> float:
    """Milliseconds of a problem that the algorithm takes."""
    if problem.is_empty:
        return 0.0
    algorithm = ALGORITHMS[name]
    work = algorithm.work(problem)
    own = _rates_for(name, work.kind, problem.dtype).milliseconds(work)
    own += 0 if name in laid.readers else LAYING_OUT * laid.total
    share = _share(problem, name, most)
    return own + sum(
        times * _cheapest(part, shut, most=share)[1] for part, times in algorithm.parts(problem)
    )


def _rates_for(name: str, kind: str, dtype: str) -> Rates:
    """The measured rates; where a kind or dtype was not measured, those of the next of kin."""
    known = rates()
    plain = kind.removeprefix("thin ").removeprefix("large ")
    for kin in dict.fromkeys((kind, kind.removeprefix("thin "), plain, "dense", "")):
        for wanted in (dtype, "float32"):
            key = f"{name}/{kin}/{wanted}" if kin else f"{name}/{wanted}"
            if key in known:
                turn, operation, byte = known[key]
                wider = 2 if dtype == "float64" and wanted == "float32" else 1
                return Rates(turn, operation * wider, byte)
    raise KeyError(f"no rates for {name}/{kind}/{dtype}")
