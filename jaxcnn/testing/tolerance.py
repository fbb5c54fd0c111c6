"""How far two floating-point sums of the same terms may lie apart: computed, not guessed.

With u the unit roundoff, n roundings one after another change a term by a factor within
1 +- gamma_n, gamma_n = n*u/(1 - n*u), whatever the order of summation; so a computed sum of
products lies within gamma_n * sum |x||w| of the true one. Source: N. J. Higham, "Accuracy and
Stability of Numerical Algorithms", 2nd ed., SIAM 2002, lemma 3.1 and equation 3.5.

The bound is held entry by entry. It holds where nothing overflows or underflows, which is why
:mod:`jaxcnn.testing.problems` draws magnitudes from 1/8 to 1, and for algorithms that add up the
terms themselves, not for those that pass through a transform (FFT, Winograd).
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from jaxcnn.errors import InputError


def unit_roundoff(dtype: DTypeLike) -> float:
    """u: the largest relative error of one rounding to the nearest number of ``dtype``.

    >>> unit_roundoff("bfloat16") == 2**-8, unit_roundoff("float32") == 2**-24
    (True, True)
    """
    return float(jnp.finfo(dtype).eps) / 2


def gamma(roundings: int, dtype: DTypeLike) -> float:
    """gamma_n = n*u/(1 - n*u), the relative error that n roundings can add up to.

    Raises:
      InputError: where n*u >= 1, when nothing can be said.

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


def assert_sums_close(
    got: ArrayLike,
    want: ArrayLike,
    magnitude: ArrayLike,
    *,
    roundings: int,
    dtype: DTypeLike | None = None,
    what: str = "result",
) -> None:
    """Holds |got - want| <= (gamma(got) + gamma(want)) * magnitude in every entry.

    NaN equals NaN, and infinities equal their like.

    Args:
      got, want: two sums of the same terms, each in its own dtype.
      magnitude: the sum of the terms' magnitudes: the same sum over |x| and |w|.
      roundings: n, how many roundings a term goes through at most, the same for both.
      dtype: what they were rounded to, where that is not the dtype they are given in.
      what: what is compared, for the message.

    Raises:
      AssertionError: with both numbers, the bound and the place, where it is overstepped most.

    >>> import numpy as np
    >>> x = np.float32([0.1, 0.2, 0.3])
    >>> assert_sums_close(x.sum(), x.astype(float).sum(), abs(x).sum(), roundings=3)
    >>> assert_sums_close(x.sum(), x.astype(float).sum() + 1e-5, abs(x).sum(), roundings=3)
    Traceback (most recent call last):
    AssertionError: result: 0.6 differs from 0.60001 by 1e-05, ...
    """
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        raise AssertionError(f"{what}: shape {got.shape} differs from {want.shape}")
    if not got.size:
        return
    share = gamma(roundings, dtype or got.dtype) + gamma(roundings, dtype or want.dtype)
    # The magnitude is a rounded sum itself.
    bound = share * (1 + share) * np.abs(np.asarray(magnitude, np.float64))
    bound = np.broadcast_to(bound, got.shape)
    ours, theirs = got.astype(np.float64), want.astype(np.float64)
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0, np.abs(ours - theirs))
    wrong = ~(same | (error <= bound))
    if not wrong.any():
        return
    worst = np.where(np.isnan(error), np.inf, error - bound)
    place = tuple(map(int, np.unravel_index(np.argmax(np.where(wrong, worst, -1)), got.shape)))
    raise AssertionError(
        f"{what}: {ours[place]:.9g} differs from {theirs[place]:.9g} by {error[place]:.3g}, and "
        f"{roundings} roundings in {jnp.dtype(dtype or got.dtype).name} allow {bound[place]:.3g} "
        f"(at {list(place)} of shape {got.shape}; {int(wrong.sum())} of {got.size} entries "
        f"are beyond their bound)"
    )
