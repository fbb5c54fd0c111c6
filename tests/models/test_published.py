"""Every network has the published counts, and lint finds in it what it always found.

python -m tests.models.test_published        writes the findings anew, in recorded/lint
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from jaxcnn.inspect import lint, plan_of
from jaxcnn.models.registry import NETWORKS
from tests.models.formula import published_model

LINT = Path(__file__).parent / "recorded" / "lint"

DEEP = (
    *("resnet101", "resnet152", "densenet121", "convnext_small", "convnext_base"),
    *(f"efficientnet_b{i}" for i in range(1, 8)),
)
"""Networks whose shapes alone take seconds."""

each_network = pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in DEEP else ()) for name in NETWORKS],
    scope="module",  # so that both tests of a network are neighbours, and it is built once
)


def findings(name: str) -> str:
    """What lint says of a network at its published size, without the places in our code."""
    report = lint(published_model(name), NETWORKS[name].input_shape)
    return str(replace(report, findings=tuple(replace(f, where="") for f in report.findings)))


@each_network
def test_parameters_and_multiply_adds_are_the_published_ones(name):
    published = NETWORKS[name]
    plan = plan_of(published_model(name), published.input_shape)
    assert plan.notes == ()
    for count, known in (
        (plan.parameters, published.parameters),
        (plan.multiply_adds, published.multiply_adds),
    ):
        assert known is None or round(count, -_zeros(known)) == known


def _zeros(number: int) -> int:
    """The decimals that a published number is rounded to: 6 for 1_814_000_000, 0 for 11_689_512."""
    return 6 if number % 10**6 == 0 else 0


@each_network
def test_lint_finds_what_it_found(name):
    recorded = LINT / f"{name}.txt"
    assert findings(name) == recorded.read_text().rstrip("\n")


def test_nothing_is_recorded_of_a_network_that_is_gone():
    assert {path.stem for path in LINT.iterdir()} == set(NETWORKS)


if __name__ == "__main__":
    LINT.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or NETWORKS:
        (LINT / f"{name}.txt").write_text(findings(name) + "\n")
