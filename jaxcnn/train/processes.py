"""Several processes that train one run: what one does for all, and what all must agree on."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import socket
import time
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import numpy as np
from jax.experimental.multihost_utils import broadcast_one_to_all, process_allgather

from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

BLOCK = 1024  # bytes: answers of any length up to this share a compiled program

JOIN_SECONDS = 300
"""Seconds in which the processes of a run must find each other."""

HEARTBEAT_SECONDS = 30
"""Seconds without a sign of life after which JAX ends the other processes."""


class SharedError(InputError):
    """An error that all processes of a run raise."""


def on_first_process(function: Callable[[], T]) -> T:
    """Calls ``function`` in the first process; all processes get its result, or its error.

    All must call this. None goes on before the first is done.

    Args:
      function: a function whose result is JSON.

    Raises:
      SharedError: (an InputError) in all processes, if ``function`` raises an OSError or a
        ValueError; a single process gets the error itself.

    >>> on_first_process(lambda: [1, 2])
    [1, 2]
    """
    if jax.process_count() == 1:
        return function()
    answer: dict[str, Any] = {}
    if jax.process_index() == 0:
        try:
            answer = {"result": function()}
        except (OSError, ValueError) as error:
            answer = {"error": reason(error)}
    answer = _sent(answer, 0)
    if "error" in answer:
        raise SharedError(answer["error"])
    return answer["result"]


def _sent(answer: Any, source: int) -> Any:
    """The answer of process ``source``, JSON, in all processes."""
    text, sends = json.dumps(answer).encode(), jax.process_index() == source
    blocks = int(broadcast_one_to_all(np.int32(-(-len(text) // BLOCK)), is_source=sends))
    padded = np.frombuffer(text.ljust(blocks * BLOCK)[: blocks * BLOCK], np.uint8)
    return json.loads(bytes(broadcast_one_to_all(padded, is_source=sends)))


def on_every_process(function: Callable[[], T]) -> T:
    """Calls ``function`` in all processes; if it fails in one, all get an error.

    Raises:
      InputError: (a ValueError) if it failed in another process; the process in which it failed
        gets the error itself.

    >>> on_every_process(lambda: 3)
    3
    """
    if jax.process_count() == 1:
        return function()
    error, result = None, None
    try:
        result = function()
    except BaseException as raised:  # Ctrl-C, too: the others must not wait for this process
        error = raised
    failed = np.flatnonzero(process_allgather(np.array(error is not None)))
    if len(failed):
        first = int(failed[0])
        words = _sent("" if error is None else reason(error), first)
        raise error or InputError(f"in process {first}: {words}")
    return result  # type: ignore[return-value]  # nothing was raised


def require_same(texts: Mapping[str, str]) -> None:
    """Raises in all processes if a text is not the same in all of them.

    Args:
      texts: what must be the same, by the name of what it describes.

    Raises:
      InputError: (a ValueError) with the name and the processes that differ.

    >>> require_same({"settings": "{}"})
    """
    if jax.process_count() == 1:
        return
    digests = [hashlib.sha256(text.encode()).digest() for text in texts.values()]
    own = np.frombuffer(b"".join(digests), np.uint8).reshape(len(texts), -1)
    found = np.asarray(process_allgather(own))
    for place, name in enumerate(texts):
        other = np.flatnonzero((found[:, place] != found[0, place]).any(axis=-1))
        if len(other):
            listed = ", ".join(map(str, other))
            raise InputError(
                f"the {name} of process {listed} are not those of process 0; start all processes "
                f"with the same"
            )


def reason(error: BaseException) -> str:
    """The reason why a file cannot be written, in a few words, or else the error's first line.

    >>> reason(ValueError("INTERNAL: a long text: No space left on device [os_error_code='28']"))
    'No space left on device'
    """
    known = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.ENOENT, errno.EIO)
    reasons = (os.strerror(number) for number in known)
    text = str(error) or type(error).__name__  # TensorStore raises ValueErrors
    return next((words for words in reasons if words in text), text.partition("\n")[0])


def any_process(*flags: bool) -> tuple[bool, ...]:
    """Each flag, true if it is in any process; all must call this.

    >>> any_process(True, False)
    (True, False)
    """
    if jax.process_count() == 1:
        return flags
    found = np.asarray(process_allgather(np.array(flags)))
    return tuple(bool(flag) for flag in np.atleast_1d(found.any(axis=0)))


def join(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> None:
    """Joins the processes of one run; all must call this before anything else of JAX.

    Args:
      coordinator: the first process's ``host:port``; None where JAX itself finds the three, from
        SLURM, Open MPI, Kubernetes or a cloud's TPUs.
      processes: how many there are.
      process: the number of this one, from 0.

    Raises:
      InputError: (a ValueError) if JAX finds no cluster, if an argument is missing or out of range,
        or if the processes do not find each other.
    """
    given = {"coordinator": coordinator, "processes": processes, "process": process}
    lacking = [name for name, value in given.items() if value is None]
    if 0 < len(lacking) < 3:
        raise InputError(
            f"{', '.join(name for name in given if name not in lacking)} given without "
            f"{' and '.join(lacking)}; give all three, or none where JAX detects the cluster"
        )
    if coordinator is not None and processes is not None and process is not None:
        if not 0 <= process < processes:
            raise InputError(
                f"process {process} of processes {processes}; they are numbered from 0 to "
                f"{processes - 1}"
            )
        _reach(coordinator, wait=process > 0)
    try:
        jax.config.update("jax_enable_preemption_service", False)  # `interruption` takes SIGTERM
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
            initialization_timeout=JOIN_SECONDS,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except ValueError:
        raise InputError(
            "JAX detects no cluster (SLURM, Open MPI, Kubernetes, TPU); give coordinator, "
            "processes and process"
        ) from None
    except RuntimeError as error:
        raise InputError(f"the processes cannot join: {reason(error)}") from None


def _reach(coordinator: str, *, wait: bool) -> None:
    """Raises if the coordinator cannot be reached: JAX would abort the program, with a stack trace.

    Args:
      coordinator: ``host:port``.
      wait: whether to wait until it listens.
    """
    match = re.fullmatch(r"(.+):(\d+)", coordinator)
    if match is None:
        raise InputError(f"coordinator {coordinator!r} is not host:port, as in 10.0.0.1:1234")
    end = time.monotonic() + JOIN_SECONDS
    while wait:
        try:
            socket.create_connection((match[1].strip("[]"), int(match[2])), timeout=10).close()
            return
        except (OSError, OverflowError) as error:
            if not isinstance(error, ConnectionError | TimeoutError) or time.monotonic() > end:
                raise InputError(f"coordinator {coordinator} cannot be reached ({error})") from None
            time.sleep(0.2)
