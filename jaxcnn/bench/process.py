"""Runs a contender in a fresh process, which times its calls and measures its memory.

XLA reads its flags once in a process, so different flags need different processes. A process that
has computed before also holds memory that the next call reuses, so memory is measured in a fresh
one.
An experimental XLA backend may crash its process; the benchmark reports that and goes on.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

from jaxcnn.bench.memory import peak_growth
from jaxcnn.bench.row import Row, row
from jaxcnn.bench.timing import time_once

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

    import numpy as np

TIMEOUT = 600.0
"""Seconds to wait for an answer before a process is abandoned."""

START_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
"""``forkserver`` starts each process with the libraries imported and JAX not initialised."""

WARM_UP = row("dense", 3, 32, 32, 32)
"""A row computed first, in the same direction, so that a library's one-off memory is not counted.

PyTorch's first gradient takes 33 MiB, whatever its size.
"""


class ContenderFailedError(Exception):
    """A contender cannot go on; the message says why.

    Attributes:
      name: the contender's name.
    """

    def __init__(self, name: str, why: str) -> None:
        super().__init__(why)
        self.name = name


@dataclass(frozen=True)
class Task:
    """The computation of a process.

    Attributes:
      name: the contender, a name that :func:`jaxcnn.bench.roster.make_contender` knows.
      row, direction, dtype: the problem.
      flags: XLA flags, appended to those of the environment.
    """

    name: str
    row: Row
    direction: str
    dtype: str
    flags: str = ""


@dataclass(frozen=True)
class FirstCall:
    """A contender's first call.

    Attributes:
      result: float32, in the row's layout; None if it was not requested.
      seconds: the duration of the call.
      peak: MiB, see :func:`jaxcnn.bench.memory.peak_growth`; None where it cannot be measured.
      compile_seconds, program: as in :class:`jaxcnn.bench.contenders.Contender`.
    """

    result: np.ndarray | None
    seconds: float
    peak: float | None
    compile_seconds: float | None
    program: str | None


class ContenderProcess:
    """The process of one task, until it is closed.

    >>> from jaxcnn.bench.row import row
    >>> task = Task("lax", row("dense", 3, 2, 4, 6), "forward", "float32")
    >>> with ContenderProcess(task) as contender:
    ...     contender.first_call().result.shape, len(contender.time_calls(0.1, calls=2))
    ((8, 6, 6, 4), 2)
    """

    def __init__(self, task: Task) -> None:
        context: Any = multiprocessing.get_context(START_METHOD)
        if START_METHOD == "forkserver":
            context.set_forkserver_preload(["jaxcnn.bench.roster", "torch"])
        self._name = task.name
        self._folder = TemporaryDirectory(prefix="jaxcnn-bench-")
        self._output = Path(self._folder.name) / "output"
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, str(self._output), task), daemon=True
        )
        with _isolated_start():
            self._process.start()
        theirs.close()

    def first_call(self, *, with_result: bool = True) -> FirstCall:
        """Compiles the contender and calls it once.

        Args:
          with_result: whether to return the computed numbers.

        Raises:
          ContenderFailedError: if the process crashed, hangs, or raised an error.
        """
        return self._request(("first_call", with_result))

    def time_calls(self, seconds: float, calls: int) -> list[float]:
        """:func:`jaxcnn.bench.timing.time_calls` in the process; raises like :meth:`first_call`."""
        return self._request(("time_calls", seconds, calls))

    def close(self) -> None:
        """Kills the process, whatever it is doing."""
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

    def _request(self, request: tuple[Any, ...]) -> Any:
        try:
            self._pipe.send(request)
            if not self._pipe.poll(TIMEOUT):
                raise ContenderFailedError(self._name, f"no answer in {TIMEOUT:.0f} s")
            answer = self._pipe.recv()
        except (EOFError, OSError):
            raise ContenderFailedError(self._name, self._reason_of_end()) from None
        if isinstance(answer, str):
            raise ContenderFailedError(self._name, answer)
        return answer

    def _reason_of_end(self) -> str:
        """How the process ended, with XLA's error message less its time and source line."""
        self._process.join()
        code = self._process.exitcode or 0
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        output = self._output.read_text(errors="replace") if self._output.exists() else ""
        complaint = re.search(r"^[EF]\d{4} [^]]*\] (.+)$", output, re.MULTILINE)
        return f"{how}: {complaint[1]}" if complaint else how


@contextmanager
def _isolated_start() -> Iterator[None]:
    """Processes started inside neither run the program's main script nor receive Ctrl-C."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    masked = hasattr(signal, "pthread_sigmask")  # child processes inherit the mask
    if masked:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        if masked:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _serve(pipe: Connection, output: str, task: Task) -> None:
    """The main function of the process: answers requests until the pipe closes."""
    with open(output, "w") as file:  # XLA and oneDNN write to the descriptors directly
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and kills this process
    with suppress(EOFError, BrokenPipeError):
        try:
            _answer(pipe, task)
        except Exception as error:
            pipe.send(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")


def _answer(pipe: Connection, task: Task) -> None:
    if task.flags:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {task.flags}"
    # Imported here, because JAX must not be initialised before the flags are set.
    from jaxcnn.bench.contenders import Contender, operands
    from jaxcnn.bench.roster import make_contender

    def make(row: Row) -> Contender:
        given = operands(row, task.dtype)
        return make_contender(task.name, row, task.direction, task.dtype, given)

    make(WARM_UP).call()
    contender = make(task.row)
    while True:
        request, *arguments = pipe.recv()
        if request == "time_calls":
            pipe.send(contender.time_calls(*arguments))
            continue
        (value, seconds), peak = peak_growth(lambda: time_once(contender.call))
        result = contender.result(value) if arguments[0] else None
        pipe.send(FirstCall(result, seconds, peak, contender.compile_seconds, contender.program))
        del value, result
