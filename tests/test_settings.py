"""JAX's settings (x64, checks, no jit, transfer guard) change no value and no gradient.

Strict promotion of dtypes and ranks is not among them: the whole suite runs with it (conftest).
"""

from contextlib import ExitStack, contextmanager

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import ops
from jaxcnn.testing import assert_sums_close
from tests.ops.calls import CALLS, call_of, drawn


@contextmanager
def _updated(name, value):
    before = getattr(jax.config, name)
    jax.config.update(name, value)
    try:
        yield
    finally:
        jax.config.update(name, before)


@contextmanager
def _every_check():
    """Enables every check that JAX has."""
    with ExitStack() as stack:
        stack.enter_context(_updated("jax_enable_checks", True))
        stack.enter_context(jax.checking_leaks())
        stack.enter_context(jax.debug_nans(True))
        stack.enter_context(jax.transfer_guard("disallow"))
        yield


SETTINGS = {
    "checks of types, leaks, NaNs and transfers": _every_check,
    "jax_enable_x64": lambda: jax.enable_x64(True),
    "jax_disable_jit": jax.disable_jit,
}


ROUNDINGS = 8 * 17 * 17 + 8
"""An upper bound for every sum here: the bias gradient of ``conv_transpose`` adds all outputs."""


def _values(shape):
    return np.arange(np.prod(shape)).reshape(shape) % 7 / 8 - 0.25


ARRAYS = jax.tree.map(jnp.asarray, {name: drawn(name, "float32", _values) for name in CALLS})


def _is_float(array):
    return jnp.issubdtype(array.dtype, jnp.floating)


def _values_and_gradients(arrays):
    """For each operation its results and the gradients of a weighted sum of them."""

    def each(name, floats, others):
        def call(*floats):
            results = jax.tree.leaves(call_of(ops, name)(*floats, *others))
            return [result for result in results if _is_float(result)]

        results, pull_back = jax.vjp(call, *floats)
        weights = [(jnp.arange(y.size, dtype=y.dtype) % 3).reshape(y.shape) for y in results]
        return results, pull_back(weights)

    return {
        name: each(name, list(filter(_is_float, given)), [a for a in given if not _is_float(a)])
        for name, given in arrays.items()
    }


@pytest.fixture(scope="module")
def usual():
    """The results under JAX's defaults, and the sums of their terms' magnitudes."""
    results = jax.jit(_values_and_gradients)
    return jax.device_get((results(ARRAYS), results(jax.tree.map(abs, ARRAYS))))


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_changes_no_value_and_no_gradient(setting, usual):
    with SETTINGS[setting]():
        got = jax.device_get(jax.jit(lambda arrays: _values_and_gradients(arrays))(ARRAYS))
    for ours, plain, magnitude in zip(*map(jax.tree.leaves, (got, *usual)), strict=True):
        assert ours.dtype == plain.dtype
        assert_sums_close(ours, plain, magnitude, roundings=ROUNDINGS)
