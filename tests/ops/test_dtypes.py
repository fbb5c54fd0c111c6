"""Every operation in every dtype of JAX has a right result, or an error that names the dtype."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import ops, reference
from jaxcnn.testing import unit_roundoff
from tests.ops.calls import INTEGERS, call_of, drawn

STORED_ONLY = {"bool", "float8_e8m0fnu"}


def named_by_jax():
    """The names of the dtypes in jax.numpy."""
    kinds = ("bool", "int", "uint", "float", "bfloat", "complex")
    names = {
        jnp.dtype(value).name
        for name, value in vars(jnp).items()
        if name.startswith(kinds) and isinstance(value, type(jnp.float32))
    }
    return sorted(names)


def is_stored_only(name):
    """Whether JAX only stores the dtype, and does not compute with it."""
    if name in STORED_ONLY:
        return True
    dtype = jnp.dtype(name)
    if jnp.issubdtype(dtype, jnp.integer):
        return jnp.iinfo(dtype).bits < 8
    return jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits < 8


def refused_of(dtype):
    """The operations without a result in the dtype: means of integers, pools of complex numbers."""
    ordered = {name for name in ops.__all__ if "max_pool" in name or "min_pool" in name}
    ordered |= {name for name in ops.__all__ if "avg" in name or "lp_" in name or "blur" in name}
    ordered |= {"deform_conv", "upsample"}  # linear interpolation
    if jnp.issubdtype(dtype, jnp.complexfloating):
        return ordered
    fractions = {name for name in ordered if "max" not in name and "min" not in name}
    return fractions if jnp.issubdtype(dtype, jnp.integer) else set()


CHECKED = sorted(
    set(ops.__all__) - set(INTEGERS) - {name for name in ops.__all__ if name.startswith("kernel_")}
)


@pytest.mark.parametrize("dtype", [name for name in named_by_jax() if is_stored_only(name)])
def test_a_dtype_that_is_only_stored_is_refused_by_name(dtype):
    for name in CHECKED:
        arrays = drawn(name, dtype, np.ones)
        for form in (ops, reference):
            with pytest.raises(TypeError, match=rf"^{name}: .* is {dtype};.*astype"):
                call_of(form, name)(*arrays)


@pytest.mark.parametrize("dtype", [name for name in named_by_jax() if not is_stored_only(name)])
def test_an_operation_in_any_dtype_gives_the_result_of_a_wider_one_rounded_once(dtype):
    draws = np.random.default_rng(0)
    with jax.enable_x64(True):
        kind = jnp.dtype(dtype)
        refused = refused_of(kind)
        for name in sorted(refused):
            with pytest.raises(TypeError, match=rf"^{name}: x is {dtype}.*use x"):
                call_of(ops, name)(*drawn(name, dtype, np.ones))
        arrays = {
            name: drawn(name, dtype, partial(draws.integers, 0, 2))
            for name in CHECKED
            if name not in refused
        }
        wide = {n: [_widest(a) for a in given] for n, given in arrays.items()}
        got, want = _walk(arrays), _walk(wide)
        rtol = 0 if kind.kind in "iu" else 2 * unit_roundoff(dtype)
        for name in arrays:
            for one, other in zip(got[name], want[name], strict=True):
                close = partial(np.testing.assert_allclose, err_msg=name, atol=0)
                # One rounding each, of results and of intermediate maps.
                rounded = jnp.asarray(other).astype(one.dtype)
                close(_widest(one), _widest(rounded), rtol=rtol)


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("place", [0, 1])
def test_an_operation_of_8_bit_integers_refuses_every_other_dtype_by_name(name, place):
    with jax.enable_x64(True):
        for dtype in set(named_by_jax()) - {"int8", "uint8"}:
            arrays = drawn(name, "int8", np.ones)
            arrays[place] = arrays[place].astype(jnp.dtype(dtype))
            for form in (ops, reference):
                with pytest.raises(TypeError, match=rf"^{name}: \w+ is {dtype}[,;].*astype"):
                    call_of(form, name)(*arrays)


@jax.jit
def _walk(arrays):
    return {n: jax.tree.leaves(call_of(ops, n)(*given)) for n, given in arrays.items()}


def _widest(array):
    if jnp.issubdtype(array.dtype, jnp.integer):
        return np.asarray(array).astype("int64")
    complex_ = jnp.issubdtype(array.dtype, jnp.complexfloating)
    return np.asarray(array).astype("complex128" if complex_ else "float64")
