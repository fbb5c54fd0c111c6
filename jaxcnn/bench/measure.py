"""One direction of one row: every contender checked, then timed; and the record of many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jax.numpy as jnp

from jaxcnn.bench import pytorch
from jaxcnn.bench.ceiling import Ceilings
from jaxcnn.bench.check import require_same
from jaxcnn.bench.contenders import Contender, jax_contenders, operands
from jaxcnn.bench.row import DIRECTIONS, Row
from jaxcnn.bench.timing import FULL, Effort, Times, by_turns, once

CONTENDERS = ("lax", "jaxcnn", "jaxcnn-plain", "torch")
RATIOS = (
    ("lax", "jaxcnn"),
    ("lax", "jaxcnn-plain"),
    ("jaxcnn", "torch"),
    ("jaxcnn-plain", "torch"),
)


@dataclass(frozen=True)
class Result:
    """What one direction of a row took.

    Attributes:
      row, direction, dtype: what was computed.
      times: for each contender; PyTorch's two layouts apart.
      compile_seconds: for each contender that compiles.
      floor: seconds at the machine's own speeds.
      torch_alone: the median of PyTorch's faster layout with nobody else by turns; None without.
    """

    row: Row
    direction: str
    dtype: str
    times: dict[str, Times]
    compile_seconds: dict[str, float]
    floor: float
    torch_alone: float | None

    @property
    def torch_layout(self) -> str | None:
        """PyTorch's faster memory layout, by the median."""
        return _faster_layout(self.times)

    def seconds(self, contender: str) -> float | None:
        """The median of one of :data:`CONTENDERS`; None where it did not take part."""
        name = self.torch_layout if contender == "torch" else contender
        return self.times[name].median if name in self.times else None

    def ratio(self, over: str, under: str) -> float | None:
        """How many times as long ``over`` took as ``under``."""
        a, b = self.seconds(over), self.seconds(under)
        return None if a is None or b is None else a / b

    @property
    def share(self) -> float:
        """Of the machine's own speed, what jaxcnn reaches."""
        return self.floor / self.times["jaxcnn"].median

    def record(self) -> dict[str, Any]:
        """As it is written to a file; times in milliseconds, compilation in seconds."""
        layout = self.torch_layout
        return {
            "name": self.row.name,
            **asdict(self.row),
            "direction": self.direction,
            "dtype": self.dtype,
            "multiply_adds": self.row.multiply_adds,
            "floor_ms": _milliseconds(self.floor),
            "share": round(self.share, 4),
            "ms": {
                name: _milliseconds(seconds)
                for name in CONTENDERS
                if (seconds := self.seconds(name)) is not None
            },
            "quartiles_ms": {
                name: [_milliseconds(each) for each in times.quartiles]
                for name, times in self.times.items()
            },
            "calls": {name: len(times.seconds) for name, times in self.times.items()},
            "compile_s": {name: round(each, 4) for name, each in self.compile_seconds.items()},
            "torch_layout": layout and layout.removeprefix("torch-"),
            "torch_alone_ms": self.torch_alone and _milliseconds(self.torch_alone),
        }


def measure(
    row: Row,
    direction: str,
    dtype: str,
    ceilings: Ceilings,
    *,
    torch: bool,
    effort: Effort = FULL,
) -> Result:
    """Checks every contender against lax, and times them by turns.

    PyTorch's threads and XLA's can get in each other's way; so PyTorch's faster layout is timed
    once more alone.

    Raises:
      WrongResult: naming row, direction and contender.
    """
    given = operands(row, dtype)
    entrants = jax_contenders(row, direction, dtype, given)
    if torch:
        entrants |= pytorch.torch_contenders(row, direction, dtype, given)
    del given
    warm = _checked(row, direction, dtype, entrants)
    calls = {name: contender.call for name, contender in entrants.items()}
    times = by_turns(calls, warm, effort)
    alone = None
    if layout := _faster_layout(times):
        alone = by_turns({layout: calls[layout]}, warm, effort)[layout].median
    return Result(
        row,
        direction,
        dtype,
        times,
        {
            name: contender.compile_seconds
            for name, contender in entrants.items()
            if contender.compile_seconds is not None
        },
        ceilings.floor(row, jnp.dtype(dtype).itemsize),
        alone,
    )


def _checked(
    row: Row, direction: str, dtype: str, entrants: dict[str, Contender]
) -> dict[str, float]:
    """The seconds of each first call, once its result is known to be right."""
    warm, want = {}, None
    for name, contender in entrants.items():
        got, warm[name] = once(contender.call)
        got = contender.result(got)
        if want is None:  # lax, which comes first
            want = got
        what = f"{row.name}, {direction}, {dtype}: {name}"
        require_same(got, want, row.terms(direction), dtype, what)
    return warm


def geometric_means(results: Sequence[Result]) -> dict[str, dict[str, float]]:
    """For each direction, each of :data:`RATIOS` in geometric mean over the rows that have it."""
    means = {}
    for direction in DIRECTIONS:
        of = [result for result in results if result.direction == direction]
        ratios = {}
        for over, under in RATIOS:
            known = [ratio for each in of if (ratio := each.ratio(over, under)) is not None]
            if known:
                ratios[f"{over}/{under}"] = math.exp(math.fsum(map(math.log, known)) / len(known))
        if of:
            means[direction] = ratios
    return means


def record(
    suite: str, dtype: str, ceilings: Ceilings, results: Sequence[Result], torch: bool
) -> dict[str, Any]:
    """A run as it is written to a file, with device and versions."""
    from importlib.metadata import version

    from jaxcnn.environment import environment

    where = environment()
    if torch:
        where["versions"]["torch"] = version("torch")
    return {
        "suite": suite,
        "dtype": dtype,
        **where,
        "ceilings": {key: round(value, 1) for key, value in asdict(ceilings).items()},
        "geometric_means": {
            direction: {name: round(ratio, 3) for name, ratio in ratios.items()}
            for direction, ratios in geometric_means(results).items()
        },
        "rows": [result.record() for result in results],
    }


def _faster_layout(times: dict[str, Times]) -> str | None:
    there = [name for name in pytorch.LAYOUTS if name in times]
    return min(there, key=lambda name: times[name].median) if there else None


def _milliseconds(seconds: float) -> float:
    return float(f"{seconds * 1e3:.4g}")
