"""oneDNN serves what the fence lets pass, and a verification sees it when it does not."""

import json
import os
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from jaxcnn.convolve import fence, stress
from jaxcnn.convolve._verify_child import complaint, drawn_operands, exact
from jaxcnn.convolve.algorithms import onednn
from jaxcnn.convolve.draws import Convolution, Product, questions
from jaxcnn.convolve.problem import Problem
from jaxcnn.convolve.verify import Verdict, verify
from jaxcnn.reference import conv

pytestmark = pytest.mark.skipif(
    fence.machine_lacks() is not None, reason="no oneDNN in this machine's jaxlib"
)

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("seed", "draws"),
    [(0, 150), *(pytest.param(seed, 500, marks=pytest.mark.slow) for seed in range(1, 5))],
)
def test_onednn_serves_what_the_fence_lets_pass(seed, draws):
    verdict = verify(draws, seed=seed)
    assert verdict.draws.total() == draws
    assert not verdict.failures, "\n".join(map(str, verdict.failures))


@pytest.mark.parametrize("scene", stress.SCENES)
def test_onednn_bears_concurrency(scene, monkeypatch):
    monkeypatch.setattr(stress, "SCENES", {scene: stress.SCENES[scene]})
    assert not stress.run(3)


@pytest.mark.parametrize(
    ("asked", "what", "detail"),
    [
        ("aborts", "died", "exit code -6"),
        pytest.param("hangs", "hung", "no answer in 20 s", marks=pytest.mark.slow),
        ("errs", "wrong value", "1 of"),
        ("serves_another_way", "implementation", "x64:gemm:jit"),
    ],
)
def test_a_fault_is_seen_and_its_question_named(asked, what, detail, monkeypatch):
    faulty = repr(list(islice(questions(0, ("float32",)), 8))[5])
    monkeypatch.setenv("JAXCNN_TEST_FAULTY", faulty)
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    verdict = verify(8, dtypes=("float32",), asked=f"tests.convolve.faulty:{asked}", patience=20)
    (failure,) = verdict.failures
    assert (failure.question, failure.what) == (faulty, what)
    assert detail in failure.detail
    assert verdict.implementations.total() == 8


def _convolutions(count):
    drawn = (q for q in questions(3, ("float32",)) if isinstance(q, Convolution))
    small = (q for q in drawn if q.problem.multiply_adds < 50_000)
    return list(islice(small, count))


@pytest.mark.parametrize("question", _convolutions(12), ids=lambda q: str(q.problem))
def test_the_verification_s_own_reference_is_the_definition(question):
    problem = question.problem
    x, kernel = drawn_operands(question, 0)
    want = conv(
        x,
        kernel,
        stride=problem.stride,
        padding=problem.padding,
        dilation=problem.dilation,
        groups=problem.groups,
        rounding="floor",
    )
    got, magnitude, terms = exact(question, [x, kernel])
    np.testing.assert_allclose(got, want, rtol=0, atol=terms * 2.0**-23 * magnitude.max())


def test_a_bfloat16_answer_of_bfloat16_sums_is_wrong():
    question = Product(4, 300, 4, dtype="bfloat16")
    a, b = (abs(operand) for operand in drawn_operands(question, 0))
    true = a.astype(float) @ b.astype(float)
    assert not complaint(question, true.astype(a.dtype), [a, b])
    rough = np.zeros((4, 4), a.dtype)
    for k in range(300):
        rough = rough + a[:, k : k + 1] * b[k]
    assert complaint(question, rough, [a, b])


def test_the_same_seed_draws_the_same_and_every_kind():
    first, again = (list(islice(questions(5, ("float32", "bfloat16")), 1500)) for _ in range(2))
    assert first == again
    assert {q.dtype for q in first} == {"float32", "bfloat16"}
    assert {q.transpose_a for q in first if isinstance(q, Product)} == {False, True}
    problems = [q.problem for q in first if isinstance(q, Convolution)]
    assert all(p.is_plain and not p.is_empty for p in problems)
    assert all(fence.refuses_shape(onednn.asked(p)) is None for p in problems)
    kinds = {
        "rank 1": lambda p: p.axes == 1,
        "rank 3": lambda p: p.axes == 3,
        "depthwise": lambda p: p.is_depthwise and p.group_channels[1] == 1,
        "multiplier": lambda p: p.is_depthwise and p.group_channels[1] > 1,
        "32 groups of 4": lambda p: p.groups == 32 and p.group_channels[0] == 4,
        "kernel gradient": lambda p: p.groups == 1 and p.taps > 100 and p.places < 50,
        "padding beyond the window": lambda p: any(
            max(pair) >= extent for pair, extent in zip(p.padding, p.extent, strict=True)
        ),
        "dilated": lambda p: max(p.dilation) > 1,
        "stem": lambda p: p.in_channels == 3,
        "1x1": lambda p: p.taps == 1,
        "batch 64": lambda p: p.batch == 64,
    }
    missing = [kind for kind, holds in kinds.items() if not any(map(holds, problems))]
    assert not missing


def test_a_verdict_is_kept_for_its_jaxlib_and_processor_and_opens(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(fence, "verified", lambda: frozenset())
    fence.verified_here.cache_clear()
    assert "not verified" in fence.closed_because()
    isa = {"float32": fence.instruction_set("float32")}
    verdict = Verdict(isa=isa)
    verdict.draws["float32"] = fence.FEWEST_DRAWS
    path = verdict.keep()
    assert json.loads(path.read_text())["draws"] == {"float32": fence.FEWEST_DRAWS}
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    problem = Problem(1, (8,), 4, (3,), 4)
    assert fence.refuses(problem) is None
    assert "not verified" in fence.refuses(replace(problem, dtype="bfloat16", out_dtype=""))
    for spoilt in (
        {"draws": {"float32": fence.FEWEST_DRAWS - 1}},
        {"failures": ["died"]},
        {"isa": {"float32": "none"}},
    ):
        path.write_text(json.dumps(verdict.to_json() | spoilt))
        fence.verified_here.cache_clear()
        assert "not verified" in fence.refuses(problem), spoilt
    path.write_text("{")
    fence.verified_here.cache_clear()
    assert "not verified" in fence.closed_because()
    fence.verified_here.cache_clear()
