"""oneDNN, by its own documented API: the one room that knows of the library.

``library`` finds it, loads it at its first use together with the shim that XLA calls (``shim.c``,
compiled by ``hatch_build.py``), and says why it may not be asked where that is so. The room lies
below ``convolve`` and imports only ``jaxcnn.errors``; importing it loads nothing.
"""

from jaxcnn.onednn.library import (
    SWITCH,
    closed_because,
    instruction_set,
    missing,
    onednn_closed,
    path,
    shim,
    switched_on,
    threads,
    version,
)

__all__ = [
    "SWITCH",
    "closed_because",
    "instruction_set",
    "missing",
    "onednn_closed",
    "path",
    "shim",
    "switched_on",
    "threads",
    "version",
]
