"""Contenders in processes of their own, and the memory a call adds to a process."""

from __future__ import annotations

import mmap
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.bench import measure as measuring
from jaxcnn.bench import process
from jaxcnn.bench.contenders import operands
from jaxcnn.bench.measure import measure
from jaxcnn.bench.memory import memory_is_counted, peak_growth
from jaxcnn.bench.process import ContenderFailedError, ContenderProcess, Task
from jaxcnn.bench.roster import XLA_BACKENDS, contender_names, make_contender
from jaxcnn.bench.row import pool, row
from jaxcnn.bench.timing import Effort
from tests.bench.test_measure import CONVOLUTION, SPEEDS

counted = pytest.mark.skipif(not memory_is_counted(), reason="peak memory cannot be measured")

MIB = 1 << 20
SLACK = 1.0
"""MiB that Linux's counts may lag behind, or that Python may need."""

LARGE = row("dense", 3, 16, 16, 64)


@counted
@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=5), st.integers(0, 9))
def test_peak_growth_is_the_most_memory_held_at_once(steps, before):
    """Memory is allocated piece by piece, and some pieces are freed at once."""
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
def test_a_contender_process_gives_the_same_result_and_measures_its_memory(row):
    for name in contender_names(row, torch=False):
        task = Task(name, row, "forward", "float32")
        here = make_contender(name, row, "forward", "float32", operands(row, "float32"))
        with ContenderProcess(task) as there:
            first = there.first_call()
            assert len(there.time_calls(first.seconds, 3)) == 3
        want = here.result(here.call())
        np.testing.assert_array_equal(first.result, want)
        assert first.program == here.program
        assert want.nbytes / MIB - SLACK < first.peak < 20 * want.nbytes / MIB


def test_an_unknown_xla_flag_is_reported_with_the_message_of_xla():
    task = Task("lax", CONVOLUTION, "forward", "float32", "--xla_no_such_flag=1")
    with (
        ContenderProcess(task) as contender,
        pytest.raises(ContenderFailedError, match=r"XLA_FLAGS: --xla_no_such_flag=1$"),
    ):
        contender.first_call()


def test_an_error_in_a_contender_process_is_reported():
    task = Task("lax", CONVOLUTION, "forward", "float33")
    with (
        ContenderProcess(task) as contender,
        pytest.raises(ContenderFailedError, match=r"^TypeError: .*float33"),
    ):
        contender.first_call()


def test_a_contender_process_that_does_not_answer_is_given_up(monkeypatch):
    monkeypatch.setattr(process, "TIMEOUT", 0.0)
    task = Task("lax", CONVOLUTION, "forward", "float32")
    with (
        ContenderProcess(task) as contender,
        pytest.raises(ContenderFailedError, match=r"^no answer in 0 s$"),
    ):
        contender.first_call()


class Differs(ContenderProcess):
    """A process whose program is not that of lax."""

    def first_call(self, *, with_result=True):
        return replace(super().first_call(with_result=with_result), program="another")


class Dies(Differs):
    """A process that ends when its calls are to be timed."""

    def time_calls(self, seconds, calls):
        self._process.kill()
        return super().time_calls(seconds, calls)


class Errs(Differs):
    """A process whose last number is wrong."""

    def first_call(self, *, with_result=True):
        found = super().first_call(with_result=with_result)
        numbers = found.result.copy()
        numbers.flat[-1] += 0.01
        return replace(found, result=numbers)


@pytest.mark.parametrize(
    ("kind", "reason"), [(Dies, "^ended by SIGKILL$"), (Errs, "lax-eigen: .* differs from ")]
)
@pytest.mark.parametrize("direction", ["forward", "input", "kernel"])
def test_an_xla_backend_that_crashes_or_errs_is_left_out_and_the_others_are_timed(
    monkeypatch, kind, reason, direction
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
    (message,) = result.left_out.values()
    assert re.search(reason, message)


def test_an_xla_backend_with_the_program_of_lax_is_not_timed(monkeypatch):
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
