"""Access to oneDNN through its documented API.

``library`` finds the shared library and loads it at first use, together with the shim that XLA
calls (``shim.c``, compiled by ``hatch_build.py``); if oneDNN cannot be used, it reports why.
``primitives`` describes a convolution for oneDNN, queries whether it is supported, and calls it.
``faults`` lists the convolutions that oneDNN computes wrongly. The only user is
``jaxcnn/convolve/algorithms/kernels/onednn.py``. This package imports only ``jaxcnn.errors``, and
its import loads no library.
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
