"""Ctrl-C and SIGTERM as a flag, so that a run ends between two programs."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)

received: int | None = None
"""The last signal that set a flag in this process, for its exit code."""


@contextmanager
def interruption() -> Iterator[Callable[[], bool]]:
    """Turns the first Ctrl-C or SIGTERM inside the block into a flag; a second acts as usual.

    A flag rather than an exception: one raised inside a callback of XLA would be swallowed.
    """
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag.is_set
        return

    def on_first(number: int, _frame: object) -> None:
        global received  # a process has one exit code
        received = number
        flag.set()
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, on_first) for number in SIGNALS}
    try:
        yield flag.is_set
    finally:
        restore()
