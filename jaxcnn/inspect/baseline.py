"""Findings that are known and accepted, kept in a file, so that only new ones are reported."""

from __future__ import annotations

import json
from pathlib import Path

from jaxcnn.errors import InputError
from jaxcnn.inspect.lint import Report


def write_baseline(report: Report, path: str | Path) -> None:
    """Writes down a report's findings as known: for each its code, layer and message."""
    known = [
        dict(zip(("code", "layer", "message"), finding.key, strict=True))
        for finding in report.findings
    ]
    Path(path).write_text(json.dumps({"known": known}, indent=2) + "\n")


def read_baseline(path: str | Path) -> list[tuple[str, str, str]]:
    """The findings in such a file, for :meth:`Report.without`.

    Raises:
      InputError: where there is no such file, or it is no baseline.
    """
    try:
        known = json.loads(Path(path).read_text())["known"]
        return [(each["code"], each["layer"], each["message"]) for each in known]
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except (ValueError, KeyError, TypeError):
        reason = "it holds no findings"
    raise InputError(
        f"baseline {str(path)!r} cannot be read: {reason}; write one with --write-baseline {path}"
    )
