"""preferred_element_type: the dtype of a convolution's result and of its sums."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import reference
from jaxcnn.testing import assert_sums_close, assert_within, gamma

SHAPES = {
    "conv": [(2, 6, 5, 4), (3, 2, 4, 6), (6,)],
    "conv_transpose": [(2, 6, 5, 6), (3, 2, 4, 6), (4,)],
}
TERMS = 3 * 2 * 6 + 1
both_operations = pytest.mark.parametrize("name", SHAPES)
both_forms = pytest.mark.parametrize("form", [jaxcnn, reference], ids=["fast", "reference"])


def _call(form, name, preferred=None):
    return partial(getattr(form, name), padding=1, preferred_element_type=preferred)


def _drawn(name, dtype, result):
    """Arrays for the operation, the bias in the result's dtype."""
    draws = np.random.default_rng(0)
    low, high = {"int8": (-100, 100), "uint8": (0, 200)}.get(dtype, (-1, 1))
    arrays = [draws.uniform(low, high, size) for size in SHAPES[name]]
    return [
        jnp.asarray(a.astype(jnp.dtype(d)))
        for a, d in zip(arrays, (dtype, dtype, result), strict=True)
    ]


@both_forms
@both_operations
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_sums_of_bytes_do_not_wrap_in_int32(form, name, dtype):
    arrays = _drawn(name, dtype, "int32")
    got = _call(form, name, jnp.int32)(*arrays)
    want = _call(reference, name)(*(a.astype("int32") for a in arrays))
    assert got.dtype == jnp.int32
    assert abs(want).max() > 127 * 127  # some would wrap in 8 bits, and in 16
    np.testing.assert_array_equal(got, want)


@both_operations
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sums_of_16_bit_numbers_are_not_rounded_in_float32(name, dtype):
    arrays = _drawn(name, dtype, "float32")
    got = _call(jaxcnn, name, jnp.float32)(*arrays)
    want, size = (
        _call(reference, name)(*(f(a.astype("float32")) for a in arrays)) for f in (jnp.array, abs)
    )
    assert got.dtype == jnp.float32
    assert_sums_close(got, want, size, roundings=TERMS)
    rounded = want.astype(dtype).astype("float32")
    assert jnp.abs(got - want).max() < jnp.abs(rounded - want).max() / 50


@both_operations
def test_gradients_of_wide_sums_have_the_dtypes_of_the_arguments_and_the_numbers_of_the_definition(
    name,
):
    arrays = _drawn(name, "bfloat16", "float32")

    def gradients(form):
        call = _call(form, name, jnp.float32)
        return jax.grad(lambda *arrays: (call(*arrays) ** 2).sum() / 2, (0, 1, 2))(*arrays)

    def magnitudes():
        call = _call(reference, name, jnp.float32)
        magnitudes = (jnp.abs(array).astype("float32") for array in arrays)
        return jax.grad(lambda *arrays: (call(*arrays) ** 2).sum() / 2, (0, 1, 2))(*magnitudes)

    each = zip(gradients(jaxcnn), gradients(reference), magnitudes(), arrays, strict=True)
    for got, want, magnitude, array in each:
        assert got.dtype == array.dtype
        # Both round the gradient of the result, and their own result, to bfloat16.
        bound = gamma(4, "bfloat16") * np.asarray(magnitude, np.float64)
        assert_within(np.asarray(got, np.float64), np.asarray(want, np.float64), bound, name)


@both_forms
@both_operations
def test_with_a_preferred_element_type_the_bias_has_the_dtype_of_the_result(form, name):
    x, kernel, bias = _drawn(name, "int8", "int8")
    with pytest.raises(TypeError, match=rf"{name}: bias is int8 but the result is int32.*astype"):
        _call(form, name, "int32")(x, kernel, bias)
    got = _call(form, name, "int32")(x, kernel, bias.astype("int32"))
    bare = _call(form, name, "int32")(x, kernel)
    np.testing.assert_array_equal(got, np.asarray(bare) + np.asarray(bias, "int32"))


@both_forms
@both_operations
def test_a_preferred_element_type_narrower_than_x_is_refused(form, name):
    x, kernel, _ = _drawn(name, "float32", "float32")
    with pytest.raises(TypeError, match=rf"{name}: preferred_element_type bfloat16.*jnp\.float32"):
        _call(form, name, jnp.bfloat16)(x, kernel)
