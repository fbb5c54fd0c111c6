"""One direction of one row: every contender checked, then timed; and the record of many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxcnn.bench import pytorch
from jaxcnn.bench.process import ContenderProcess, ContenderFailedError, Task
from jaxcnn.bench.ceiling import Ceilings
from jaxcnn.bench.check import WrongResultError, require_same
from jaxcnn.bench.contenders import Contender, operands
from jaxcnn.bench.memory import memory_is_counted
from jaxcnn.bench.roster import XLA_BACKENDS, contender, names
from jaxcnn.bench.row import DIRECTIONS, Row
from jaxcnn.bench.timing import FULL, Effort, Times, Turn, time_interleaved, once

CONTENDERS = ("lax", *XLA_BACKENDS, "jaxcnn", "jaxcnn-plain", "torch")
RATIOS = (
    ("lax", "jaxcnn"),
    *((road, "jaxcnn") for road in XLA_BACKENDS),
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
      peaks: MiB for each contender, see :func:`jaxcnn.bench.memory.peak_growth`.
      left_out: why XLA's other xla_backends were not timed, for each such.
      floor: seconds at the machine's own speeds.
      torch_alone: the median of PyTorch's faster layout with nobody else by turns; None without.
    """

    row: Row
    direction: str
    dtype: str
    times: dict[str, Times]
    compile_seconds: dict[str, float]
    peaks: dict[str, float]
    left_out: dict[str, str]
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

    def peak(self, contender: str) -> float | None:
        """The peak memory of one of :data:`CONTENDERS` in MiB; None where it is not known."""
        name = self.torch_layout if contender == "torch" else contender
        return None if name is None else self.peaks.get(name)

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
            "peak_mib": {name: round(each, 1) for name, each in self.peaks.items()},
            "left_out": self.left_out,
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
    xla_backends: bool = False,
    memory: bool = True,
    effort: Effort = FULL,
) -> Result:
    """Checks every contender against lax, and times them by turns.

    All but XLA's other xla_backends share one process; for the memory that they take, each is called once
    in a fresh one before. PyTorch's threads and XLA's can get in each other's way; so PyTorch's
    faster layout is timed once more alone.

    Args:
      row, direction, dtype: what is computed.
      ceilings: the machine's own speeds.
      torch: whether PyTorch takes part.
      xla_backends: whether lax does on XLA's other xla_backends; on which it cannot, is said in the result.
      memory: whether the peak memory is wanted.
      effort: how long each is timed.

    Raises:
      WrongResultError: naming row, direction and contender.
    """
    there = names(row, torch=torch)
    peaks, left_out = {}, {}
    if memory:
        peaks, left_out = _peaks([Task(name, row, direction, dtype) for name in there])
    given = operands(row, dtype)
    entrants = {name: contender(name, row, direction, dtype, given) for name in there}
    del given
    warm, want = _checked(row, direction, dtype, entrants)
    compiled = {name: each.compile_seconds for name, each in entrants.items()}
    turns = {name: each.turn for name, each in entrants.items()}
    programs = {entrants["lax"].program: "lax"}
    with ExitStack() as processes:
        for road in XLA_BACKENDS if xla_backends else ():
            task = Task(road, row, direction, dtype, XLA_BACKENDS[road])
            apart = processes.enter_context(ContenderProcess(task))
            try:
                first = apart.first()
                if first.program in programs:
                    raise ContenderFailedError(road, f"compiles to the program of {programs[first.program]}")
                _require_right(task, first.result, want)
            except (ContenderFailedError, WrongResultError) as error:
                left_out[road] = str(error)
                apart.close()
                continue
            programs[first.program] = road
            turns[road], warm[road] = apart.turn, first.seconds
            compiled[road] = first.compile_seconds
            if memory and first.peak is not None:
                peaks[road] = first.peak
        times = _by_turns(turns, warm, effort, left_out)
    alone = None
    if layout := _faster_layout(times):
        alone = time_interleaved({layout: turns[layout]}, warm, effort)[layout].median
    return Result(
        row,
        direction,
        dtype,
        times,
        {name: each for name, each in compiled.items() if name in times and each is not None},
        peaks,
        left_out,
        ceilings.floor(row, jnp.dtype(dtype).itemsize),
        alone,
    )


def _peaks(tasks: Sequence[Task]) -> tuple[dict[str, float], dict[str, str]]:
    """MiB of each task's first call, in a fresh process; and what a process died of, if one did."""
    peaks, died = {}, {}
    if not memory_is_counted():
        return peaks, died
    for task in tasks:
        with ContenderProcess(task) as apart:
            try:
                peak = apart.first(result=False).peak
            except ContenderFailedError as gone:
                died[f"{task.name}, for its memory,"] = str(gone)
                continue
        if peak is not None:
            peaks[task.name] = peak
    return peaks, died


def _checked(
    row: Row, direction: str, dtype: str, entrants: dict[str, Contender]
) -> tuple[dict[str, float], np.ndarray]:
    """The seconds of each first call, once its result is known to be right, and lax's result."""
    warm, wanted = {}, None
    for name, each in entrants.items():
        got, warm[name] = once(each.call)
        got = each.result(got)
        wanted = got if wanted is None else wanted  # lax comes first
        _require_right(Task(name, row, direction, dtype), got, wanted)
    assert wanted is not None
    return warm, wanted


def _require_right(task: Task, got: np.ndarray | None, wanted: np.ndarray) -> None:
    assert got is not None
    what = f"{task.row.name}, {task.direction}, {task.dtype}: {task.name}"
    require_same(got, wanted, task.row.terms(task.direction), task.dtype, what)


def _by_turns(
    turns: dict[str, Turn], warm: dict[str, float], effort: Effort, left_out: dict[str, str]
) -> dict[str, Times]:
    """Times of all; from the start without one whose process dies on the way."""
    while True:
        there = {name: each for name, each in turns.items() if name not in left_out}
        try:
            return time_interleaved(there, warm, effort)
        except ContenderFailedError as gone:
            left_out[gone.name] = str(gone)


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
    """A run as it is written to a file, with device, versions and the flags of XLA's xla_backends."""
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
        "xla_flags": {
            road: flags for road, flags in XLA_BACKENDS.items() if any(road in r.times for r in results)
        },
        "rows": [result.record() for result in results],
    }


def _faster_layout(times: dict[str, Times]) -> str | None:
    there = [name for name in pytorch.LAYOUTS if name in times]
    return min(there, key=lambda name: times[name].median) if there else None


def _milliseconds(seconds: float) -> float:
    return float(f"{seconds * 1e3:.4g}")
