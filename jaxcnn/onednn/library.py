"""Finds and loads oneDNN, or reports why it cannot be used.

The library comes from PyPI (``onednn-cpu-gomp``) and is loaded at first use, never by an import. If
something is missing, one line says what it is and what to type.
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
"""How often libgomp's threads look for work before they sleep: half a millisecond. With a tenth of
this, small convolutions wait for the threads to wake up; with ten times as much, the threads keep
the cores from XLA's own threads (``experiments/onednn_threads.py``)."""

FORKED = (
    b"oneDNN was loaded before this process was forked, and its threads do not survive that; start "
    b'processes by multiprocessing.get_context("spawn")'
)

_AVX2 = 0x7  # dnnl_cpu_isa_avx2: instruction sets are sets of bits

_closed_by_hand: ContextVar[bool] = ContextVar("onednn_closed", default=False)
_forked = False


@contextmanager
def onednn_closed() -> Iterator[None]:
    """A context in which the thread compiles programs without oneDNN, as with ``JAXCNN_ONEDNN=0``.

    Programs that were compiled before do not change.

    >>> with onednn_closed():
    ...     unavailable_reason()
    'closed by onednn_closed()'
    """
    token = _closed_by_hand.set(True)
    try:
        yield
    finally:
        _closed_by_hand.reset(token)


def unavailable_reason() -> str | None:
    """Why oneDNN cannot be used in this process; None if it can.

    Raises:
      InputError: (a ValueError) if ``JAXCNN_ONEDNN`` is neither yes nor no.
    """
    if _closed_by_hand.get():
        return "closed by onednn_closed()"
    if not switched_on():
        return f"closed by {SWITCH}={os.environ[SWITCH]}"
    return FORKED.decode() if _forked else missing()


def switched_on() -> bool:
    """Whether ``JAXCNN_ONEDNN`` allows oneDNN: 1, true, on, yes or unset; not 0, false, off or no.

    Raises:
      InputError: (a ValueError) if it has another value.
    """
    said = os.environ.get(SWITCH, "").strip()
    if said.lower() in ("", "1", "true", "on", "yes"):
        return True
    if said.lower() in ("0", "false", "off", "no"):
        return False
    raise InputError(f"{SWITCH}={said} in the environment is neither yes nor no; set it to 1 or 0")


def missing() -> str | None:
    """What the machine or the installation lacks, and what to type; None if nothing."""
    found = _library()
    return found if isinstance(found, str) else None


def shim() -> ctypes.CDLL:
    """The library that XLA calls, bound to oneDNN.

    Raises:
      InputError: (a ValueError) if oneDNN cannot be used; see :func:`unavailable_reason`.
    """
    if reason := unavailable_reason():
        raise InputError(f"oneDNN cannot be used: {reason}")
    return _open().shim


def version() -> str:
    """The version of oneDNN, such as ``3.2.0``; its package has a different version.

    Raises:
      InputError: (a ValueError) if oneDNN is missing.
    """
    return _open().version


def path() -> Path:
    """The file that was loaded. Raises an :class:`.InputError` if oneDNN is missing."""
    return _open().path


def instruction_set() -> str:
    """The instruction set that oneDNN uses, such as ``avx512_core_amx``.

    The environment variable ``ONEDNN_MAX_CPU_ISA`` can limit it to less than the processor has.

    Raises:
      InputError: (a ValueError) if oneDNN is missing.
    """
    return _open().instruction_set


def threads() -> int:
    """The number of oneDNN's threads. Raises an :class:`.InputError` if oneDNN is missing."""
    return _open().onednn.omp_get_max_threads()


@dataclass(frozen=True)
class _Library:
    path: Path
    onednn: ctypes.CDLL
    shim: ctypes.CDLL
    version: str
    instruction_set: str


class _MissingError(Exception):
    """Something is missing; the message says what it is and what to type."""


_lock = threading.Lock()
_found: _Library | str | None = None


def _open() -> _Library:
    found = _library()
    if isinstance(found, str):
        raise InputError(f"oneDNN cannot be used: {found}")
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
    with _spin_count_set():
        try:
            ctypes.CDLL(THREADS)
        except OSError as error:
            raise _MissingError(
                f"oneDNN needs {THREADS} ({error}): apt install libgomp1, or dnf install libgomp"
            ) from error
        try:
            # RTLD_LOCAL hides its symbols: PyTorch and jaxlib contain other versions of oneDNN.
            onednn = ctypes.CDLL(str(place))
        except OSError as error:
            raise _MissingError(f"oneDNN does not load: {error}") from error
    instructions = _instruction_set(onednn)
    return _Library(place, onednn, _bound_shim(onednn), _version(onednn), instructions)


@cache
def _register_at_fork() -> None:
    os.register_at_fork(after_in_child=_closed_in_child)


def _place() -> Path:
    """The path of the library that its package installed."""
    try:
        package = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise _MissingError(
            f"oneDNN is not installed: pip install {DISTRIBUTION}=={RELEASE}"
        ) from None
    places = [Path(str(f.locate())) for f in package.files or () if f.name == LIBRARY]
    places.append(Path(sysconfig.get_path("data"), "lib", LIBRARY))  # if no files are recorded
    for place in places:
        if place.exists():
            return place.resolve()
    raise _MissingError(
        f"{DISTRIBUTION} has lost its {LIBRARY}: "
        f"pip install --force-reinstall --no-deps {DISTRIBUTION}=={RELEASE}"
    )


@contextmanager
def _spin_count_set() -> Iterator[None]:
    """Sets how long libgomp's threads spin, unless the user has set it.

    libgomp reads the environment only while it is loaded, which must be inside this context.
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
            f"oneDNN is limited to {name} by ONEDNN_MAX_CPU_ISA={limit}, and without AVX2 it is "
            f"slow: unset ONEDNN_MAX_CPU_ISA"
        )
    raise _MissingError(f"the processor has no AVX2, only {name}")


class _Version(ctypes.Structure):
    """The first fields of dnnl_version_t."""

    _fields_ = (("major", ctypes.c_int), ("minor", ctypes.c_int), ("patch", ctypes.c_int))


def _version(onednn: ctypes.CDLL) -> str:
    onednn.dnnl_version.restype = ctypes.POINTER(_Version)
    said = onednn.dnnl_version().contents
    return f"{said.major}.{said.minor}.{said.patch}"


def _bound_shim(onednn: ctypes.CDLL) -> ctypes.CDLL:
    """The shim, bound to the addresses of oneDNN's functions."""
    if not SHIM.exists():
        why = f" ({NOTE.read_text().strip()})" if NOTE.exists() else ""
        raise _MissingError(f"the shim to oneDNN was not built{why}: {build_again()}")
    try:
        loaded = ctypes.CDLL(str(SHIM))
    except OSError as error:  # for example a glibc older than that of the build machine
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
    # The only thread that runs oneDNN. It waits in C, without Python's lock.
    try:
        threading.Thread(target=loaded.jaxcnn_onednn_serve, name="oneDNN", daemon=True).start()
    except RuntimeError as error:
        raise _MissingError(f"a thread for oneDNN cannot be started: {error}") from error
    return loaded


def build_again() -> str:
    """What to type to build the shim, depending on where this package was installed from."""
    root = Path(__file__).parents[2]
    if (root / "pyproject.toml").exists():
        return f"pip install --no-deps -e {root}"
    return "pip install --force-reinstall --no-deps --no-cache-dir jaxcnn"


def _closed_in_child() -> None:
    """After a fork: compile without oneDNN, and make compiled calls fail with the reason.

    oneDNN's threads do not exist in the child, where a call would wait for them forever.
    """
    global _forked, _lock
    _forked, _lock = True, threading.Lock()
    if isinstance(_found, _Library):
        _found.shim.jaxcnn_onednn_forbid(FORKED)
