"""Files are written whole or not at all, and a locked folder has one process."""

import subprocess
import sys

import pytest

from jaxcnn.errors import InputError
from jaxcnn.files import atomic_write, lock


def test_atomic_write_replaces_a_file_only_if_the_block_succeeds(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(SystemError), atomic_write(path) as temporary:
        temporary.write_text("ne")
        raise SystemError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_move_that_fails_leaves_no_temporary_file(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(OSError, match="directory"), atomic_write(path) as temporary:
        temporary.write_text("new")
    assert list(tmp_path.iterdir()) == [path]


HOLD = """
import os, pathlib, sys, time
from jaxcnn.files import lock
with lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(100)
"""


def test_a_lock_is_held_until_its_process_ends_however_it_ends(tmp_path):
    path = tmp_path / "lock"
    for _ in range(2):
        command = [sys.executable, "-c", HOLD, path]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "held\n"
            words = rf"is in use by process {process.pid}; wait"
            with pytest.raises(InputError, match=words), lock(path):
                pass
            process.kill()
        with lock(path):
            pass


def test_a_lock_is_released_at_the_end_of_its_block(tmp_path):
    path = tmp_path / "lock"
    with pytest.raises(SystemError), lock(path):
        with pytest.raises(InputError, match=r"in use by process \d+"), lock(path):
            pass
        raise SystemError
    with lock(path):
        pass
    gone = tmp_path / "gone" / "lock"
    with pytest.raises(InputError, match=r"cannot be written to \(No such file"), lock(gone):
        pass
