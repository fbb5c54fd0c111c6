"""Baselines: files of known findings, so that only new ones are reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from jaxcnn.inspect.lint import Report

_ADVICE = "name a file that --write-baseline wrote"


def write_baseline(report: Report, path: str | Path) -> None:
    """Writes the findings of a report to a file: the code, layer and message of each.

    Raises:
      InputError: if the file cannot be written.
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
    """The findings in a baseline, for :meth:`Report.without`.

    Raises:
      InputError: if the file cannot be read or is not a baseline.
    """
    try:
        known = json.loads(Path(path).read_text())["known"]
        return [(each["code"], each["layer"], each["message"]) for each in known]
    except FileNotFoundError as error:
        reason, advice = _reason(error), f"write one with --write-baseline {path}"
    except OSError as error:
        reason, advice = _reason(error), _ADVICE
    except (ValueError, KeyError, TypeError):  # do not advise overwriting a file of another kind
        reason, advice = "it has no findings", _ADVICE
    raise InputError(f"baseline {str(path)!r} cannot be read: {reason}; {advice}")


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
