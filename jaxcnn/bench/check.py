"""Whether two contenders computed the same: a bound derived from the dtype and the terms.

The operands are independent and uniform between -1 and 1, so the n products summed for one number
have a mean magnitude of 1/4 and sum to S <= n/4 + 10*sqrt(n)/4 in magnitude but with a chance far
below that of a broken machine. Rounding errors are taken as independent too: n of them stay within
10*sqrt(n)*u*S, where in the worst case it would be n*u*S, which says nothing of a sum of 100,000
terms. Source: N. J. Higham, T. Mary, "A new approach to probabilistic rounding error analysis",
SIAM J. Sci. Comput. 41 (2019), theorem 2.4, with lambda = 10.

Sums of 16-bit numbers are held in float32; the result, and the parts that an algorithm puts
together, each about sqrt(n) in size, are rounded to 16 bits a few times.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

LAMBDA = 10
PARTS = 4
"""How many parts of a sum may be rounded to 16 bits on the way."""


class WrongResultError(ArithmeticError):
    """A contender's result differs from lax's by more than rounding."""


def require_same(got: np.ndarray, want: np.ndarray, terms: int, dtype: str, what: str) -> None:
    """Refuses a result that is further from ``want`` than rounding explains.

    Args:
      got, want: float32, one number a sum of ``terms`` products.
      dtype: what they were computed in.
      what: the row, direction and contender, for the message.

    Raises:
      WrongResultError: naming ``what`` and the worst place.

    >>> require_same(np.float32([2.0]), np.float32([2.5]), 9, "float32", "3x3, forward: lax")
    Traceback (most recent call last):
    jaxcnn.bench.check.WrongResultError: 3x3, forward: lax gives 2 where ... at most 5.0e-05
    """
    if got.shape != want.shape:
        raise WrongResultError(f"{what} gives shape {got.shape} where {want.shape} is right")
    bound = tolerance(want, terms, dtype)
    with np.errstate(invalid="ignore"):
        excess = np.where(np.isfinite(got), np.abs(got - want) - bound, np.inf)
    worst = np.unravel_index(np.argmax(excess), excess.shape)
    if excess[worst] <= 0:
        return
    place = tuple(map(int, worst))
    raise WrongResultError(
        f"{what} gives {got[worst]:.6g} where {want[worst]:.6g} is right, at {place} of "
        f"{got.shape}; rounding in {dtype} differs by at most {bound[worst]:.1e}"
    )


def tolerance(want: np.ndarray, terms: int, dtype: str) -> np.ndarray:
    """How far two computed sums may lie apart, entry by entry."""
    magnitude = min(terms, terms / 4 + LAMBDA * terms**0.5 / 4)
    single = 2 * LAMBDA * terms**0.5 * float(jnp.finfo("float32").eps) / 2 * magnitude
    if dtype == "float32":
        return np.full(want.shape, single, np.float32)
    half = 2 * PARTS * float(jnp.finfo(dtype).eps) / 2
    return single + half * (np.abs(want) + np.float32(terms**0.5))
