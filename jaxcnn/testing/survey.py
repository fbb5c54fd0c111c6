"""All laws put to one function, and what came of each: a survey, where a test would stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

from jaxcnn.testing.assertions import (
    assert_matches_reference,
    assert_obeys_geometry,
    assert_refuses,
)
from jaxcnn.testing.derivatives import assert_gradients_match, assert_transforms
from jaxcnn.testing.problems import Problem

Law = Callable[[Callable[..., jax.Array], Any], None]


@dataclass(frozen=True)
class Finding:
    """What came of one law.

    Attributes:
      law: its name.
      failure: None where it held for every drawn problem; otherwise what the law says of the
        smallest problem found for which it does not.

    >>> Finding("obeys geometry", None).holds
    True
    """

    law: str
    failure: str | None

    @property
    def holds(self) -> bool:
        """Whether no drawn problem broke the law."""
        return self.failure is None


def survey(
    fn: Callable[..., jax.Array],
    problems: SearchStrategy[Problem],
    impossible: SearchStrategy[Problem],
    *,
    examples: int = 50,
) -> list[Finding]:
    """Puts every law of this package to ``fn``; the same problems are drawn every time.

    Args:
      fn: called as :func:`jaxcnn.conv`, or as the pool that the problems are of.
      problems: what it should do, such as ``conv_problems()``.
      impossible: what it should refuse, such as ``impossible_conv_problems()``.
      examples: problems drawn for each law.

    >>> import jaxcnn
    >>> from jaxcnn.testing import conv_problems, impossible_conv_problems
    >>> asked = conv_problems(ranks=(1,)), impossible_conv_problems(ranks=(1,))
    >>> all(finding.holds for finding in survey(jaxcnn.conv, *asked, examples=2))
    True
    """
    laws: list[tuple[str, Law, SearchStrategy[Problem]]] = [
        ("obeys geometry", assert_obeys_geometry, problems),
        ("unsupported_reason what is impossible", assert_refuses, impossible),
        ("matches the definition", assert_matches_reference, problems),
        ("gradients match", assert_gradients_match, problems),
        ("transforms", assert_transforms, problems),
    ]
    return [ask(law, name, fn, drawn, examples=examples) for name, law, drawn in laws]


def ask(
    law: Law,
    name: str,
    fn: Callable[..., jax.Array],
    problems: SearchStrategy[Problem],
    *,
    examples: int = 50,
) -> Finding:
    """Puts one law to ``fn``; a failure is that of the smallest problem found.

    >>> import jaxcnn
    >>> from jaxcnn.testing import assert_refuses, impossible_conv_problems
    >>> floor = lambda *a, **k: jaxcnn.conv(*a, **k | {"rounding": "floor"})
    >>> ask(assert_refuses, "unsupported_reason", floor, impossible_conv_problems(ranks=(1,))).holds
    False
    """
    failures: list[str] = []

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        print_blob=False,
        phases=(Phase.generate, Phase.shrink),
        # Hypothesis leaves unsaid that iterating over the checks gives checks.
        suppress_health_check=list(HealthCheck),  # type: ignore[arg-type]
    )
    @given(problems)
    def hold(problem: Problem) -> None:
        try:
            law(fn, problem)
        except AssertionError as error:
            failures.append(str(error))
            raise

    try:
        hold()
    except AssertionError:
        return Finding(name, failures[-1])  # hypothesis runs the smallest one last
    return Finding(name, None)
