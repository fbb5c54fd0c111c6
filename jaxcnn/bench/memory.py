"""The memory a call needs: the growth of the process's peak resident set, as Linux counts it."""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")

Value = TypeVar("Value")


def peak_growth(call: Callable[[], Value]) -> tuple[Value, float | None]:
    """Calls ``call``; returns its result and the growth of the peak memory meanwhile, in MiB.

    Resets the process's peak resident set (VmHWM) to the current one, and reads it after the call.
    The growth includes the result, temporaries, and anything a library allocates by its own means.
    It excludes the operands, which exist before the call, and pages of program files that the call
    is the first to execute (RssFile). Freed memory goes back to the system before the call. Memory
    that a library has kept from an earlier call and reuses is invisible, so measure the first call
    of a fresh process.

    Linux updates its counts only now and then, separately for each processor; some hundred KiB may
    be missing. The growth is None on other systems, and where /proc does not allow the reset.
    """
    gc.collect()
    _release_free_memory()
    if not memory_is_counted():
        return call(), None
    before = _memory_kib()
    value = call()
    after = _memory_kib()
    files = after["RssFile"] - before["RssFile"]
    return value, max(0, after["VmHWM"] - before["VmRSS"] - files) / 1024


def memory_is_counted() -> bool:
    """Resets the peak to the current memory; returns whether this system allows that."""
    try:
        RESET.write_text("5")
    except OSError:
        return False
    return {"VmHWM", "VmRSS", "RssFile"} <= set(_memory_kib())


def _release_free_memory() -> None:
    """Returns free memory of the C library's heap to the system, if the library is glibc."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


def _memory_kib() -> dict[str, int]:
    """Linux's memory counts of this process."""
    lines = (line.split() for line in STATUS.read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) for words in lines if words[-1:] == ["kB"]}
