"""Findings that are known and accepted, kept in a file, so that only new ones are reported."""

from __future__ import annotations

import json
from pathlib import Path

from jaxcnn.errors import InputError
from jaxcnn.inspect.lint import Report

_WRITTEN = "name a file that --write-baseline wrote"


def write_baseline(report: Report, path: str | Path) -> None:
    """Writes down a report's findings as known: for each its code, layer and message.

    Raises:
      InputError: where no such file can be written.
    """
    known = [
        dict(zip(("code", "layer", "message"), finding.key, strict=True))
        for finding in report.findings
    ]
    try:
        Path(path).write_text(json.dumps({"known": known}, indent=2) + "\n")
    except OSError as error:
        raise InputError(
            f"baseline {str(path)!r} cannot be written: {_reason(error)}; name a file in a folder "
            f"that exists"
        ) from None


def read_baseline(path: str | Path) -> list[tuple[str, str, str]]:
    """The findings in such a file, for :meth:`Report.without`.

    Raises:
      InputError: where there is no such file, or it is no baseline.
    """
    try:
        known = json.loads(Path(path).read_text())["known"]
        return [(each["code"], each["layer"], each["message"]) for each in known]
    except FileNotFoundError as error:
        reason, advice = _reason(error), f"write one with --write-baseline {path}"
    except OSError as error:
        reason, advice = _reason(error), _WRITTEN
    except (ValueError, KeyError, TypeError):  # perhaps a file of another kind, not to be lost
        reason, advice = "it holds no findings", _WRITTEN
    raise InputError(f"baseline {str(path)!r} cannot be read: {reason}; {advice}")


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
