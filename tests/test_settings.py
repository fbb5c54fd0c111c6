"""Every operation, its value and its gradient, under the settings that careful people run JAX with.

Strict promotion of dtypes and ranks is not among them: the whole suite runs under it (conftest).
"""

from contextlib import ExitStack, contextmanager

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import ops
from jaxcnn.testing import gamma
from tests.test_error_table import RIGHT


@contextmanager
def _updated(name, value):
    before = getattr(jax.config, name)
    jax.config.update(name, value)
    try:
        yield
    finally:
        jax.config.update(name, before)


@contextmanager
def _watched():
    """All that JAX can watch for, at once."""
    with ExitStack() as stack:
        stack.enter_context(_updated("jax_enable_checks", True))
        stack.enter_context(jax.checking_leaks())
        stack.enter_context(jax.debug_nans(True))
        stack.enter_context(jax.transfer_guard("disallow"))
        yield


SETTINGS = {
    "checks, leaks, NaNs and transfers watched": _watched,
    "jax_enable_x64": lambda: jax.enable_x64(True),
    "jax_disable_jit": jax.disable_jit,
}


def _is_real(array):
    return hasattr(array, "dtype") and jnp.issubdtype(array.dtype, jnp.floating)


ARRAYS = {
    name: {
        word: (jnp.arange(value.size, dtype=value.dtype) % 7 / 8 - 0.25).reshape(value.shape)
        for word, value in call.items()
        if _is_real(value)
    }
    for name, call in RIGHT.items()
}


def _values_and_gradients(arrays):
    """For each operation its results and the gradients of a weighted sum of them."""

    def each(name, arrays):
        options = {word: value for word, value in RIGHT[name].items() if word not in arrays}

        def call(arrays):
            results = jax.tree.leaves(getattr(ops, name)(**arrays, **options))
            return [result for result in results if _is_real(result)]

        results, pull_back = jax.vjp(call, arrays)
        weights = [(jnp.arange(y.size, dtype=y.dtype) % 3).reshape(y.shape) for y in results]
        return results, pull_back(weights)

    return {name: each(name, arrays[name]) for name in arrays}


@pytest.fixture(scope="module")
def usual():
    return jax.device_get(jax.jit(_values_and_gradients)(ARRAYS))


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_changes_no_value_and_no_gradient(setting, usual):
    with SETTINGS[setting]():
        got = jax.device_get(jax.jit(lambda arrays: _values_and_gradients(arrays))(ARRAYS))
    for ours, plain in zip(jax.tree.leaves(got), jax.tree.leaves(usual), strict=True):
        assert ours.dtype == plain.dtype
        # The longest sums here are those of kernel gradients, over 128 places of numbers below 2.
        np.testing.assert_allclose(ours, plain, rtol=0, atol=gamma(128, "float32") * 128 * 4)


def test_every_operation_is_called():
    assert set(ARRAYS) == set(ops.__all__) - {
        name for name in ops.__all__ if name.startswith("kernel_")
    }
