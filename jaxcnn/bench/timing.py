"""Timing several functions by turns, so that a slow minute of the machine is everyone's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

SLOW = 2.0
"""Seconds a call from which on it is called once."""

TURN, SETTLING, LONG = 0.03, 0.01, 0.3
"""Seconds: of a turn; before it, uncounted; of a call that need not wait for that."""


@dataclass(frozen=True)
class Effort:
    """How long a function is timed.

    Attributes:
      seconds: about how long in all.
      least, most: calls.
    """

    seconds: float = 0.4
    least: int = 5
    most: int = 300

    def calls(self, seconds: float) -> int:
        """How many calls of so many seconds each.

        >>> Effort().calls(0.001), Effort().calls(0.02), Effort().calls(1.0), Effort().calls(9.0)
        (300, 20, 5, 1)
        """
        if seconds > SLOW:
            return 1
        return max(self.least, min(self.most, round(self.seconds / max(seconds, 1e-6))))


FULL = Effort()
QUICK = Effort(seconds=0.1, least=3, most=100)


@dataclass(frozen=True)
class Times:
    """What the calls of one function took, in seconds."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and the third."""
        low, high = np.quantile(self.seconds, (0.25, 0.75))
        return float(low), float(high)


def once(function: Callable[[], Any]) -> tuple[Any, float]:
    """What a call gives, and the seconds it takes."""
    start = time.perf_counter()
    value = function()
    return value, time.perf_counter() - start


Turn = Callable[[float, int], list[float]]
"""Of the seconds that a call takes, and how many calls: what each took, after settling."""


def turn(function: Callable[[], Any], seconds: float, calls: int) -> list[float]:
    """Times so many calls, in a row; those before, uncounted, let other threads go to sleep.

    After a call the threads of another library spin on for some milliseconds, and what comes next
    has fewer cores.

    Args:
      function: what is called; it has been called before.
      seconds: about what a call takes.
      calls: how many.
    """
    if seconds <= LONG:
        start = time.perf_counter()
        function()
        while time.perf_counter() - start < SETTLING:
            function()
    return [once(function)[1] for _ in range(calls)]


def time_interleaved(
    contenders: dict[str, Turn], warm: dict[str, float], effort: Effort
) -> dict[str, Times]:
    """Times of each contender, called in rounds; one with fewer turns sits out evenly many rounds.

    Args:
      contenders: a turn of each, by name.
      warm: the seconds that an earlier call of each took, by which the number of calls is set.
      effort: how long each is timed.
    """
    # The first call may have had pages to touch and caches to fill; it misleads, unless it is slow.
    seconds = {
        name: warm[name] if warm[name] > SLOW else take(warm[name], 1)[0]
        for name, take in contenders.items()
    }
    calls = {name: effort.calls(seconds[name]) for name in contenders}
    burst = {name: max(1, min(calls[name], round(TURN / seconds[name]))) for name in contenders}
    turns = {name: -(-calls[name] // burst[name]) for name in contenders}
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for names in rounds(turns):
        for name in names:
            taken[name] += contenders[name](seconds[name], burst[name])
    return {name: Times(tuple(all)) for name, all in taken.items()}


def rounds(calls: dict[str, int]) -> Iterator[list[str]]:
    """Who is called in each round: each as often as ``calls`` says, spread evenly.

    >>> list(rounds({"slow": 2, "fast": 4}))
    [['fast'], ['slow', 'fast'], ['fast'], ['slow', 'fast']]
    """
    most = max(calls.values())
    for number in range(most):
        yield [
            name
            for name, count in calls.items()
            if (number + 1) * count // most > number * count // most
        ]
