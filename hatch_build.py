"""Compiles ``jaxcnn/onednn/shim.c`` when a wheel, or an editable install, is built.

The headers are build requirements: jaxlib contains those of XLA's foreign function interface, a
separate package those of oneDNN. The compiler is that of the machine, or zig's from PyPI if the
machine has none that works. The shim is not linked against oneDNN: it gets the addresses of
oneDNN's functions when it is loaded. If the compilation fails, it leaves a note with the reason and
does not fail the install: convolutions then use the other algorithms, and ``jaxcnn doctor`` shows
the note.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.requirements import Requirement
from packaging.tags import sys_tags

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path("jaxcnn", "onednn")
SOURCE, LIBRARY, NOTE = "shim.c", "libjaxcnn_onednn.so", "not_built.txt"
HEADERS = "onednn-devel-cpu-gomp"

FLAGS = [
    *("-std=c11", "-O2", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden"),
    *("-Wall", "-Wextra"),
]

GLIBC = (2, 28)
"""The newest glibc that a wheel may require: every distribution since 2019 has it."""

PROBE = "#include <pthread.h>\n#include <stdlib.h>\nvoid *probe(void) { return malloc(8); }\n"


class NotBuiltError(Exception):
    """The shim was not built; the message says why in one line."""


class ShimHook(BuildHookInterface):
    """The hook that hatchling calls for the build requirements and before it packs the files."""

    def dependencies(self) -> list[str]:
        if not _is_supported_platform():
            return []
        asked = {r.name: r.specifier for r in map(Requirement, self.metadata.core.dependencies)}
        headers = [f"jaxlib{asked['jaxlib']}", f"{HEADERS}{asked['onednn-cpu-gomp']}"]
        return headers if local_compiler() else [*headers, "ziglang>=0.13"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's
        folder = Path(self.root) / FOLDER
        try:
            _build_in(folder)
        except (NotBuiltError, OSError) as why:
            self.app.display_warning(f"jaxcnn is installed without oneDNN: {why}")
        if (folder / LIBRARY).exists():
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{platform_of((folder / LIBRARY).read_bytes())}"


def _is_supported_platform() -> bool:
    return sysconfig.get_platform() == "linux-x86_64"


def _build_in(folder: Path) -> None:
    """Compile the library into a folder; on failure remove the old one and leave a note."""
    library, note = folder / LIBRARY, folder / NOTE
    note.unlink(missing_ok=True)
    if not _is_supported_platform():
        library.unlink(missing_ok=True)
        return
    try:
        compile_shim(folder / SOURCE, library)
    except (NotBuiltError, OSError) as why:
        library.unlink(missing_ok=True)
        note.write_text(f"{why}\n")
        raise


def compile_shim(source: Path, library: Path) -> None:
    """Compile the shim.

    Raises:
      NotBuiltError: if there are no headers or no compiler, or if the compiler reports an error.
    """
    headers = [f"-isystem{folder}" for folder in (xla_headers(), onednn_headers())]
    compiler = local_compiler() or _zig()
    if compiler is None:
        raise NotBuiltError("no C compiler works here, and ziglang is not installed")
    # A process that has mapped the old file keeps it, and no process sees a partly written new one.
    new = library.with_name(f".{os.getpid()}-{library.name}")
    try:
        done = _run(compiler, [*FLAGS, *headers, str(source), "-o", str(new)])
        if done.returncode:
            raise NotBuiltError(f"{Path(compiler[0]).name}: {_first_error(done.stderr)}")
        new.replace(library)
    finally:
        new.unlink(missing_ok=True)


def xla_headers() -> Path:
    """The folder that holds ``xla/ffi/api/c_api.h``; the same as ``jax.ffi.include_dir()``."""
    spec = find_spec("jaxlib")
    for place in (spec and spec.submodule_search_locations) or ():
        if Path(place, "include", "xla", "ffi", "api", "c_api.h").exists():
            return Path(place, "include")
    raise NotBuiltError("XLA's headers are missing: pip install jaxlib")


def onednn_headers() -> Path:
    """The folder that holds ``oneapi/dnnl/dnnl.h``."""
    try:
        files = distribution(HEADERS).files or ()
    except PackageNotFoundError:
        files = ()
    for file in files:
        if file.parts[-3:] == ("oneapi", "dnnl", "dnnl.h"):
            return Path(str(file.locate())).resolve().parents[2]
    raise NotBuiltError(f"oneDNN's headers are missing: pip install {HEADERS}")


def local_compiler() -> list[str] | None:
    """The first of the machine's compilers that can build a small shared library."""
    with tempfile.TemporaryDirectory() as scratch:
        probe = Path(scratch, "probe.c")
        probe.write_text(PROBE)
        for command in _candidates():
            with suppress(OSError):  # no program has this name
                done = _run(command, [*FLAGS, str(probe), "-o", f"{scratch}/probe.so"])
                if done.returncode == 0:
                    return command
    return None


def _candidates() -> Iterator[list[str]]:
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        command = name.split()
        if command and shutil.which(command[0]):
            yield command


def _zig() -> list[str] | None:
    if find_spec("ziglang") is None:
        return None
    glibc = ".".join(map(str, GLIBC))
    return [sys.executable, "-m", "ziglang", "cc", "-target", f"x86_64-linux-gnu.{glibc}"]


def _run(compiler: list[str], arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a compiler, with a temporary folder for zig's cache."""
    with tempfile.TemporaryDirectory() as scratch:
        caches = dict.fromkeys(("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"), scratch)
        return subprocess.run(
            [*compiler, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**os.environ, "LC_ALL": "C", **caches},
        )


def _first_error(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), lines[0] if lines else "failed")


def platform_of(binary: bytes) -> str:
    """The platform tag of the wheel: manylinux if the binary and this machine's pip allow it."""
    versions = [name.decode() for name in re.findall(rb"\0GLIBC_([\w.]+)(?=\0)", binary)]
    portable = all(
        re.fullmatch(r"[\d.]+", version) and tuple(map(int, version.split("."))) <= GLIBC
        for version in versions
    )
    tag = f"manylinux_{GLIBC[0]}_{GLIBC[1]}_x86_64"
    # The pip of an older machine would reject the wheel that it has just built.
    return tag if portable and any(t.platform == tag for t in sys_tags()) else "linux_x86_64"
