"""Error bounds for floating-point sums, computed from the dtype and the number of roundings.

With u the unit roundoff, n successive roundings change a term by a factor within 1 +- gamma_n,
gamma_n = n*u/(1 - n*u), in any order of summation. A computed sum of products is therefore within
gamma_n * sum |x||w| of the exact one. Source: N. J. Higham, "Accuracy and Stability of Numerical
Algorithms", 2nd ed., SIAM 2002, lemma 3.1 and equation 3.5.

The bounds hold entry by entry. They assume that nothing overflows or underflows
(:mod:`jaxcnn.testing.problems` draws magnitudes from 1/8 to 1) and that the algorithm adds up the
terms themselves, without a transform (FFT, Winograd).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import chex
import jax.numpy as jnp
import numpy as np

from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from jax.typing import ArrayLike, DTypeLike


def unit_roundoff(dtype: DTypeLike) -> float:
    """u: the largest relative error of rounding to the nearest number of ``dtype``.

    >>> unit_roundoff("bfloat16") == 2**-8, unit_roundoff("float32") == 2**-24
    (True, True)
    """
    return float(jnp.finfo(dtype).eps) / 2


def gamma(roundings: int, dtype: DTypeLike) -> float:
    """gamma_n = n*u/(1 - n*u): the largest relative error after n roundings.

    Raises:
      InputError: if n*u >= 1, because no bound exists.

    >>> gamma(0, "float32")
    0.0
    >>> gamma(16, "float16") == (16 / 2**11) / (1 - 16 / 2**11)
    True
    """
    error = roundings * unit_roundoff(dtype)
    if error >= 1:
        raise InputError(
            f"{roundings} roundings in {jnp.dtype(dtype).name} have no error bound; use fewer than "
            f"{round(1 / unit_roundoff(dtype))} terms, or a wider dtype"
        )
    return error / (1 - error)


def probable_gamma(roundings: int, dtype: DTypeLike, *, deviations: float = 10) -> float:
    """The relative error after n roundings that are independent and of mean zero.

    It grows with sqrt(n), so it is useful for a sum of 100,000 float32 terms, for which
    :func:`gamma` is too large. It fails with probability below 2*n*exp(-deviations**2 / 2), which
    is 4e-22*n by default. Source: N. J. Higham, T. Mary, "A new approach to probabilistic rounding
    error analysis", SIAM J. Sci. Comput. 41 (2019), theorem 2.4, with lambda = ``deviations``.

    >>> probable_gamma(10_000, "float32") < gamma(10_000, "float32") / 9
    True
    """
    u = unit_roundoff(dtype)
    return math.expm1(deviations * math.sqrt(roundings) * u + roundings * u**2 / (1 - u))


def rounding_bound(magnitude: ArrayLike, relative_error: float) -> np.ndarray:
    """The error of a sum with this relative error in each of its terms, in float64.

    Args:
      magnitude: the sum of the terms' magnitudes: the same sum over |x| and |w|, computed with the
        same relative error.
      relative_error: e, for instance ``gamma(n, dtype)``; for the distance between two computed
        sums, the sum of their errors.

    Returns:
      e * (1 + e) * |magnitude|, of its shape.

    >>> float(rounding_bound(8.0, 0.25))
    2.5
    """
    return relative_error * (1 + relative_error) * np.abs(np.asarray(magnitude, np.float64))


def assert_within(got: ArrayLike, want: ArrayLike, bound: ArrayLike, what: str = "result") -> None:
    """Checks |got - want| <= bound in every entry.

    NaN equals NaN, and an infinity equals one of the same sign; neither is within a bound of
    anything else.

    Args:
      got, want: real arrays of one shape.
      bound: of a shape that broadcasts to theirs.
      what: what is compared, for the message.

    Raises:
      AssertionError: with both numbers, the bound and the place of the largest excess.

    >>> assert_within(np.float32([1, 2]), [1, 2.5], [0, 0.5])
    >>> assert_within(np.float32([1, 2]), [1, 2.5], 0.25, "forward")
    Traceback (most recent call last):
    AssertionError: forward: 2 differs from 2.5 by 0.5, allowed is 0.25 (at [1] of shape (2,); ...
    """
    got, want = (np.asarray(a).astype(np.float64) for a in (got, want))
    chex.assert_shape(got, want.shape, custom_message=what)
    bound = np.broadcast_to(np.asarray(bound, np.float64), got.shape)
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0, np.abs(got - want))
        wrong = ~(same | ((error <= bound) & np.isfinite(error)))
        excess = np.where(np.isnan(error), np.inf, error - bound)
    if not wrong.any():
        return
    place = np.unravel_index(np.argmax(np.where(wrong, excess, -np.inf)), got.shape)
    raise AssertionError(
        f"{what}: {got[place]:.9g} differs from {want[place]:.9g} by {error[place]:.3g}, "
        f"allowed is {bound[place]:.3g} (at {[*map(int, place)]} of shape {got.shape}; "
        f"{int(wrong.sum())} of {got.size} entries exceed their bound)"
    )


def assert_sums_close(
    got: ArrayLike,
    want: ArrayLike,
    magnitude: ArrayLike,
    *,
    roundings: int,
    dtype: DTypeLike | None = None,
    what: str = "result",
) -> None:
    """Checks |got - want| <= (gamma_n(got) + gamma_n(want)) * magnitude in every entry.

    NaN equals NaN, and an infinity equals one of the same sign.

    Args:
      got, want: two sums of the same terms, each in its own dtype.
      magnitude: the sum of the terms' magnitudes: the same sum over |x| and |w|.
      roundings: n, the most roundings that a term goes through in either sum.
      dtype: the dtype they were rounded to, if not the dtype of the arrays.
      what: what is compared, for the message.

    Raises:
      AssertionError: with both numbers, the bound and the place of the largest excess.

    >>> x = np.float32([0.1, 0.2, 0.3])
    >>> assert_sums_close(x.sum(), x.astype(float).sum(), abs(x).sum(), roundings=3)
    >>> assert_sums_close(x.sum(), x.astype(float).sum() + 1e-5, abs(x).sum(), roundings=3)
    Traceback (most recent call last):
    AssertionError: result, 3 roundings in float32: 0.6 differs from 0.60001 by 1e-05, ...
    """
    got, want = np.asarray(got), np.asarray(want)
    dtypes = dtype or got.dtype, dtype or want.dtype
    bound = rounding_bound(magnitude, sum(gamma(roundings, each) for each in dtypes))
    what = f"{what}, {roundings} roundings in {jnp.dtype(dtypes[0]).name}"
    assert_within(got, want, bound, what)
