"""Checks and times all contenders in one direction of a row, and records a run."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from jaxcnn.bench import pytorch
from jaxcnn.bench.check import WrongResultError, require_same
from jaxcnn.bench.contenders import Contender, operands
from jaxcnn.bench.memory import memory_is_counted
from jaxcnn.bench.process import ContenderFailedError, ContenderProcess, Task
from jaxcnn.bench.roster import XLA_BACKENDS, contender_names, make_contender
from jaxcnn.bench.row import DIRECTIONS, Row
from jaxcnn.bench.timing import FULL, Effort, TimeCalls, Times, time_interleaved, time_once

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from jaxcnn.bench.ceiling import Ceilings

CONTENDERS = ("lax", *XLA_BACKENDS, "jaxcnn", "jaxcnn-plain", "torch")
RATIOS = (
    ("lax", "jaxcnn"),
    *((backend, "jaxcnn") for backend in XLA_BACKENDS),
    ("lax", "jaxcnn-plain"),
    ("jaxcnn", "torch"),
    ("jaxcnn-plain", "torch"),
)


@dataclass(frozen=True)
class Result:
    """The measurements of one direction of a row.

    Attributes:
      row, direction, dtype: the problem.
      times: the times of each contender; PyTorch's two layouts are separate.
      compile_seconds: of each contender that compiles.
      peaks: the peak memory of each contender in MiB, see
        :func:`jaxcnn.bench.memory.peak_growth`.
      left_out: for each contender that was not measured, the reason.
      floor: the seconds at the machine's measured speeds.
      torch_alone: the median of PyTorch's faster layout when it is timed alone; None without
        PyTorch.
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
        """PyTorch's memory layout with the smaller median; None without PyTorch."""
        return _faster_layout(self.times)

    def seconds(self, contender: str) -> float | None:
        """The median of one of :data:`CONTENDERS`; None if it was not timed."""
        name = self.torch_layout if contender == "torch" else contender
        return self.times[name].median if name in self.times else None

    def peak(self, contender: str) -> float | None:
        """The peak memory of one of :data:`CONTENDERS` in MiB; None if it was not measured."""
        name = self.torch_layout if contender == "torch" else contender
        return None if name is None else self.peaks.get(name)

    def ratio(self, over: str, under: str) -> float | None:
        """The time of ``over`` divided by the time of ``under``."""
        a, b = self.seconds(over), self.seconds(under)
        return None if a is None or b is None else a / b

    @property
    def share(self) -> float:
        """The share of the machine's measured speed that jaxcnn reaches."""
        return self.floor / self.times["jaxcnn"].median

    def record(self) -> dict[str, Any]:
        """The result as JSON data; times in milliseconds, compilation in seconds."""
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
    """Checks every contender against lax, and times them in turns.

    The contenders share one process, except lax with the flags of an XLA backend, which has its
    own. Peak memory is measured in a fresh process for each. The threads of PyTorch and XLA can
    slow each other down, so PyTorch's faster layout is also timed alone.

    Args:
      row, direction, dtype: the problem.
      ceilings: the machine's measured speeds.
      torch: whether to time PyTorch.
      xla_backends: whether to time lax with each of :data:`XLA_BACKENDS`. One that fails is left
        out, with the reason in the result.
      memory: whether to measure peak memory.
      effort: the time to spend on each contender.

    Raises:
      WrongResultError: if a result differs from lax's; it names row, direction and contender.
    """
    names = contender_names(row, torch=torch)
    peaks, left_out = {}, {}
    if memory:
        peaks, left_out = _peaks([Task(name, row, direction, dtype) for name in names])
    given = operands(row, dtype)
    contenders = {name: make_contender(name, row, direction, dtype, given) for name in names}
    del given
    first_seconds, want = _check(row, direction, dtype, contenders)
    compile_seconds = {name: each.compile_seconds for name, each in contenders.items()}
    timers = {name: each.time_calls for name, each in contenders.items()}
    programs = {contenders["lax"].program: "lax"}
    with ExitStack() as processes:
        for backend in XLA_BACKENDS if xla_backends else ():
            task = Task(backend, row, direction, dtype, XLA_BACKENDS[backend])
            process = processes.enter_context(ContenderProcess(task))
            try:
                first = process.first_call()
                if same := programs.get(first.program):
                    raise ContenderFailedError(backend, f"compiles to the program of {same}")
                _require_right(task, first.result, want)
            except (ContenderFailedError, WrongResultError) as error:
                left_out[backend] = str(error)
                process.close()
                continue
            programs[first.program] = backend
            timers[backend], first_seconds[backend] = process.time_calls, first.seconds
            compile_seconds[backend] = first.compile_seconds
            if memory and first.peak is not None:
                peaks[backend] = first.peak
        times = _time_survivors(timers, first_seconds, effort, left_out)
    alone = None
    if layout := _faster_layout(times):
        alone = time_interleaved({layout: timers[layout]}, first_seconds, effort)[layout].median
    return Result(
        row,
        direction,
        dtype,
        times,
        {
            name: seconds
            for name, seconds in compile_seconds.items()
            if name in times and seconds is not None
        },
        peaks,
        left_out,
        ceilings.floor(row, jnp.dtype(dtype).itemsize),
        alone,
    )


def _peaks(tasks: Sequence[Task]) -> tuple[dict[str, float], dict[str, str]]:
    """The peak memory of each task's first call in MiB, and the reasons of failures."""
    peaks, failures = {}, {}
    if not memory_is_counted():
        return peaks, failures
    for task in tasks:
        with ContenderProcess(task) as process:
            try:
                peak = process.first_call(with_result=False).peak
            except ContenderFailedError as error:
                failures[f"the memory of {task.name}"] = str(error)
                continue
        if peak is not None:
            peaks[task.name] = peak
    return peaks, failures


def _check(
    row: Row, direction: str, dtype: str, contenders: dict[str, Contender]
) -> tuple[dict[str, float], np.ndarray]:
    """Checks each contender's first call; returns the seconds of each, and lax's result."""
    seconds, want = {}, None
    for name, each in contenders.items():
        value, seconds[name] = time_once(each.call)
        got = each.result(value)
        want = got if want is None else want  # lax comes first
        _require_right(Task(name, row, direction, dtype), got, want)
    assert want is not None
    return seconds, want


def _require_right(task: Task, got: np.ndarray | None, want: np.ndarray) -> None:
    assert got is not None
    what = f"{task.row.name}, {task.direction}, {task.dtype}: {task.name}"
    require_same(got, want, task.row.terms(task.direction), task.dtype, what)


def _time_survivors(
    timers: dict[str, TimeCalls],
    first_seconds: dict[str, float],
    effort: Effort,
    left_out: dict[str, str],
) -> dict[str, Times]:
    """Times all contenders. If one fails, it is left out and the timing starts again."""
    while True:
        remaining = {name: each for name, each in timers.items() if name not in left_out}
        try:
            return time_interleaved(remaining, first_seconds, effort)
        except ContenderFailedError as error:
            left_out[error.name] = str(error)


def geometric_means(results: Sequence[Result]) -> dict[str, dict[str, float]]:
    """For each direction, the geometric means of :data:`RATIOS` over the rows that have them."""
    means = {}
    for direction in DIRECTIONS:
        rows = [result for result in results if result.direction == direction]
        ratios = {}
        for over, under in RATIOS:
            known = [ratio for each in rows if (ratio := each.ratio(over, under)) is not None]
            if known:
                ratios[f"{over}/{under}"] = math.exp(math.fsum(map(math.log, known)) / len(known))
        if rows:
            means[direction] = ratios
    return means


def record(
    suite: str, dtype: str, ceilings: Ceilings, results: Sequence[Result], torch: bool
) -> dict[str, Any]:
    """A run as JSON data, with device, versions, and the flags of the timed XLA backends."""
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
            name: flags
            for name, flags in XLA_BACKENDS.items()
            if any(name in result.times for result in results)
        },
        "rows": [result.record() for result in results],
    }


def _faster_layout(times: dict[str, Times]) -> str | None:
    timed = [name for name in pytorch.LAYOUTS if name in times]
    return min(timed, key=lambda name: times[name].median, default=None)


def _milliseconds(seconds: float) -> float:
    return float(f"{seconds * 1e3:.4g}")
