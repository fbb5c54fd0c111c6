"""The command line: one thin file for each command; no other package imports this one.

Exit codes:

    0    success
    1    ``lint`` has findings
    2    a usage error, impossible sizes, an unusable file, a wrong result in ``bench``, or a
         missing package of an extra
    130  stopped by Ctrl-C
    143  stopped by SIGTERM
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from jaxcnn.extra import MissingExtraError, requires_extra

__all__ = ["main"]


def main() -> None:
    """Runs the command line.

    A missing package of an extra is one line and exit code 2. Ctrl-C ends the program at once with
    exit code 130; ``train`` saves its run first, and ``bench`` prints its results.
    """
    default = signal.default_int_handler
    # Only the main thread may set a handler; a shell's `jaxcnn ... &` ignores Ctrl-C.
    stops = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is default
    )
    if stops:
        signal.signal(signal.SIGINT, _stop)
    try:
        with requires_extra("the command line"):
            from jaxcnn.cli.commands import run  # here, because typer is an optional package

            run()
    except MissingExtraError as error:
        print(f"jaxcnn: {error}", file=sys.stderr)
        sys.exit(2)
    finally:
        if stops:
            signal.signal(signal.SIGINT, default)


def _stop(_number: int, _frame: object) -> None:
    """Ends the program.

    An exception would be swallowed, with a traceback, in a callback of XLA, or crash its start.
    """
    for stream in (1, 2):
        if os.isatty(stream):
            os.write(stream, b"\x1b[?25h\n")  # a bar hides the cursor
            break
    os._exit(130)
