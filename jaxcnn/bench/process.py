"""A contender in a fresh process of its own, which measures its memory and takes turns when asked.

XLA reads its flags once a process, so that one with other flags needs another; and a process that
has computed something before holds memory which the next call need not ask for. What XLA offers as
an experiment may end the process: that is told, and is not the end of the run.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType, TracebackType
from typing import Any

import numpy as np

from jaxcnn.bench.memory import peak_growth
from jaxcnn.bench.row import Row, row
from jaxcnn.bench.timing import once

PATIENCE = 600.0
"""Seconds after which a process that says nothing is ended."""

METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
"""The former has the libraries imported, and JAX not yet started, when a process begins."""

WARM_UP = row("dense", 3, 32, 32, 32)
"""Computed before, in the same direction: what a library needs once is no row's memory.

PyTorch's first gradient takes 33 MiB, whatever its size.
"""


class ContenderFailedError(Exception):
    """A contender cannot go on.

    Attributes:
      name: the contender's; the message says why.
    """

    def __init__(self, name: str, why: str) -> None:
        super().__init__(why)
        self.name = name


@dataclass(frozen=True)
class Task:
    """What a process computes.

    Attributes:
      name: one of the names that :func:`jaxcnn.bench.roster.contender` knows.
      row, direction, dtype: the problem.
      flags: for XLA, besides those of the environment.
    """

    name: str
    row: Row
    direction: str
    dtype: str
    flags: str = ""


@dataclass(frozen=True)
class First:
    """The first call.

    Attributes:
      result: in the row's layout, float32; None where it was not asked for.
      seconds: what the call took.
      peak: MiB, see :func:`jaxcnn.bench.memory.peak_growth`; None where the system does not say.
      compile_seconds, program: as in :class:`jaxcnn.bench.contenders.Contender`.
    """

    result: np.ndarray | None
    seconds: float
    peak: float | None
    compile_seconds: float | None
    program: str | None


class ContenderProcess:
    """The contender of a task, in its process until it is closed.

    >>> from jaxcnn.bench.row import row
    >>> task = Task("lax", row("dense", 3, 2, 4, 6), "forward", "float32")
    >>> with ContenderProcess(task) as contender:
    ...     contender.first().result.shape, len(contender.turn(0.1, calls=2))
    ((8, 6, 6, 4), 2)
    """

    def __init__(self, task: Task) -> None:
        context: Any = multiprocessing.get_context(METHOD)
        if METHOD == "forkserver":
            context.set_forkserver_preload(["jaxcnn.bench.roster", "torch"])
        self._name = task.name
        self._folder = TemporaryDirectory(prefix="jaxcnn-bench-")
        self._said = Path(self._folder.name) / "said"
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, str(self._said), task), daemon=True
        )
        with _undisturbed():
            self._process.start()
        theirs.close()

    def first(self, *, result: bool = True) -> First:
        """Compiles, and calls once.

        Args:
          result: whether the numbers are wanted.

        Raises:
          ContenderFailedError: where the process died, hangs, or says that it cannot.
        """
        return self._ask(("first", result))

    def turn(self, seconds: float, calls: int) -> list[float]:
        """As :func:`jaxcnn.bench.timing.turn` there; raises what :meth:`first` raises."""
        return self._ask(("turn", seconds, calls))

    def close(self) -> None:
        """Ends the process, whatever it does."""
        self._process.kill()
        self._process.join()
        self._pipe.close()
        self._folder.cleanup()

    def __enter__(self) -> ContenderProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, question: tuple[Any, ...]) -> Any:
        try:
            self._pipe.send(question)
            if not self._pipe.poll(PATIENCE):
                raise ContenderFailedError(self._name, f"no answer in {PATIENCE:.0f} s")
            answer = self._pipe.recv()
        except (EOFError, OSError):
            raise ContenderFailedError(self._name, self._last_words()) from None
        if isinstance(answer, str):
            raise ContenderFailedError(self._name, answer)
        return answer

    def _last_words(self) -> str:
        """How the process ended, and XLA's complaint, without its time and place."""
        self._process.join()
        code = self._process.exitcode or 0
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        said = self._said.read_text(errors="replace") if self._said.exists() else ""
        complaint = re.search(r"^[EF]\d{4} [^]]*\] (.+)$", said, re.MULTILINE)
        return f"{how}: {complaint[1]}" if complaint else how


@contextmanager
def _undisturbed() -> Iterator[None]:
    """While it lasts, no process that is started runs the program's main script, or sees Ctrl-C."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    masked = hasattr(signal, "pthread_sigmask")  # where it is, the processes have the mask too
    if masked:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        if masked:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _serve(pipe: Connection, said: str, task: Task) -> None:
    """What the process does: answers until nobody asks any more."""
    with open(said, "w") as file:  # XLA and oneDNN write to these by themselves
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who asks, and ends this one
    with suppress(EOFError, BrokenPipeError):
        try:
            _answer(pipe, task)
        except Exception as error:
            pipe.send(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")


def _answer(pipe: Connection, task: Task) -> None:
    if task.flags:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {task.flags}"
    from jaxcnn.bench.contenders import Contender, operands
    from jaxcnn.bench.roster import contender

    def make(row: Row) -> Contender:
        return contender(task.name, row, task.direction, task.dtype, operands(row, task.dtype))

    make(WARM_UP).call()
    made = make(task.row)
    while True:
        asked, *words = pipe.recv()
        if asked == "turn":
            pipe.send(made.turn(*words))
            continue
        (got, seconds), peak = peak_growth(lambda: once(made.call))
        result = made.result(got) if words[0] else None
        pipe.send(First(result, seconds, peak, made.compile_seconds, made.program))
        del got, result
