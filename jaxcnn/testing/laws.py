"""Checks every law against one function, with a result for each; needs hypothesis.

A test would stop at the first failure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, given, settings

from jaxcnn.testing.assertions import (
    assert_matches_reference,
    assert_obeys_geometry,
    assert_refuses,
)
from jaxcnn.testing.derivatives import assert_gradients_match, assert_transforms

if TYPE_CHECKING:
    import jax
    from hypothesis.strategies import SearchStrategy

    from jaxcnn.testing.problems import Problem

Law = Callable[[Callable[..., "jax.Array"], Any], None]


@dataclass(frozen=True)
class LawResult:
    """Whether a law held and, if not, the problem that breaks it.

    Attributes:
      law: the law's name.
      failure: None if the law held for every drawn problem; otherwise the failure message for the
        smallest problem that breaks it.

    >>> LawResult("obeys geometry", None).holds
    True
    """

    law: str
    failure: str | None

    @property
    def holds(self) -> bool:
        """Whether no drawn problem broke the law."""
        return self.failure is None


def check_laws(
    fn: Callable[..., jax.Array],
    problems: SearchStrategy[Problem],
    impossible: SearchStrategy[Problem],
    *,
    examples: int = 50,
) -> list[LawResult]:
    """Checks every law of this package, on the same problems at every call.

    Args:
      fn: called as :func:`jaxcnn.conv`, or as the pool whose problems are drawn.
      problems: a strategy for problems to compute, such as ``conv_problems()``.
      impossible: a strategy for problems to refuse, such as ``impossible_conv_problems()``.
      examples: how many problems are drawn for each law.

    Returns:
      One result for each law.

    >>> import jaxcnn
    >>> from jaxcnn.testing import conv_problems, impossible_conv_problems
    >>> drawn = conv_problems(ranks=(1,)), impossible_conv_problems(ranks=(1,))
    >>> all(result.holds for result in check_laws(jaxcnn.conv, *drawn, examples=2))
    True
    """
    laws: list[tuple[str, Law, SearchStrategy[Problem]]] = [
        ("obeys geometry", assert_obeys_geometry, problems),
        ("refuses what is impossible", assert_refuses, impossible),
        ("matches the definition", assert_matches_reference, problems),
        ("gradients match", assert_gradients_match, problems),
        ("transforms", assert_transforms, problems),
    ]
    return [check_law(law, name, fn, drawn, examples=examples) for name, law, drawn in laws]


def check_law(
    law: Law,
    name: str,
    fn: Callable[..., jax.Array],
    problems: SearchStrategy[Problem],
    *,
    examples: int = 50,
) -> LawResult:
    """Checks one law, on the same problems at every call.

    Args:
      law: an assertion of this package that takes ``fn`` and a problem.
      name: the law's name in the result.
      fn, problems, examples: as in :func:`check_laws`.

    >>> import jaxcnn
    >>> from jaxcnn.testing import assert_refuses, impossible_conv_problems
    >>> floor = lambda *a, **k: jaxcnn.conv(*a, **k | {"rounding": "floor"})
    >>> check_law(assert_refuses, "refuses", floor, impossible_conv_problems(ranks=(1,))).holds
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
        # Iteration over HealthCheck gives its members, but hypothesis' annotations do not say so.
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
        return LawResult(name, failures[-1])  # hypothesis runs the smallest problem last
    return LawResult(name, None)
