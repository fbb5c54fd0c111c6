"""Checks that two contenders agree within a bound from the dtype and the number of terms.

The operands are independent and uniform between -1 and 1. The n products of a sum therefore have a
mean magnitude of 1/4, and magnitudes that add up to at most n/4 + 10*sqrt(n)/4, except with a
negligible probability. The rounding errors of a sum of 100,000 terms are bounded as independent
ones: :func:`jaxcnn.testing.tolerance.probable_gamma`.

Sums of 16-bit numbers are held in float32. Their results, and the parts that an algorithm adds up,
each about sqrt(n) in size, are rounded to 16 bits a few times.
"""

from __future__ import annotations

import numpy as np

from jaxcnn.testing.tolerance import assert_within, gamma, probable_gamma

DEVIATIONS = 10
PARTS = 4
"""The most parts of a sum that are rounded to 16 bits."""


class WrongResultError(ArithmeticError):
    """A contender's result differs from lax's by more than rounding."""


def require_same(got: np.ndarray, want: np.ndarray, terms: int, dtype: str, what: str) -> None:
    """Refuses a result that is further from ``want`` than rounding explains.

    Args:
      got, want: float32; each number is a sum of ``terms`` products.
      dtype: the dtype of the computation.
      what: the row, direction and contender, for the message.

    Raises:
      WrongResultError: with ``what``, both numbers, the bound and the place.

    >>> require_same(np.float32([2.0]), np.float32([2.5]), 9, "float32", "3x3, forward: lax")
    Traceback (most recent call last):
    jaxcnn.bench.check.WrongResultError: 3x3, forward: lax: 2 differs from 2.5 by 0.5, ...
    """
    try:
        assert_within(got, want, tolerance(want, terms, dtype), what)
    except AssertionError as error:
        raise WrongResultError(str(error)) from None


def tolerance(want: np.ndarray, terms: int, dtype: str) -> np.ndarray:
    """The largest difference of two such sums that rounding explains, entry by entry."""
    magnitude = min(terms, terms / 4 + DEVIATIONS * terms**0.5 / 4)
    error = 2 * probable_gamma(terms, "float32", deviations=DEVIATIONS) * magnitude
    if dtype == "float32":
        return np.full(want.shape, error)
    return error + 2 * gamma(PARTS, dtype) * (np.abs(want) + terms**0.5)
