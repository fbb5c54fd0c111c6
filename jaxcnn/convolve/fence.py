"""Where oneDNN may be asked: a closed list, because what it cannot do ends the process.

Nothing here is an opinion about speed. A problem passes where the machine, the jaxlib and the
shape are among those that drawn problems in child processes have shown to be served, rightly, by
oneDNN's ``brg*`` and ``jit*`` implementations (:mod:`jaxcnn.convolve.verify`).
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path

from jaxcnn.convolve.problem import Problem

VERIFIED_JAXLIB = ("0.10.2",)
"""Versions for which ``jaxcnn doctor --verify`` has passed its full draw."""

SWITCH = "JAXCNN_ONEDNN"

_closed_by_hand = False


@contextmanager
def onednn_closed() -> Iterator[None]:
    """Inside, nothing that is compiled asks oneDNN; the Python form of ``JAXCNN_ONEDNN=0``.

    What was compiled before keeps what it has.

    >>> with onednn_closed():
    ...     closed_because()
    'closed by onednn_closed()'
    """
    global _closed_by_hand
    before, _closed_by_hand = _closed_by_hand, True
    try:
        yield
    finally:
        _closed_by_hand = before


def closed_because() -> str | None:
    """Why oneDNN may not be asked in this process; None where it may."""
    if _closed_by_hand:
        return "closed by onednn_closed()"
    if os.environ.get(SWITCH, "1") == "0":
        return f"closed by {SWITCH}=0"
    return machine_lacks() or jaxlib_unverified()


@cache
def machine_lacks() -> str | None:
    """What keeps this machine from it whatever the jaxlib."""
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "AMD64"):
        return f"the jaxlib for {platform.system()} {platform.machine()} does not carry it"
    if "avx2" not in processor_features():
        return "the processor has no AVX2"
    return None


def jaxlib_unverified() -> str | None:
    """Whether this jaxlib is on the list, or on the user's own."""
    installed = version("jaxlib")
    if installed in VERIFIED_JAXLIB or installed in verified_here():
        return None
    return f"jaxlib {installed} is not verified; run `jaxcnn doctor --verify`"


@cache
def processor_features() -> frozenset[str]:
    """The processor's flags, as Linux names them; less, where oneDNN was told to use less."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return frozenset()
    lines = (line for line in info.read_text().splitlines() if line.startswith("flags"))
    flags = frozenset(next(lines, "").split(":")[-1].split())
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    if limit in ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2"):
        flags = frozenset(flag for flag in flags if not flag.startswith("avx512"))
    if limit in ("SSE41", "AVX"):
        flags -= {"avx2"}
    return flags


def cache_folder() -> Path:
    """Where verdicts and tunings of this user are kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "jaxcnn"


def verified_here() -> tuple[str, ...]:
    """The jaxlib versions that this user has verified on this machine."""
    folder = cache_folder() / "onednn"
    try:
        return tuple(sorted(path.name for path in folder.iterdir()))
    except OSError:
        return ()


def refuses(problem: Problem) -> str | None:
    """Why a convolution may not go to oneDNN; None where it may."""
    return closed_because() or refuses_dtype(problem.dtype) or refuses_shape(problem)


def refuses_product(problem: Problem) -> str | None:
    """Why a matrix product may not."""
    return closed_because() or refuses_dtype(problem.dtype)


def refuses_dtype(dtype: str) -> str | None:
    """float32, and bfloat16 where the processor has AVX-512."""
    if dtype == "float32":
        return None
    if dtype == "bfloat16" and {"avx512bw", "avx512vl", "avx512dq"} <= processor_features():
        return None
    return f"dtype {dtype} on this processor"


def refuses_shape(problem: Problem) -> str | None:
    """The shapes on the list of hazards."""
    c, _ = problem.group_channels
    if not 1 <= problem.axes <= 3:
        return f"{problem.axes} spatial axes"
    if problem.groups > 1 and set(problem.dilation) != {1}:
        return "groups with dilation (gemm:jit, which can hang)"
    if problem.dtype == "bfloat16" and problem.groups > 1 and c > 1 and c % 16:
        return "bfloat16 with channels in a group that are no multiple of 16 (gemm:jit)"
    return None
