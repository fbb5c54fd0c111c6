"""The processes of a run end together: none waits for one that has ended.

A process that waits in a collective operation for one that was killed waits for ever, or until JAX
ends it with a stack trace. So a thread of each says every :data:`SECONDS` that its process lives,
through the key-value store of JAX's coordinator, and the first process reads who does.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import jax

from jaxcnn.train.processes import SharedError, reason

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 1.0
"""Seconds between signs of life."""

PATIENCE = 15.0
"""Seconds without a sign of life after which a process is taken for ended; JAX's are 30."""

DONE = "done"

_runs = count()


@contextmanager
def ends_together() -> Iterator[None]:
    """Ends all processes, with one line each, if one of them ends or raises inside the block.

    All must enter the block. A :class:`SharedError` ends none of them. The process in which another
    error is raised may handle it, but ends at its exit without JAX's own end, which would wait for
    the others.
    """
    if jax.process_count() == 1:
        yield
        return
    watch = _Watch(f"jaxcnn/{next(_runs)}")
    watch.start()
    try:
        yield
    except SharedError:
        raise
    except BaseException as error:
        if isinstance(error, jax.errors.JaxRuntimeError):
            watch.join(2 * PATIENCE)  # a collective operation may fail because another has ended
        watch.tell(f"process {jax.process_index()} has ended: {reason(error)}")
        atexit.register(_leave)
        raise
    finally:
        watch.stop()


class _Watch(threading.Thread):
    """Says that this process lives, and ends it when another has ended."""

    def __init__(self, prefix: str) -> None:
        super().__init__(daemon=True)
        from jax._src.distributed import global_state  # the store has no public name

        self.store: Any = global_state.client
        self.prefix, self.stopped = prefix, threading.Event()
        self.own = f"{prefix}/alive/{jax.process_index()}"
        self.seen: dict[str, tuple[str, float]] = {}

    def run(self) -> None:
        signs = count()
        while not self.stopped.wait(SECONDS):
            try:
                self.store.key_value_set(self.own, str(next(signs)), allow_overwrite=True)
                ended = self._ended()
            except jax.errors.JaxRuntimeError as error:
                ended = f"process 0 cannot be reached: {reason(error)}"
            if ended and not self.stopped.is_set():
                print(f"error: {ended}; resume the run", file=sys.stderr)
                _leave()

    def tell(self, line: str) -> None:
        """Tells the other processes why this one ends, unless another has told before."""
        with suppress(jax.errors.JaxRuntimeError):
            self.store.key_value_set(f"{self.prefix}/ended/why", line)

    def stop(self) -> None:
        """Ends the thread; this process is not missed any more."""
        self.stopped.set()
        self.join()
        with suppress(jax.errors.JaxRuntimeError):
            self.store.key_value_set(self.own, DONE, allow_overwrite=True)

    def _ended(self) -> str:
        """Why the run has ended; empty if it has not."""
        told = self.store.key_value_dir_get(f"{self.prefix}/ended")
        if told:
            return told[0][1]
        if jax.process_index():
            return ""
        now = time.monotonic()
        for key, sign in self.store.key_value_dir_get(f"{self.prefix}/alive"):
            if sign != self.seen.get(key, ("", 0.0))[0]:
                self.seen[key] = sign, now
            elif sign != DONE and now - self.seen[key][1] > PATIENCE:
                line = f"process {key.rpartition('/')[2]} has ended without a word"
                self.tell(line)
                return line
        return ""


def _leave() -> None:
    """Ends this process, the first one a little later than those that ask it why."""
    sys.stdout.flush()
    sys.stderr.flush()
    if jax.process_index() == 0:
        time.sleep(3 * SECONDS)
    os._exit(1)
