"""What a call adds to the memory of a process, and contenders in processes that may end."""

from __future__ import annotations

import mmap
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.bench import process
from jaxcnn.bench import measure as measuring
from jaxcnn.bench.process import ContenderProcess, ContenderFailedError, Task
from jaxcnn.bench.contenders import operands
from jaxcnn.bench.measure import measure
from jaxcnn.bench.memory import memory_is_counted, peak_growth
from jaxcnn.bench.roster import XLA_BACKENDS, contender, names
from jaxcnn.bench.row import pool, row
from jaxcnn.bench.timing import Effort
from tests.bench.test_measure import CONVOLUTION, SPEEDS

counted = pytest.mark.skipif(not memory_is_counted(), reason="no peaks to be had")

MIB = 1 << 20
SLACK = 1.0
"""MiB that the counts of the processors may be behind, and Python may need."""

LARGE = row("dense", 3, 16, 16, 64)


@counted
@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=5), st.integers(0, 9))
def test_the_peak_is_what_is_held_at_once(steps, before):
    """Of memory asked for and touched piece by piece, some of it given back at once."""
    held = [_touched(before)] if before else []

    def call():
        for size, kept in steps:
            piece = _touched(size)
            if kept:
                held.append(piece)
            else:
                piece.close()

    most = now = 0
    for size, kept in steps:
        most = max(most, now + size)
        now += size * kept
    _, peak = peak_growth(call)
    for piece in held:
        piece.close()
    assert abs(peak - most) < SLACK


def _touched(size):
    piece = mmap.mmap(-1, size * MIB)
    for page in range(0, size * MIB, mmap.PAGESIZE):
        piece[page] = 1
    return piece


@counted
@pytest.mark.parametrize("row", [LARGE, pool("max", 2, 64, 64, stride=2)], ids=lambda r: r.name)
def test_a_process_of_its_own_gives_the_same_and_says_what_memory_it_took(row):
    for name in names(row, torch=False):
        task = Task(name, row, "forward", "float32")
        here = contender(name, row, "forward", "float32", operands(row, "float32"))
        with ContenderProcess(task) as there:
            first = there.first()
            assert len(there.turn(first.seconds, 3)) == 3
        want = here.result(here.call())
        np.testing.assert_array_equal(first.result, want)
        assert first.program == here.program
        assert want.nbytes / MIB - SLACK < first.peak < 20 * want.nbytes / MIB


def test_flags_that_xla_does_not_know_are_told_in_its_words():
    task = Task("lax", CONVOLUTION, "forward", "float32", "--xla_no_such_flag=1")
    with ContenderProcess(task) as contender, pytest.raises(ContenderFailedError, match=r"XLA_FLAGS: --xla_no_such_flag=1$"):
        contender.first()


def test_who_cannot_compute_says_why():
    task = Task("lax", CONVOLUTION, "forward", "float33")
    with ContenderProcess(task) as contender, pytest.raises(ContenderFailedError, match=r"^TypeError: .*float33"):
        contender.first()


def test_who_does_not_answer_is_given_up(monkeypatch):
    monkeypatch.setattr(process, "PATIENCE", 0.0)
    task = Task("lax", CONVOLUTION, "forward", "float32")
    with ContenderProcess(task) as contender, pytest.raises(ContenderFailedError, match=r"^no answer in 0 s$"):
        contender.first()


class Differs(ContenderProcess):
    """Whose program is not lax's."""

    def first(self, *, result=True):
        return replace(super().first(result=result), program="another")


class Dies(Differs):
    """Whose process ends once it is asked to take turns."""

    def turn(self, seconds, calls):
        self._process.kill()
        return super().turn(seconds, calls)


class Errs(Differs):
    """Whose last number is wrong."""

    def first(self, *, result=True):
        found = super().first(result=result)
        numbers = found.result.copy()
        numbers.flat[-1] += 0.01
        return replace(found, result=numbers)


@pytest.mark.parametrize(
    ("kind", "said"), [(Dies, "^ended by SIGKILL$"), (Errs, "lax-eigen gives .* is right")]
)
@pytest.mark.parametrize("direction", ["forward", "input", "kernel"])
def test_a_road_that_ends_or_errs_is_left_out_and_the_others_go_on(
    monkeypatch, kind, said, direction
):
    monkeypatch.setattr(measuring, "ContenderProcess", kind)
    monkeypatch.setattr(measuring, "XLA_BACKENDS", {"lax-eigen": ""})
    result = measure(
        CONVOLUTION,
        direction,
        "float32",
        SPEEDS,
        torch=False,
        xla_backends=True,
        memory=False,
        effort=Effort(seconds=0.0, min_calls=2),
    )
    assert set(result.times) == {"lax", "jaxcnn", "jaxcnn-plain"}
    (why,) = result.left_out.values()
    assert re.search(said, why)


def test_a_road_that_is_lax_by_another_name_is_not_timed(monkeypatch):
    monkeypatch.setattr(measuring, "XLA_BACKENDS", dict.fromkeys(XLA_BACKENDS, ""))
    result = measure(
        CONVOLUTION,
        "forward",
        "float32",
        SPEEDS,
        torch=False,
        xla_backends=True,
        memory=False,
        effort=Effort(seconds=0.0, min_calls=1),
    )
    assert result.left_out == dict.fromkeys(XLA_BACKENDS, "compiles to the program of lax")
