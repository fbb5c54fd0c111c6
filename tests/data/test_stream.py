"""Batches: each depends on its step alone, and what reads ahead ends with the iterator."""

import multiprocessing
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.data import Images, batches, open_dataset
from jaxcnn.extra import MissingExtraError
from tests.cases import many
from tests.data.drawn import drawn_images, save_folder

FEW = Images(drawn_images(24, (6, 5, 3)), np.arange(24) % 5)


def indices(step):
    return (np.arange(4) * 5 + 7 * step) % 24


def assert_same(steps, first, images):
    for step, (pixels, labels) in enumerate(steps, first):
        assert np.array_equal(pixels, images.read(indices(step)))
        assert np.array_equal(labels, images.labels[indices(step)])
        assert (pixels.dtype, labels.dtype) == (np.uint8, np.int32)


@many
@given(first=st.integers(0, 9), count=st.integers(0, 9))
def test_the_batches_from_any_step_are_those_of_the_steps(first, count):
    steps = list(batches(FEW, indices, first, first + count))
    assert len(steps) == count
    assert_same(steps, first, FEW)


@pytest.fixture
def pictures(tmp_path):
    """24 pictures on disk."""
    names = np.array(list("abcd"))[np.arange(36) % 4]
    folder = save_folder(tmp_path / "folder", drawn_images(36, (6, 5, 3)), names)
    return open_dataset(folder, memory=0).train


def test_pictures_on_disk_are_read_by_processes_from_any_step_on(pictures):
    assert not pictures.in_memory
    steps = list(batches(pictures, indices, 3, 9, workers=2))
    assert len(steps) == 6
    assert_same(steps, 3, pictures)
    assert not multiprocessing.active_children()


def test_leaving_the_iterator_early_ends_its_processes_and_threads(pictures):
    for workers in (1, 0):
        steps = batches(pictures, indices, 0, 10**9, workers=workers)
        next(steps)
        assert len(multiprocessing.active_children()) == workers
        steps.close()
        assert not multiprocessing.active_children()
    assert not [t for t in threading.enumerate() if t.name.startswith("ThreadPoolExecutor")]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_vanished_is_one_error_with_its_path(pictures, workers):
    path = os.path.join(pictures.images.root, pictures.images.paths[indices(1)[2]])
    os.unlink(path)
    with pytest.raises(ValueError, match="cannot be read") as error:
        list(batches(pictures, indices, 0, 9, workers=workers))
    assert path in str(error.value)
    assert not multiprocessing.active_children()


def test_processes_need_an_extra_that_the_error_names(monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(MissingExtraError, match=r"grain; type: pip install 'jaxcnn\[stream\]'"):
        batches(FEW, indices, 0, 1, workers=1)


KILLED = """
import multiprocessing, os, numpy as np
from jaxcnn.data import Images, batches
few = Images(np.zeros((4, 2, 2, 1), np.uint8), np.zeros(4, int))
steps = batches(few, lambda step: np.arange(2), 0, 10**9, workers=1)
next(steps)
assert multiprocessing.active_children()
os.kill(os.getpid(), 9)
"""


def test_the_workers_of_a_process_that_was_killed_end_too():
    words = [sys.executable, "-c", KILLED]
    # The output is at its end once every process that has it open has ended.
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == -9, done.stderr
