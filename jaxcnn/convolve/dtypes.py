"""The dtypes in which convolutions are computed."""

from __future__ import annotations

FLOATS = ("float32", "float64", "bfloat16", "float16")
"""The only dtypes of every algorithm except the direct call."""


def accumulator(dtype: str) -> str:
    """The dtype of sums of products: float32 at least.

    >>> accumulator("bfloat16"), accumulator("float64")
    ('float32', 'float64')
    """
    return "float64" if dtype == "float64" else "float32"
