"""What proves this package right, for anyone's convolution: drawn problems, and laws to hold.

    from hypothesis import given, settings
    from jaxcnn.testing import assert_matches_reference, conv_problems

    @settings(deadline=None)  # each problem is compiled anew
    @given(conv_problems())
    def test_my_convolution_is_the_definition(problem):
        assert_matches_reference(my_conv, problem)

``my_conv`` takes the arguments of :func:`jaxcnn.conv`, ``my_pool`` those of
:func:`jaxcnn.max_pool`; wrap it where yours are called otherwise. What fails is shrunk by
hypothesis and printed as a call that can be pasted into a test.

Imports geometry and reference. Needs hypothesis: ``pip install "jaxcnn[test]"``.
"""

try:
    import hypothesis as _hypothesis  # noqa: F401  (asked for here so that the answer is clear)
except ImportError as _missing:
    raise ImportError(
        "jaxcnn.testing draws its problems with hypothesis, which is not installed; "
        'use: pip install "jaxcnn[test]"'
    ) from _missing

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
from jaxcnn.testing.strategies import (
    conv_problems,
    impossible_conv_problems,
    impossible_pool_problems,
    pool_problems,
)
from jaxcnn.testing.survey import Finding, ask, survey
from jaxcnn.testing.tolerance import assert_sums_close, gamma, unit_roundoff

__all__ = [
    "ConvProblem",
    "Finding",
    "PoolProblem",
    "adapters",
    "ask",
    "assert_adjoint",
    "assert_gradients_match",
    "assert_lowers",
    "assert_matches_reference",
    "assert_obeys_geometry",
    "assert_refuses",
    "assert_sums_close",
    "assert_transforms",
    "conv_problems",
    "gamma",
    "impossible_conv_problems",
    "impossible_pool_problems",
    "pool_problems",
    "survey",
    "unit_roundoff",
]
