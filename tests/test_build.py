"""The shim is compiled with the wheel; if that fails, the wheel is built without it."""

import ctypes
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from hypothesis import example, given
from hypothesis import strategies as st

import hatch_build
from tests.cases import many

ROOT = Path(hatch_build.__file__).parent

linux = pytest.mark.skipif(
    sysconfig.get_platform() != "linux-x86_64", reason="the shim is for Linux x86-64"
)
compiles = pytest.mark.skipif(hatch_build.local_compiler() is None, reason="no C compiler")
portable = pytest.mark.skipif(
    hatch_build.platform_of(b"") == "linux_x86_64", reason="a glibc before 2.28"
)

SHIM = """
#include "oneapi/dnnl/dnnl.h"
#include "xla/ffi/api/c_api.h"
__attribute__((visibility("default"))) int answer(void) { return 42; }
"""


@pytest.fixture
def without_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(hatch_build, "_zig", lambda: None)


@pytest.fixture
def folder(tmp_path):
    """A folder with a shim's source and the library of an earlier build."""
    (tmp_path / hatch_build.SOURCE).write_text(SHIM)
    (tmp_path / hatch_build.LIBRARY).write_text("of an earlier build")
    return tmp_path


@linux
@compiles
def test_a_compiled_shim_replaces_the_old_one(folder):
    (folder / hatch_build.NOTE).write_text("of an earlier build")
    hatch_build._build_in(folder)
    assert ctypes.CDLL(str(folder / hatch_build.LIBRARY)).answer() == 42
    assert {p.name for p in folder.iterdir()} == {hatch_build.SOURCE, hatch_build.LIBRARY}


def _fails(folder):
    """The note after a failed build, which also removes the old library."""
    with pytest.raises(hatch_build.NotBuiltError) as why:
        hatch_build._build_in(folder)
    assert {p.name for p in folder.iterdir()} == {hatch_build.SOURCE, hatch_build.NOTE}
    note = (folder / hatch_build.NOTE).read_text()
    assert note == f"{why.value}\n"
    assert note.count("\n") == 1
    return note


@linux
@pytest.mark.usefixtures("without_compiler")
def test_without_a_compiler_a_note_says_so(folder):
    assert _fails(folder) == "no C compiler works here, and ziglang is not installed\n"


@linux
@compiles
def test_the_note_has_the_compilers_first_error(folder):
    (folder / hatch_build.SOURCE).write_text("int f(void) { return nonsense; }\n")
    assert "nonsense" in _fails(folder)


@linux
def test_the_note_names_missing_headers(folder, monkeypatch):
    monkeypatch.setattr(hatch_build, "HEADERS", "onednn-devel-of-nobody")
    assert "pip install onednn-devel-of-nobody" in _fails(folder)
    monkeypatch.setattr(hatch_build, "find_spec", lambda _: None)
    assert "pip install jaxlib" in _fails(folder)


def test_other_platforms_compile_and_require_nothing(folder, monkeypatch):
    monkeypatch.setattr(sysconfig, "get_platform", lambda: "macosx-11.0-arm64")
    hatch_build._build_in(folder)
    assert {p.name for p in folder.iterdir()} == {hatch_build.SOURCE}
    assert WheelBuilder(str(ROOT)).config.dependencies == []


@linux
@compiles
@pytest.mark.parametrize("compiler", ["'", "/no/such/cc", str(ROOT), "/bin/false", "no program"])
def test_a_compiler_that_does_not_work_is_skipped(monkeypatch, tmp_path, compiler):
    if compiler == "no program":
        text = tmp_path / "cc"
        text.write_text("no program")
        text.chmod(0o755)
        compiler = str(text)
    monkeypatch.setenv("CC", compiler)
    assert hatch_build.local_compiler() not in (None, [compiler])


@linux
def test_zig_is_required_only_if_no_compiler_works(monkeypatch, tmp_path):
    monkeypatch.delenv("CC", raising=False)
    with_one = WheelBuilder(str(ROOT)).config.dependencies
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    without = WheelBuilder(str(ROOT)).config.dependencies
    assert without == ["jaxlib>=0.10.2", "onednn-devel-cpu-gomp==2023.2.0", "ziglang>=0.13"]
    if hatch_build.local_compiler() is None:
        assert with_one in (without, without[:-1])


# The platform of a wheel.


@portable
@many
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 40), st.integers(0, 9))))
@example([(2, 28, 0)])
@example([(2, 29, 0), (2, 2, 5)])
def test_the_wheels_platform_follows_from_the_newest_symbol(versions):
    names = [".".join(map(str, v if v[2] else v[:2])) for v in versions]
    binary = b"\x7fELF\0" + b"".join(b"libc.so.6\0GLIBC_%s\0" % name.encode() for name in names)
    tag = hatch_build.platform_of(binary)
    fits = all(v[:2] < (2, 28) or v == (2, 28, 0) for v in versions)
    assert tag == ("manylinux_2_28_x86_64" if fits else "linux_x86_64")


def test_a_wheel_with_unnumbered_symbols_is_for_this_machine_alone():
    for name in (b"GLIBC_PRIVATE", b"GLIBC_ABI_DT_RELR"):
        assert hatch_build.platform_of(b"\0%s\0" % name) == "linux_x86_64"


# Whole builds, with the headers and the hatchling of this environment.


@pytest.fixture
def tree(tmp_path):
    """A copy, outside git, of the files from which a wheel is built."""
    for name in ("pyproject.toml", "hatch_build.py", "README.md", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path)
    dirty = shutil.ignore_patterns("__pycache__", "*.so", hatch_build.NOTE, "mnist_files")
    shutil.copytree(ROOT / "jaxcnn", tmp_path / "jaxcnn", ignore=dirty)
    return tmp_path


def _built(tree, target, **variables):
    words = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(tree / "out")]
    done = subprocess.run(
        words,
        cwd=tree,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (file,) = (tree / "out").iterdir()
    return file, done.stdout + done.stderr


def _of_the_room(names):
    """The files of jaxcnn/onednn in a wheel that are not Python."""
    room = "jaxcnn/onednn/"
    return {n.removeprefix(room) for n in names if n.startswith(room) and not n.endswith(".py")}


@linux
@compiles
@portable
def test_a_wheel_holds_the_shim_and_is_for_its_platform(tree):
    file, _ = _built(tree, "wheel")
    assert file.name.endswith("-py3-none-manylinux_2_28_x86_64.whl")
    with zipfile.ZipFile(file) as wheel:
        assert _of_the_room(wheel.namelist()) == {"shim.c", hatch_build.LIBRARY}
        (record,) = (n for n in wheel.namelist() if n.endswith("/WHEEL"))
        assert "Root-Is-Purelib: false" in wheel.read(record).decode()
    assert (tree / hatch_build.FOLDER / hatch_build.LIBRARY).exists()


@linux
def test_a_wheel_whose_shim_does_not_compile_is_built_without_it(tree):
    room = tree / hatch_build.FOLDER
    (room / hatch_build.LIBRARY).write_text("of an earlier build")
    (room / hatch_build.SOURCE).write_text("nonsense\n")
    file, said = _built(tree, "wheel")
    assert "jaxcnn is installed without oneDNN: " in said
    assert file.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(file) as wheel:
        assert _of_the_room(wheel.namelist()) == {"shim.c", hatch_build.NOTE}


def test_a_source_distribution_can_build_a_wheel(tree):
    room = tree / hatch_build.FOLDER
    for name in (hatch_build.LIBRARY, hatch_build.NOTE):
        (room / name).write_text("of an earlier build")
    file, _ = _built(tree, "sdist")
    with tarfile.open(file) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"hatch_build.py", "pyproject.toml", "jaxcnn/onednn/shim.c"} <= names
    assert _of_the_room(names) == {"shim.c"}
