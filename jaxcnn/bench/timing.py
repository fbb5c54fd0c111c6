"""Interleaved timing: contenders take turns, so a slow minute of the machine affects them all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOW = 2.0
"""A function whose call takes more seconds than this is called only once."""

BURST = 0.03
"""Seconds of calls in a row before the next contender's turn."""

SETTLING = 0.01
"""Seconds of untimed calls before each burst."""

LONG = 0.3
"""A function whose call takes more seconds than this needs no settling."""


@dataclass(frozen=True)
class Effort:
    """How much time to spend on one function.

    Attributes:
      seconds: approximate total.
      min_calls, max_calls: bounds on the number of calls.
    """

    seconds: float = 0.4
    min_calls: int = 5
    max_calls: int = 300

    def calls(self, seconds: float) -> int:
        """The number of calls for a function that takes ``seconds`` a call.

        >>> Effort().calls(0.001), Effort().calls(0.02), Effort().calls(1.0), Effort().calls(9.0)
        (300, 20, 5, 1)
        """
        if seconds > SLOW:
            return 1
        return max(self.min_calls, min(self.max_calls, round(self.seconds / max(seconds, 1e-6))))


FULL = Effort()
QUICK = Effort(seconds=0.1, min_calls=3, max_calls=100)


@dataclass(frozen=True)
class Times:
    """The duration of each call of one function, in seconds."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and the third quartile."""
        low, high = np.quantile(self.seconds, (0.25, 0.75))
        return float(low), float(high)


def time_once(function: Callable[[], Any]) -> tuple[Any, float]:
    """Calls ``function``; returns its result and the seconds it took."""
    start = time.perf_counter()
    value = function()
    return value, time.perf_counter() - start


TimeCalls = Callable[[float, int], list[float]]
"""Takes the seconds a call lasts and a number of calls; returns the seconds of each call."""


def time_calls(function: Callable[[], Any], seconds: float, calls: int) -> list[float]:
    """Times ``calls`` calls in a row, after a few untimed ones.

    The threads of another library keep spinning for some milliseconds after its last call, and
    occupy cores meanwhile. The untimed calls let them go to sleep.

    Args:
      function: must have been called before, so that it is compiled.
      seconds: the approximate duration of a call.
      calls: how many to time.
    """
    if seconds <= LONG:
        start = time.perf_counter()
        function()
        while time.perf_counter() - start < SETTLING:
            function()
    return [time_once(function)[1] for _ in range(calls)]


def time_interleaved(
    contenders: dict[str, TimeCalls], first_seconds: dict[str, float], effort: Effort
) -> dict[str, Times]:
    """Times all contenders in rounds; those with fewer bursts skip rounds at even intervals.

    Args:
      contenders: a function for each name that times its calls.
      first_seconds: the duration of an earlier call of each.
      effort: the time to spend on each.
    """
    # The earlier call may have touched new pages and cold caches. It sets the number of calls only
    # for slow functions; the others are measured once more.
    seconds = {
        name: first_seconds[name]
        if first_seconds[name] > SLOW
        else timer(first_seconds[name], 1)[0]
        for name, timer in contenders.items()
    }
    calls = {name: effort.calls(seconds[name]) for name in contenders}
    burst = {name: max(1, min(calls[name], round(BURST / seconds[name]))) for name in contenders}
    bursts = {name: -(-calls[name] // burst[name]) for name in contenders}
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for names in rounds(bursts):
        for name in names:
            taken[name] += contenders[name](seconds[name], burst[name])
    return {name: Times(tuple(each)) for name, each in taken.items()}


def rounds(turns: dict[str, int]) -> Iterator[list[str]]:
    """Yields the names of each round: each name as often as ``turns`` says, evenly spread.

    >>> list(rounds({"slow": 2, "fast": 4}))
    [['fast'], ['slow', 'fast'], ['fast'], ['slow', 'fast']]
    """
    most = max(turns.values())
    for number in range(most):
        yield [
            name
            for name, count in turns.items()
            if (number + 1) * count // most > number * count // most
        ]
