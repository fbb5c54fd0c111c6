"""Error bounds: an error that rounding can cause is within them, a larger one is not."""

from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.errors import InputError
from jaxcnn.testing import assert_sums_close, assert_within, gamma, unit_roundoff
from jaxcnn.testing.tolerance import probable_gamma
from tests.cases import DTYPES, many


@pytest.mark.parametrize("dtype", DTYPES)
def test_unit_roundoff_is_the_largest_error_of_rounding_near_one(dtype):
    u = unit_roundoff(dtype)
    kind = jnp.dtype(dtype).type
    assert float(kind(1 + u)) == 1  # half way: to even
    assert float(kind(1 + u * (1 + 2**-10))) == 1 + 2 * u or dtype == "float64"
    assert float(np.nextafter(kind(1), kind(2))) == 1 + 2 * u


@many
@given(st.integers(0, 100), st.sampled_from(DTYPES))
def test_gamma_bounds_every_product_of_so_many_rounding_factors(n, dtype):
    u = Fraction(unit_roundoff(dtype))
    if n * u >= 1:
        return
    bound = gamma(n, dtype) * (1 + 1e-15)
    assert (1 + u) ** n - 1 <= bound
    assert 1 - (1 - u) ** n <= bound


def test_gamma_refuses_so_many_roundings_that_no_bound_exists():
    with pytest.raises(InputError, match=r"256 roundings in bfloat16 .* fewer than 256 terms"):
        gamma(256, "bfloat16")
    assert gamma(255, "bfloat16") > 1


@many
@given(
    st.lists(st.tuples(st.floats(0.125, 1), st.booleans()), min_size=1, max_size=60),
    st.sampled_from(("float32", "bfloat16", "float16")),
)
def test_a_sum_one_term_after_another_is_within_its_bound(terms, dtype):
    kind = jnp.dtype(dtype).type
    terms = [kind(-x if minus else x) for x, minus in terms]
    total = kind(0)
    for term in terms:
        total = kind(total + term)
    exact = sum(map(float, terms))
    magnitude = sum(abs(float(term)) for term in terms)
    assert_sums_close(total, np.float64(exact), magnitude, roundings=len(terms))


@given(st.integers(1, 3000), st.integers(0, 2**32 - 1))
def test_a_sum_of_random_terms_is_within_its_probable_bound(terms, seed):
    draws = np.random.default_rng(seed).normal(size=(terms, 20)).astype("float32")
    total = np.zeros(20, "float32")
    for term in draws:
        total += term
    exact, magnitude = draws.astype(float).sum(0), abs(draws.astype(float)).sum(0)
    assert_within(total, exact, probable_gamma(terms, "float32") * magnitude)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_error_of_twice_the_bound_is_found_and_its_entry_named(dtype):
    kind = jnp.dtype(dtype)
    want = np.ones((2, 3))
    magnitude = np.full((2, 3), 4.0)
    bound = 4 * (gamma(8, kind) + gamma(8, "float64"))
    near, far = want.copy(), want.copy()
    near[1, 2] += bound / 2
    far[1, 2] += 2 * bound
    assert_sums_close(near.astype(kind), want, magnitude, roundings=8)
    with pytest.raises(AssertionError, match=r"at \[1, 2\] of shape \(2, 3\); 1 of 6 entries"):
        assert_sums_close(far.astype(kind), want, magnitude, roundings=8)


@pytest.mark.parametrize(
    ("got", "want"),
    [(np.nan, 1.0), (1.0, np.nan), (np.inf, -np.inf), (np.inf, 1.0), (1.0, np.inf)],
)
def test_nan_and_infinities_equal_only_their_like(got, want):
    assert_within([got, want], [got, want], 0)
    for bound in (1.0, np.inf):
        with pytest.raises(AssertionError, match="1 of 1 entries exceed"):
            assert_within([got], [want], bound)


def test_arrays_of_different_shapes_are_not_close():
    with pytest.raises(AssertionError, match=r"shape \(2, 3\) but expected \(2, 1\)"):
        assert_sums_close(np.ones((2, 3)), np.ones((2, 1)), 1.0, roundings=1)


def test_without_roundings_only_equal_numbers_are_close():
    one = np.float32(1)
    assert_sums_close(one, one, 1.0, roundings=0)
    with pytest.raises(AssertionError):
        assert_sums_close(np.nextafter(one, np.float32(2)), one, 1.0, roundings=0)
