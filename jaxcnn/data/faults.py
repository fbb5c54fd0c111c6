"""Many faults of a data set, as one error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 20
"""The number of faults that a message lists."""


def refuse(where: object, faults: Sequence[str]) -> None:
    """Raises one InputError with all ``faults`` of the data at ``where``; none if there are none.

    >>> refuse("photos", ["cat/1.png: it is truncated", "dog: the folder has no pictures"])
    Traceback (most recent call last):
    jaxcnn.errors.InputError: photos cannot be used, for 2 reasons:
      cat/1.png: it is truncated
      dog: the folder has no pictures
    """
    if not faults:
        return
    if len(faults) == 1:
        raise InputError(f"{where} cannot be used: {faults[0]}")
    lines = list(faults[:MOST])
    if len(faults) > MOST:
        lines.append(f"and {len(faults) - MOST} more")
    raise InputError(f"{where} cannot be used, for {len(faults)} reasons:\n  " + "\n  ".join(lines))
