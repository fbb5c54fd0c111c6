"""Several processes that train one run: what one does for all, and what all must agree on."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import numpy as np
from jax.experimental.multihost_utils import broadcast_one_to_all, process_allgather

from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

BLOCK = 1024  # bytes: answers of any length up to this share a compiled program


def on_first_process(function: Callable[[], T]) -> T:
    """Calls ``function`` in the first process; all processes get its result, or its error.

    All must call this. None goes on before the first is done.

    Args:
      function: a function whose result is JSON.

    Raises:
      InputError: (a ValueError) in all processes, if ``function`` raises an OSError or a
        ValueError; a single process gets the error itself.

    >>> on_first_process(lambda: [1, 2])
    [1, 2]
    """
    if jax.process_count() == 1:
        return function()
    answer: dict[str, Any] = {}
    if jax.process_index() == 0:
        try:
            answer = {"result": function()}
        except (OSError, ValueError) as error:
            answer = {"error": reason(error)}
    text = json.dumps(answer).encode()
    blocks = int(broadcast_one_to_all(np.int32(-(-len(text) // BLOCK))))
    padded = np.frombuffer(text.ljust(blocks * BLOCK)[: blocks * BLOCK], np.uint8)
    answer = json.loads(bytes(broadcast_one_to_all(padded)))
    if "error" in answer:
        raise InputError(answer["error"])
    return answer["result"]


def reason(error: OSError | ValueError) -> str:
    """The reason why a file cannot be written, in a few words, or else the error's first line.

    >>> reason(ValueError("INTERNAL: a long text: No space left on device [os_error_code='28']"))
    'No space left on device'
    """
    known = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.ENOENT, errno.EIO)
    reasons = (os.strerror(number) for number in known)
    text = str(error)  # TensorStore raises ValueErrors
    return next((words for words in reasons if words in text), text.partition("\n")[0])


def any_process(*flags: bool) -> tuple[bool, ...]:
    """Each flag, true if it is in any process; all must call this.

    >>> any_process(True, False)
    (True, False)
    """
    if jax.process_count() == 1:
        return flags
    found = np.asarray(process_allgather(np.array(flags)))
    return tuple(bool(flag) for flag in np.atleast_1d(found.any(axis=0)))
