"""oneDNN through its own documented API.

``library`` finds the shared library and loads it at its first use, together with the shim that XLA
calls (``shim.c``, compiled by ``hatch_build.py``); if it cannot be used, ``library`` says why.
``primitives`` describes a convolution for it, asks whether it is supported, and calls it;
``faults`` knows what oneDNN computes wrongly. The only user is
``jaxcnn/convolve/algorithms/kernels/onednn.py``. Imports ``jaxcnn.errors`` alone; importing the
package loads no library.
"""

from jaxcnn.onednn.library import (
    SWITCH,
    instruction_set,
    missing,
    onednn_closed,
    path,
    shim,
    switched_on,
    threads,
    unavailable_reason,
    version,
)

__all__ = [
    "SWITCH",
    "instruction_set",
    "missing",
    "onednn_closed",
    "path",
    "shim",
    "switched_on",
    "threads",
    "unavailable_reason",
    "version",
]
