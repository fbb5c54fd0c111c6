"""Where oneDNN lies, how it is loaded, and why it may not be asked.

The library comes from PyPI (``onednn-cpu-gomp``) and is loaded when it is first asked for, never
by an import. Where something is missing, one line says what, and what to type.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sysconfig
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

SWITCH = "JAXCNN_ONEDNN"

DISTRIBUTION, RELEASE = "onednn-cpu-gomp", "2023.2.0"
LIBRARY = "libdnnl.so.3"
THREADS = "libgomp.so.1"
SHIM = Path(__file__).with_name("libjaxcnn_onednn.so")
NOTE = Path(__file__).with_name("not_built.txt")

SPIN_COUNT = "10000"
"""How often libgomp's threads look for work before they sleep: for half a millisecond. With a tenth
of that, small convolutions wait for them to wake; with ten times as much they are in the way of
XLA's own (``experiments/onednn_threads.py``)."""

FORKED = (
    b"oneDNN was loaded before this process was forked, and its threads do not survive that; start "
    b'processes by multiprocessing.get_context("spawn")'
)

_AVX2 = 0x7  # dnnl_cpu_isa_avx2: instruction sets are sets of bits

_closed_by_hand: ContextVar[bool] = ContextVar("onednn_closed", default=False)
_forked = False


@contextmanager
def onednn_closed() -> Iterator[None]:
    """Inside, nothing that this thread compiles asks oneDNN; in Python what ``JAXCNN_ONEDNN=0`` is.

    What was compiled before keeps what it has.

    >>> with onednn_closed():
    ...     closed_because()
    'closed by onednn_closed()'
    """
    token = _closed_by_hand.set(True)
    try:
        yield
    finally:
        _closed_by_hand.reset(token)


def closed_because() -> str | None:
    """Why oneDNN may not be asked in this process; None where it may.

    Raises:
      InputError: (a ValueError) where ``JAXCNN_ONEDNN`` says neither yes nor no.
    """
    if _closed_by_hand.get():
        return "closed by onednn_closed()"
    if not switched_on():
        return f"closed by {SWITCH}={os.environ[SWITCH]}"
    return FORKED.decode() if _forked else missing()


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


def missing() -> str | None:
    """What this machine or this installation lacks, and what to type; None where all is there."""
    found = _library()
    return found if isinstance(found, str) else None


def shim() -> ctypes.CDLL:
    """What XLA calls, bound to oneDNN.

    Raises:
      InputError: (a ValueError) where oneDNN is closed; :func:`closed_because` says why.
    """
    if reason := closed_because():
        raise InputError(f"oneDNN cannot be asked: {reason}")
    return _open().shim


def version() -> str:
    """The version of oneDNN itself, such as ``3.2.0``, which is not its package's.

    Raises:
      InputError: (a ValueError) where it is missing.
    """
    return _open().version


def path() -> Path:
    """The file it was loaded from. Raises an :class:`InputError` where it is missing."""
    return _open().path


def instruction_set() -> str:
    """What oneDNN computes with here, by its own word, such as ``avx512_core_amx``.

    ``ONEDNN_MAX_CPU_ISA`` in the environment holds it to less than the processor has.

    Raises:
      InputError: (a ValueError) where it is missing.
    """
    return _open().instruction_set


def threads() -> int:
    """How many threads it computes with. Raises an :class:`InputError` where it is missing."""
    return _open().onednn.omp_get_max_threads()


@dataclass(frozen=True)
class _Library:
    path: Path
    onednn: ctypes.CDLL
    shim: ctypes.CDLL
    version: str
    instruction_set: str


class _MissingError(Exception):
    """What is missing, and what to type."""


_lock = threading.Lock()
_found: _Library | str | None = None


def _open() -> _Library:
    found = _library()
    if isinstance(found, str):
        raise InputError(f"oneDNN cannot be asked: {found}")
    return found


def _library() -> _Library | str:
    """The library, loaded at the first call; or what is missing."""
    global _found
    with _lock:
        if _found is None:
            try:
                _found = _load()
            except _MissingError as why:
                _found = str(why)
        return _found


def _load() -> _Library:
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        machine = f"{platform.system()} {platform.machine()}"
        raise _MissingError(f"oneDNN is for Linux x86_64, and this is {machine}")
    place = _place()
    _register_at_fork()
    with _patient_threads():
        try:
            ctypes.CDLL(THREADS)
        except OSError as error:
            raise _MissingError(
                f"oneDNN needs {THREADS} ({error}): apt install libgomp1, or dnf install libgomp"
            ) from error
        try:
            # Its symbols stay its own (RTLD_LOCAL): PyTorch and jaxlib carry other versions of it.
            onednn = ctypes.CDLL(str(place))
        except OSError as error:
            raise _MissingError(f"oneDNN does not load: {error}") from error
    instructions = _instruction_set(onednn)
    return _Library(place, onednn, _bound_shim(onednn), _version(onednn), instructions)


@cache
def _register_at_fork() -> None:
    os.register_at_fork(after_in_child=_closed_in_child)


def _place() -> Path:
    """Where the library's package has put it."""
    try:
        package = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise _MissingError(
            f"oneDNN is not installed: pip install {DISTRIBUTION}=={RELEASE}"
        ) from None
    places = [Path(str(f.locate())) for f in package.files or () if f.name == LIBRARY]
    places.append(Path(sysconfig.get_path("data"), "lib", LIBRARY))  # where nothing is recorded
    for place in places:
        if place.exists():
            return place.resolve()
    raise _MissingError(
        f"{DISTRIBUTION} has lost its {LIBRARY}: "
        f"pip install --force-reinstall --no-deps {DISTRIBUTION}=={RELEASE}"
    )


@contextmanager
def _patient_threads() -> Iterator[None]:
    """Inside, libgomp is told how long to spin, unless a person has told it: it reads the
    environment when it is loaded, and only then.
    """
    if "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ:
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT
    try:
        yield
    finally:
        del os.environ["GOMP_SPINCOUNT"]


def _instruction_set(onednn: ctypes.CDLL) -> str:
    isa = onednn.dnnl_get_effective_cpu_isa()
    onednn.dnnl_cpu_isa2str.restype = ctypes.c_char_p
    name = onednn.dnnl_cpu_isa2str(isa).decode().removeprefix("cpu_isa_")
    if isa & _AVX2 == _AVX2:
        return name
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA")
    if limit:
        raise _MissingError(
            f"oneDNN is held to {name} by ONEDNN_MAX_CPU_ISA={limit}, and AVX2 is the least that "
            f"is fast: unset ONEDNN_MAX_CPU_ISA"
        )
    raise _MissingError(f"the processor has no AVX2, only {name}")


class _Version(ctypes.Structure):
    """dnnl_version_t, as far as it is read."""

    _fields_ = (("major", ctypes.c_int), ("minor", ctypes.c_int), ("patch", ctypes.c_int))


def _version(onednn: ctypes.CDLL) -> str:
    onednn.dnnl_version.restype = ctypes.POINTER(_Version)
    said = onednn.dnnl_version().contents
    return f"{said.major}.{said.minor}.{said.patch}"


def _bound_shim(onednn: ctypes.CDLL) -> ctypes.CDLL:
    """The shim, with the addresses of oneDNN's functions."""
    if not SHIM.exists():
        why = f" ({NOTE.read_text().strip()})" if NOTE.exists() else ""
        raise _MissingError(f"the shim to oneDNN was not built{why}: {build_again()}")
    try:
        loaded = ctypes.CDLL(str(SHIM))
    except OSError as error:  # such as a glibc older than that of the machine it was built on
        raise _MissingError(
            f"the shim to oneDNN does not load ({error}): {build_again()}"
        ) from error
    loaded.jaxcnn_onednn_names.restype = ctypes.POINTER(ctypes.c_char_p)
    loaded.jaxcnn_onednn_says.restype = ctypes.c_char_p
    addresses = []
    for name in loaded.jaxcnn_onednn_names():
        if name is None:
            break
        try:
            addresses.append(ctypes.cast(onednn[name.decode()], ctypes.c_void_p).value)
        except AttributeError:
            raise _MissingError(
                f"this oneDNN has no {name.decode()}: pip install {DISTRIBUTION}=={RELEASE}"
            ) from None
    if status := loaded.jaxcnn_onednn_bind((ctypes.c_void_p * len(addresses))(*addresses)):
        onednn.dnnl_status2str.restype = ctypes.c_char_p
        said = onednn.dnnl_status2str(status).decode()
        raise _MissingError(f"oneDNN does not start: {said}")
    # The one thread that is ever in oneDNN; it waits in C, without Python's lock.
    try:
        threading.Thread(target=loaded.jaxcnn_onednn_serve, name="oneDNN", daemon=True).start()
    except RuntimeError as error:
        raise _MissingError(f"oneDNN gets no thread of its own: {error}") from error
    return loaded


def build_again() -> str:
    """What to type to have the shim built, by where this package was installed from."""
    root = Path(__file__).parents[2]
    if (root / "pyproject.toml").exists():
        return f"pip install --no-deps -e {root}"
    return "pip install --force-reinstall --no-deps --no-cache-dir jaxcnn"


def _closed_in_child() -> None:
    """After a fork: what is compiled from now on takes the plain road, and what was compiled says
    why it cannot be run, instead of waiting for threads that are not there.
    """
    global _forked, _lock
    _forked, _lock = True, threading.Lock()
    if isinstance(_found, _Library):
        _found.shim.jaxcnn_onednn_forbid(FORKED)
