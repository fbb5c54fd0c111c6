"""Whatever happens during a save, whole checkpoints are left."""

import errno
import gc
import hashlib
import itertools
import os
import shutil
import subprocess
import threading
from pathlib import Path

import jax
import pytest

from jaxcnn.errors import InputError
from jaxcnn.train.checkpoint import Checkpoints
from tests.train.states import assert_holds, error_of, flip, saved, state_of

CHANGES = [(os, name) for name in ("mkdir", "rename", "replace", "unlink", "rmdir")]
CHANGES += [(Path, "write_bytes"), (Path, "write_text")]
"""Functions by which a save changes what is on the disk; TensorStore has its own."""


def intercept(monkeypatch, before):
    """Calls ``before`` ahead of each change by the main thread."""

    def intercepted(change):
        def changed(*arguments, **keywords):
            if threading.current_thread() is threading.main_thread():
                before()
            return change(*arguments, **keywords)

        return changed

    for owner, name in CHANGES:
        monkeypatch.setattr(owner, name, intercepted(getattr(owner, name)))


def with_older_ones(folder):
    saved(folder, 1, 2, 3)
    (folder / ".1.best").touch()  # as a kill would leave it


def with_a_damaged_one(folder):
    saved(folder, 2, 3, best=3).save(4, state_of(9), {"step": 9}, best=True)
    flip(folder / "4" / "SHA256SUMS")


def is_whole(folder):
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    digests = {name: digest for digest, name in (line.split("  ") for line in lines)}
    return digests == {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS"
    }


@pytest.mark.parametrize(("prepare", "before"), [(with_older_ones, 1), (with_a_damaged_one, 3)])
def test_a_kill_at_any_instant_leaves_whole_checkpoints(tmp_path, monkeypatch, prepare, before):
    folder, copies = tmp_path / "checkpoint", []
    prepare(folder)

    def copy():
        copies.append(tmp_path / f"copy {len(copies)}")
        subprocess.run(["cp", "-r", folder, copies[-1]], check=True)

    with monkeypatch.context() as patch:
        intercept(patch, copy)
        Checkpoints(folder).save(4, state_of(4), {"step": 4}, best=True)
    copies.append(folder)
    assert len(copies) > 20
    seen = set()
    for copied in copies:
        checkpoints = Checkpoints(copied)
        newest, steps, best = checkpoints.newest(), checkpoints.steps(), checkpoints.best()
        assert newest.name in "34"
        assert best == (4 if 4 in steps else before)
        damaged = newest.name == "3" and 4 in steps
        assert all(is_whole(copied / str(step)) for step in steps[: -1 if damaged else None])
        listed = tuple(sorted(path.name for path in copied.iterdir()))
        if listed in seen:
            continue
        seen.add(listed)
        assert_holds(checkpoints, int(newest.name), ["4 is damaged"] * damaged)
        if not damaged:
            assert_holds(checkpoints, best, step=best)
        saved(copied, 5, best=5)
        assert_holds(checkpoints, 5)
        assert checkpoints.best() == 5
        assert not list(copied.glob(".*"))
    assert len(seen) >= 4


def test_a_failure_of_any_change_is_one_line_and_loses_nothing(tmp_path, monkeypatch, capfd):
    folder, prepared = tmp_path / "checkpoint", tmp_path / "prepared"
    saved(prepared, 1, 2)
    checkpoints, calls, lines = Checkpoints(folder), [], []

    def fail():
        calls.append(None)
        if len(calls) == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for failing in itertools.count(1):
        shutil.copytree(prepared, folder)
        calls.clear()
        try:
            with monkeypatch.context() as patch:
                intercept(patch, fail)
                checkpoints.save(4, state_of(4), {"step": 4}, best=True)
        except InputError as error:
            newest = checkpoints.steps()[-1]
            lines.append(str(error).replace(f"the newest is of step {newest}", "RIGHT"))
        assert_holds(checkpoints, checkpoints.steps()[-1])
        assert_holds(checkpoints, checkpoints.best(), step=checkpoints.best())
        shutil.rmtree(folder)
        if len(calls) < failing:
            break
    assert len(lines) > 20
    assert set(lines) == {
        f"the checkpoint of step 4 cannot be written to {folder}: No space left on device; remedy "
        f"that and resume: RIGHT"
    }
    gc.collect()
    assert capfd.readouterr().err == ""


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of 200 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", folder]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip("only the superuser may mount a disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_is_one_line_and_loses_nothing(tiny_disk, capfd, caplog):
    checkpoints = saved(tiny_disk / "checkpoint", 1)
    large = {"large": list(jax.random.normal(jax.random.key(0), (9, 20_000)))}
    line = error_of(checkpoints.save, 2, large, {})
    assert "No space left on device; remedy that and resume: the newest is of step 1" in line
    assert_holds(checkpoints, 1)
    assert not list(checkpoints.folder.glob(".*"))
    saved(tiny_disk / "checkpoint", 2)  # it has room
    assert_holds(checkpoints, 2)
    subprocess.run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    line = error_of(checkpoints.save, 3, state_of(3), {})
    assert "Read-only file system; remedy that and resume: the newest is of step 2" in line
    assert_holds(checkpoints, 2)
    gc.collect()
    assert capfd.readouterr().err == ""
    assert not caplog.records


def test_a_run_folder_that_is_gone_is_one_line(tmp_path):
    line = error_of(saved, tmp_path / "gone" / "checkpoint", 1)
    assert line.endswith("No such file or directory; remedy that and start again")
    assert not list(tmp_path.iterdir())
