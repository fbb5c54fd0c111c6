"""Whether the oneDNN that this jaxlib carries can be trusted: drawn questions in child processes.

What oneDNN cannot do ends or hangs the process, or is served by an implementation known to do so;
so every question is put in a process that may die, oneDNN is made to name what served it, and the
answer is held to float64. :func:`verify` draws from the very problems that
:mod:`jaxcnn.convolve.fence` lets pass; a clean run is what puts a jaxlib on its list.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path

from jaxcnn.convolve import fence
from jaxcnn.convolve.draws import Question, questions

ACCEPTED = ("brg", "brdgmm", "jit")
"""How the names of implementations begin that may serve; ``x64:gemm:jit`` and ``ref`` do not."""

PRIMITIVES = ("convolution", "matmul")
"""What may serve, by oneDNN's own names; reorders do not compute."""

ASK = "jaxcnn.convolve._verify_child:ask"
BATCH = 100
CHILD_ENVIRONMENT = {"JAX_PLATFORMS": "cpu", "JAX_TRACEBACK_FILTERING": "off"}
"""An unfiltered traceback ends with the error, which is the line that is told."""

POLL = 0.25  # seconds

Numbered = list[tuple[int, Question]]


@dataclass(frozen=True)
class Failure:
    """A question that oneDNN failed.

    Attributes:
      question: so printed that it can be put again.
      what: "died", "hung", "wrong value" or "implementation".
      detail: the signal, the value, the name.
    """

    question: str
    what: str
    detail: str

    def __str__(self) -> str:
        return f"{self.what} ({self.detail}): {self.question}"


@dataclass
class Verdict:
    """What a run has seen.

    Attributes:
      jaxlib, isa: the version, and by dtype the instruction set that was drawn for.
      draws: questions put, by dtype.
      implementations: how many each one served, by dtype and name.
      failures: all of them; empty for a clean run.
      stress: seconds of :mod:`jaxcnn.convolve.stress`, 0 where it was not run.
      seconds, date: how long it took, and the day.
    """

    jaxlib: str = field(default_factory=lambda: version("jaxlib"))
    isa: dict[str, str] = field(default_factory=dict)
    draws: Counter[str] = field(default_factory=Counter)
    implementations: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    stress: float = 0
    seconds: float = 0
    date: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())

    def to_json(self) -> dict[str, object]:
        """As it is kept on disk."""
        return {
            "jaxlib": self.jaxlib,
            "isa": self.isa,
            "draws": dict(self.draws),
            "failures": [str(failure) for failure in self.failures],
            "stress_seconds": round(self.stress),
            "seconds": round(self.seconds),
            "date": self.date,
            "implementations": dict(sorted(self.implementations.items())),
        }

    def keep(self) -> Path:
        """Writes it, whole or not at all, where :mod:`jaxcnn.convolve.fence` looks."""
        path = fence.verdict_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            json.dump(self.to_json(), file, indent=1)
        os.replace(file.name, path)
        fence.verified_here.cache_clear()
        return path


def verify(
    draws: int,
    *,
    seed: int = 0,
    dtypes: tuple[str, ...] | None = None,
    asked: str = ASK,
    patience: float = 240,
    workers: int = 1,
    progress: Callable[[int], None] = lambda count: None,
) -> Verdict:
    """Puts drawn questions to oneDNN.

    Args:
      draws: how many.
      seed: of the draw; the same seed draws the same questions.
      dtypes: drawn from; all that the fence allows on this processor if None.
      asked: module:function that asks in oneDNN's place.
      patience: seconds without a sign of life after which a child counts as hung.
      workers: children at a time.
      progress: told how many more questions were put.
    """
    dtypes = dtypes or fence.dtypes()
    verdict = Verdict(isa={dtype: fence.instruction_set(dtype) for dtype in dtypes})
    start = time.monotonic()
    numbered = list(enumerate(islice(questions(seed, dtypes), draws)))
    for _, question in numbered:
        verdict.draws[question.dtype] += 1
    batches = [numbered[i : i + BATCH] for i in range(0, draws, BATCH)]
    with ThreadPoolExecutor(workers) as pool:
        for batch, outcomes in zip(
            batches,
            pool.map(lambda batch: list(_put(batch, asked, patience)), batches),
            strict=True,
        ):
            for question, implementation, failure in outcomes:
                verdict.implementations[f"{question.dtype} {implementation}"] += 1
                verdict.failures += [failure] if failure else []
            progress(len(batch))
    verdict.seconds = time.monotonic() - start
    return verdict


Outcome = tuple[Question, str, Failure | None]


@dataclass
class _Ended:
    """How a child ended, and what it reported: by number, the implementation and the complaint."""

    how: str
    detail: str
    finished: dict[int, tuple[str, str]]
    unfinished: int | None


def _put(batch: Numbered, asked: str, patience: float) -> Iterator[Outcome]:
    """The outcome of each question of the batch; where a child fails, of the rest in another."""
    while batch:
        table = dict(batch)
        ended = _child(batch, asked, patience)
        for number, (implementation, wrong) in ended.finished.items():
            yield _judged(table[number], implementation, wrong)
        if not ended.how:
            return
        yield _offender(batch, ended, asked, patience)
        done = {*ended.finished, ended.unfinished}
        batch = [pair for pair in batch if pair[0] not in done]


def _judged(question: Question, implementation: str, wrong: str) -> Outcome:
    failure = None
    if wrong:
        failure = Failure(repr(question), "wrong value", f"{wrong}, by {implementation}")
    elif not all(name.startswith(ACCEPTED) for name in implementation.split("+")):
        failure = Failure(repr(question), "implementation", implementation or "none named")
    return question, implementation, failure


def _offender(batch: Numbered, ended: _Ended, asked: str, patience: float) -> Outcome:
    """Which question ended the child: the one it was at, or one before that harmed its memory.

    Each is put alone; where none fails alone, the one it was at is named.
    """
    table = dict(batch)
    at = batch[0][0] if ended.unfinished is None else ended.unfinished
    for number in (at, *ended.finished):
        alone = _child([(number, table[number])], asked, patience)
        if alone.how:
            return (
                table[number],
                alone.how,
                Failure(repr(table[number]), alone.how, alone.detail),
            )
    detail = f"{ended.detail}; not when put alone"
    return table[at], ended.how, Failure(repr(table[at]), ended.how, detail)


def _child(batch: Numbered, asked: str, patience: float) -> _Ended:
    environment = {**os.environ, **CHILD_ENVIRONMENT, "ONEDNN_VERBOSE": "1"}
    command = [sys.executable, "-m", "jaxcnn.convolve._verify_child", asked]
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=told, stderr=errors, env=environment
        )
        assert child.stdin is not None
        try:
            with child.stdin as pipe:
                pipe.write(pickle.dumps(batch))
        except BrokenPipeError:  # it is told below how the child ended
            pass
        hung = not outlived(child, lambda: os.fstat(told.fileno()).st_size, patience)
        told.seek(0)
        errors.seek(0)
        finished, unfinished = _read(told.read().decode(errors="replace").splitlines())
        last = errors.read().decode(errors="replace").strip().splitlines()[-1:]
    if hung:
        return _Ended("hung", f"no answer in {patience:g} s", finished, unfinished)
    if child.returncode:
        detail = " ".join([f"exit code {child.returncode}", *last])
        return _Ended("died", detail, finished, unfinished)
    return _Ended("", "", finished, unfinished)


def outlived(child: subprocess.Popen[bytes], sign: Callable[[], int], patience: float) -> bool:
    """Waits for a child; False where ``sign`` did not change for so long that it was killed.

    Time is counted in our own turns, so that a pause of the whole machine is nobody's fault.
    """
    last, idle = sign(), 0.0
    while child.poll() is None:
        time.sleep(POLL)
        idle = 0.0 if sign() != last else idle + POLL
        last = sign()
        if idle >= patience:
            child.kill()
            child.wait()
            return False
    return True


def _read(lines: Iterable[str]) -> tuple[dict[int, tuple[str, str]], int | None]:
    """From a child's output: what it finished, and the number that it was at when it ended."""
    finished: dict[int, tuple[str, str]] = {}
    at, names = None, []
    for line in lines:
        mark, *words = line.split("\t")
        if mark == "jaxcnn" and words[0] == "begin":
            at, names = int(words[1]), []
        elif mark == "jaxcnn":
            finished[int(words[1])] = "+".join(names), words[2]
            at = None
        elif at is not None and any(f",exec,cpu,{name}," in line for name in PRIMITIVES):
            words = line.split(",")
            names.append(words[words.index("cpu") + 2])
    return finished, at
