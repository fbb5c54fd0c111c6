"""Property tests for any convolution or pool: random problems, and laws that must hold for them.

    from hypothesis import given, settings
    from jaxcnn.testing import assert_matches_reference, conv_problems

    @settings(deadline=None)  # each problem is compiled separately
    @given(conv_problems())
    def test_my_convolution_is_the_definition(problem):
        assert_matches_reference(my_conv, problem)

``my_conv`` takes the arguments of :func:`jaxcnn.conv`, ``my_pool`` those of
:func:`jaxcnn.max_pool`; wrap a function that takes others (:mod:`jaxcnn.testing.adapters` wraps
Flax and lax). Hypothesis shrinks a failing problem, and the failure prints it as a call to paste.

The strategies, :func:`check_law` and :func:`check_laws` need hypothesis:
``pip install "jaxcnn[testing]"``. Everything else works without it. Imports geometry and reference.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jaxcnn.testing import adapters
from jaxcnn.testing.adjoint import assert_adjoint
from jaxcnn.testing.assertions import (
    assert_lowers,
    assert_matches_reference,
    assert_obeys_geometry,
    assert_refuses,
)
from jaxcnn.testing.derivatives import assert_gradients_match, assert_transforms
from jaxcnn.testing.problems import ConvProblem, PoolProblem
from jaxcnn.testing.tolerance import (
    assert_sums_close,
    assert_within,
    gamma,
    rounding_bound,
    unit_roundoff,
)

if TYPE_CHECKING:
    from jaxcnn.testing.laws import LawResult, check_law, check_laws
    from jaxcnn.testing.strategies import (
        conv_problems,
        impossible_conv_problems,
        impossible_pool_problems,
        pool_problems,
    )

__all__ = [
    "ConvProblem",
    "LawResult",
    "PoolProblem",
    "adapters",
    "assert_adjoint",
    "assert_gradients_match",
    "assert_lowers",
    "assert_matches_reference",
    "assert_obeys_geometry",
    "assert_refuses",
    "assert_sums_close",
    "assert_transforms",
    "assert_within",
    "check_law",
    "check_laws",
    "conv_problems",
    "gamma",
    "impossible_conv_problems",
    "impossible_pool_problems",
    "pool_problems",
    "rounding_bound",
    "unit_roundoff",
]

_NEED_HYPOTHESIS = dict.fromkeys(("LawResult", "check_law", "check_laws"), "laws") | dict.fromkeys(
    ("conv_problems", "impossible_conv_problems", "impossible_pool_problems", "pool_problems"),
    "strategies",
)


def __getattr__(name: str) -> Any:
    if name not in _NEED_HYPOTHESIS:
        raise AttributeError(f"module 'jaxcnn.testing' has no attribute {name!r}")
    try:
        module = import_module(f"jaxcnn.testing.{_NEED_HYPOTHESIS[name]}")
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise ImportError(
            f"jaxcnn.testing.{name} draws problems with hypothesis, which is not installed; "
            f'use: pip install "jaxcnn[testing]"'
        ) from error
    return getattr(module, name)


def __dir__() -> list[str]:
    return __all__
