"""The dtypes that convolutions are computed in."""

from __future__ import annotations

FLOATS = ("float32", "float64", "bfloat16", "float16")
"""The dtypes that every algorithm but the direct call is limited to."""


def accumulator(dtype: str) -> str:
    """The dtype in which sums of products are kept: float32 at least.

    >>> accumulator("bfloat16"), accumulator("float64")
    ('float32', 'float64')
    """
    return "float64" if dtype == "float64" else "float32"
