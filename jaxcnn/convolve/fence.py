"""Where oneDNN may be asked: a closed list, because what it cannot do ends the process.

Nothing here is an opinion about speed. A problem passes where the machine, the jaxlib and the
shape are among those that drawn problems in child processes have shown to be served, rightly, by
oneDNN's ``brg*`` and ``jit*`` implementations (:mod:`jaxcnn.convolve.verify`).
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path

from jaxcnn.convolve.problem import Problem
from jaxcnn.errors import InputError

CPUINFO = Path("/proc/cpuinfo")
SWITCH = "JAXCNN_ONEDNN"

LIST = Path(__file__).with_name("verified.json")
"""The runs of ``jaxcnn doctor --verify`` that stand behind the list."""

FEWEST_DRAWS = 2000
"""Questions of a dtype that a user's own run must have put, to open what the list leaves closed."""

_LIMITS = {
    "SSE41": "avx avx2 avx_vnni avx512 amx",
    "AVX": "avx2 avx_vnni avx512 amx",
    "AVX2": "avx_vnni avx512 amx",
    "AVX2_VNNI": "avx512 amx",
    "AVX2_VNNI_2": "avx512 amx",
    "AVX512_CORE": "avx512_bf16 avx512_fp16 amx",
    "AVX512_CORE_VNNI": "avx512_bf16 avx512_fp16 amx",
    "AVX512_CORE_BF16": "avx512_fp16 amx",
    "AVX512_CORE_FP16": "amx",
}
"""What ``ONEDNN_MAX_CPU_ISA`` takes away, as beginnings of Linux's names."""

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
    if not switched_on():
        return f"closed by {SWITCH}={os.environ[SWITCH]}"
    return machine_lacks() or jaxlib_unverified()


def switched_on() -> bool:
    """What ``JAXCNN_ONEDNN`` says: 1, true, on, yes or nothing; 0, false, off or no to close it.

    Raises:
      InputError: (a ValueError) where it says something else.
    """
    said = os.environ.get(SWITCH, "").strip()
    if said.lower() in ("", "1", "true", "on", "yes"):
        return True
    if said.lower() in ("0", "false", "off", "no"):
        return False
    raise InputError(f"{SWITCH}={said} in the environment is neither yes nor no; set it to 1 or 0")


@cache
def machine_lacks() -> str | None:
    """What keeps this machine from it whatever the jaxlib."""
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "AMD64"):
        return f"the jaxlib for {platform.system()} {platform.machine()} does not carry it"
    if "avx2" not in processor_features():
        return "the processor has no AVX2"
    return None


def jaxlib_unverified() -> str | None:
    """Whether this jaxlib is on the list, or on the user's own, for any dtype."""
    if verified() or verified_here():
        return None
    return f"jaxlib {version('jaxlib')} is not verified; run `jaxcnn doctor --verify`"


@cache
def verified() -> frozenset[tuple[str, str]]:
    """(dtype, instruction set) of the list's runs with the installed jaxlib."""
    runs = [run for run in json.loads(LIST.read_text()) if run["jaxlib"] == version("jaxlib")]
    return frozenset(pair for run in runs for pair in run["isa"].items() if not run["failures"])


@cache
def processor_features() -> frozenset[str]:
    """The processor's flags, as Linux names them; less, where oneDNN was told to use less."""
    if not CPUINFO.exists():
        return frozenset()
    lines = (line for line in CPUINFO.read_text().splitlines() if line.startswith("flags"))
    flags = frozenset(next(lines, "").split(":")[-1].split())
    # oneDNN reads the older name where the newer is not set.
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", ""))
    taken = tuple(_LIMITS.get(limit.upper(), "").split())
    exact = "avx" in taken
    return frozenset(
        flag
        for flag in flags
        if not (flag.startswith(tuple(t for t in taken if t != "avx")) or (exact and flag == "avx"))
    )


def instruction_set(dtype: str) -> str:
    """What oneDNN computes a dtype with on this processor, by its own name; empty for nothing."""
    features = processor_features()
    if not {"avx512bw", "avx512vl", "avx512dq"} <= features:
        return "avx2" if dtype == "float32" and "avx2" in features else ""
    if dtype == "float32":
        return "avx512_core"
    if dtype != "bfloat16" or "avx512_bf16" not in features:
        return ""  # bfloat16 imitated by float32 instructions falls back on gemm:jit too often
    return "avx512_core_amx" if "amx_bf16" in features else "avx512_core_bf16"


def dtypes() -> tuple[str, ...]:
    """Those that oneDNN has instructions for here."""
    return tuple(dtype for dtype in ("float32", "bfloat16") if instruction_set(dtype))


def cache_folder() -> Path:
    """Where verdicts and tunings of this user are kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "jaxcnn"


def verdict_file() -> Path:
    """Where the user's verdict on this jaxlib is kept: one for each set of vector instructions."""
    vector = sorted(f for f in processor_features() if f.startswith(("avx", "amx")))
    digest = hashlib.sha256(" ".join(vector).encode()).hexdigest()[:12]
    return cache_folder() / "onednn" / f"{version('jaxlib')}-{digest}.json"


@cache
def verified_here() -> frozenset[tuple[str, str]]:
    """(dtype, instruction set) that the user's own run has found sound on this machine."""
    try:
        run = json.loads(verdict_file().read_text())
        if run["failures"]:
            return frozenset()
        pairs = run["isa"].items()
        return frozenset(pair for pair in pairs if run["draws"].get(pair[0], 0) >= FEWEST_DRAWS)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # No verdict, or a file that is none.
        return frozenset()


def refuses(problem: Problem) -> str | None:
    """Why a convolution may not go to oneDNN; None where it may."""
    return closed_because() or refuses_dtype(problem.dtype) or refuses_shape(problem)


def refuses_product(problem: Problem) -> str | None:
    """Why a matrix product may not."""
    return closed_because() or refuses_dtype(problem.dtype) or no_products(problem.dtype)


def no_products(dtype: str) -> str | None:
    """Matrix products have kernels of their own (brg) from AVX-512 on."""
    if instruction_set(dtype) == "avx2":
        return "matrix products below AVX-512 (gemm:jit)"
    return None


def takes_channels_first(dtype: str) -> bool:
    """Whether images may be given channels first: in bfloat16 and below AVX-512 gemm:jit serves."""
    return dtype == "float32" and instruction_set(dtype) != "avx2"


def refuses_dtype(dtype: str) -> str | None:
    """What this processor has no instructions for, or instructions that nobody has verified."""
    isa = instruction_set(dtype)
    if not isa:
        return f"dtype {dtype} on this processor"
    if (dtype, isa) not in verified() | verified_here():
        return (
            f"jaxlib {version('jaxlib')} is not verified for {dtype} with {isa}; "
            f"run `jaxcnn doctor --verify`"
        )
    return None


MOST_PADDING = 16
"""Cells on one side: the unrolled kernels need it inside one block of registers."""

MOST_TAPS = 2**14
"""Taps of a dense filter on a handful of channels, which the kernels unroll."""

MOST_EXTENT = 64
"""Cells of a depthwise window on a single axis."""

MOST_COLUMNS = 14
"""Taps of a bfloat16 filter on an axis. Of depthwise ones on the last axis, from 15 on and from 32
outputs there on, oneDNN 3.7.3 and 3.12.3 never finish to compile their kernel (with 28 they do)."""

FEW_OUTPUTS = 16
"""Outputs on the last axis up to which more columns than that pass."""


def refuses_shape(problem: Problem) -> str | None:
    """The shapes for which oneDNN falls back on ``gemm:jit``, ``ref`` or ``ip``, or is wrong."""
    if not 1 <= problem.axes <= 3:
        return f"{problem.axes} spatial axes"
    if problem.in_channels == 1 and any(
        k == 1 and stride > 1 for k, stride in zip(problem.output, problem.stride, strict=True)
    ):
        return "one channel, and one output on an axis with a stride (wrong values)"
    if problem.dtype == "bfloat16" and (reason := _refuses_bfloat16(problem)):
        return reason
    much = max(map(max, problem.padding)) > MOST_PADDING
    if problem.groups == 1:
        if much and any(e > n for e, n in zip(problem.extent, problem.size, strict=True)):
            return f"a window larger than the input, and padding above {MOST_PADDING} (ref)"
        if problem.filter == problem.size and not any(map(any, problem.padding)):
            return "a filter as large as the input: one matrix product (ip)"
        if problem.in_channels < 4 and problem.taps > MOST_TAPS:
            return f"more than {MOST_TAPS} taps on fewer than 4 channels (no primitive at all)"
        return None
    dilated = set(problem.dilation) != {1}
    one_each = problem.group_channels == (1, 1)
    if one_each and problem.axes > 1 and not dilated:
        return None  # brdgmm, whatever the window
    if much:
        return f"groups with padding above {MOST_PADDING} (gemm:jit, ref)"
    if dilated:
        return "groups with dilation (gemm:jit, which can hang)"
    if any(
        extent >= size and (lo or hi)
        for extent, size, (lo, hi) in zip(
            problem.extent, problem.size, problem.padding, strict=True
        )
    ):
        return "groups with padding around an input no larger than a window (gemm:jit)"
    if one_each and instruction_set("float32") == "avx2":
        return "depthwise on one axis, below AVX-512 (gemm:jit)"
    if one_each and problem.extent[0] > MOST_EXTENT:
        return f"depthwise with windows above {MOST_EXTENT} on one axis (gemm:jit)"
    return None


def _refuses_bfloat16(problem: Problem) -> str | None:
    """What harms in bfloat16 alone."""
    padded, wide = any(map(any, problem.padding)), max(problem.filter) > MOST_COLUMNS
    if problem.in_channels == 1:
        if padded and problem.axes == 3:
            return "bfloat16 and one channel on three axes, with padding (wrong values)"
        if wide:
            return f"bfloat16 and one channel, filters wider than {MOST_COLUMNS} (gemm:jit, ref)"
        return None
    if problem.group_channels == (1, 1):
        if problem.filter[-1] > MOST_COLUMNS and problem.output[-1] > FEW_OUTPUTS:
            return f"bfloat16 depthwise, filters wider than {MOST_COLUMNS} (its compiler can hang)"
    elif problem.groups > 1 and padded and wide:
        return f"bfloat16 in groups, padding and filters wider than {MOST_COLUMNS} (gemm:jit)"
    return None
