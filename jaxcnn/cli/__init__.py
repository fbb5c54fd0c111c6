"""The command line: one thin file for each command; no other package imports this one.

Exit codes:

    0    success
    1    ``lint`` has findings
    2    a usage error, impossible sizes, an unusable file, a wrong result in ``bench``, or a
         missing package of an extra
    130  stopped by Ctrl-C
"""

from __future__ import annotations

import sys

from jaxcnn.extra import MissingExtraError, requires_extra

__all__ = ["main"]


def main() -> None:
    """Runs the command line.

    A missing package of an extra is one line and exit code 2; Ctrl-C is exit code 130.
    """
    try:
        with requires_extra("the command line"):
            from jaxcnn.cli.commands import run  # here, because typer is an optional package

            run()
    except MissingExtraError as error:
        print(f"jaxcnn: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
