"""How much memory a call needs: the peak of what the process holds, as Linux counts it."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")

Value = TypeVar("Value")


def peak_growth(call: Callable[[], Value]) -> tuple[Value, float | None]:
    """What the call gives, and by how many MiB the memory held rose at most while it ran.

    The process's peak resident set (VmHWM) is put back to what it holds now, and read again after
    the call: the result, temporaries, and whatever a library allocates by its own ways; not the
    operands, which are there before, nor the pages of program files that the call was the first to
    run (RssFile). Memory that was freed before is given back to the system first. What a library
    has kept from an earlier call, and uses again, is not seen: so this is meant for a program's
    first call, in a process that has done little before; of that it counts all that is kept.

    Linux adds its counts up now and then, for each processor apart: some hundred KiB may be
    missing. None on other systems, or where /proc does not let a process put its peak back.
    """
    gc.collect()
    _give_back()
    if not memory_is_counted():
        return call(), None
    before = _kib()
    value = call()
    after = _kib()
    files = after["RssFile"] - before["RssFile"]
    return value, max(0, after["VmHWM"] - before["VmRSS"] - files) / 1024


def memory_is_counted() -> bool:
    """Whether this system lets a process count; it puts the peak back to what is held now."""
    try:
        RESET.write_text("5")
    except OSError:
        return False
    return {"VmHWM", "VmRSS", "RssFile"} <= set(_kib())


def _give_back() -> None:
    """Gives free memory of the C library's heap back to the system, where it is glibc's."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


def _kib() -> dict[str, int]:
    """Linux's counts of this process's memory."""
    lines = (line.split() for line in STATUS.read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) for words in lines if words[-1:] == ["kB"]}
