"""Padding: the values beyond the edge, and the gradient."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.geometry.padding_mode import source_cell
from jaxcnn.ops.pad import pad
from jaxcnn.reference.pad import pad as reference_pad
from jaxcnn.testing import assert_lowers
from tests.cases import few, scaled
from tests.ops.operation_problem import DTYPES

FORMS = pytest.mark.parametrize("form", [pad, reference_pad])
FILLED = {
    "zeros": [0, 0, 1, 2, 3, 4, 0, 0],
    "reflect": [3, 2, 1, 2, 3, 4, 3, 2],
    "replicate": [1, 1, 1, 2, 3, 4, 4, 4],
    "circular": [3, 4, 1, 2, 3, 4, 1, 2],
}
NUMPY_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@st.composite
def paddings(draw, dtypes=(*DTYPES, "int32", "uint8")):
    """(shape, padding, padding_mode, dtype), with no more padding than the mode can fill."""
    padding_mode = draw(st.sampled_from(sorted(FILLED)))
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    limit = {"reflect": -1, "circular": 0}.get(padding_mode, 2)
    padding = []
    for size in sizes:
        cut = [draw(st.integers(0, (size - 1) // 2)) for _ in range(2)]
        most = size - sum(cut) + limit
        padding.append(tuple(-cells if cells else draw(st.integers(0, most)) for cells in cut))
    batch = draw(st.sampled_from([(), (0,), (2,)]))
    return (
        (*batch, *sizes, draw(st.integers(1, 2))),
        padding,
        padding_mode,
        draw(st.sampled_from(dtypes)),
    )


def by_numpy(x, padding, padding_mode, **kwargs):
    """x, cut and then padded by NumPy."""
    first = x.ndim - 1 - len(padding)
    sides = zip(x.shape[first:-1], padding, strict=True)
    cuts = (slice(max(-low, 0), n - max(-high, 0)) for n, (low, high) in sides)
    added = [(max(low, 0), max(high, 0)) for low, high in padding]
    mode = NUMPY_MODES[padding_mode] if x.size else "constant"
    return np.pad(x[(..., *cuts, slice(None))], [(0, 0)] * first + added + [(0, 0)], mode, **kwargs)


@FORMS
@pytest.mark.parametrize(("padding_mode", "cells"), FILLED.items())
def test_1234_is_padded_as_the_docstring_shows(form, padding_mode, cells):
    x = jnp.array([[1], [2], [3], [4]])
    np.testing.assert_array_equal(form(x, [2], padding_mode=padding_mode)[:, 0], cells)
    assert [source_cell(i, 4, padding_mode) for i in range(-2, 6)] == [
        cell - 1 if cell else None for cell in cells
    ]


@scaled(2)
@given(paddings())
def test_both_forms_pad_as_numpy_does(case):
    shape, padding, padding_mode, dtype = case
    with jax.enable_x64(True):
        x = np.arange(1, 1 + np.prod(shape)).reshape(shape).astype(jnp.dtype(dtype))
        want = by_numpy(x, padding, padding_mode)
        for form in (pad, reference_pad):
            got = form(jnp.asarray(x), padding, padding_mode=padding_mode)
            assert got.dtype == x.dtype
            np.testing.assert_array_equal(got, want)


@few
@given(paddings(dtypes=("float32",)))
def test_the_gradient_of_padding_counts_the_copies_of_each_cell(case):
    shape, padding, padding_mode, _ = case
    counts = np.ones(1)
    for size, (low, high) in zip(shape[-1 - len(padding) : -1], padding, strict=True):
        before, after = max(-low, 0), max(-high, 0)
        left = size - before - after
        sources = [
            source_cell(i, left, padding_mode) for i in range(-max(low, 0), left + max(high, 0))
        ]
        kept = [sources.count(cell) for cell in range(left)]
        counts = np.multiply.outer(counts, [0] * before + kept + [0] * after)
    want = np.broadcast_to(counts[0][..., None], shape)
    x = jnp.ones(shape)
    for form in (pad, reference_pad):
        gradient = jax.grad(lambda x, form=form: form(x, padding, padding_mode=padding_mode).sum())(
            x
        )
        np.testing.assert_array_equal(gradient, want)


@FORMS
@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (2.5, "float32"),
        (-np.inf, "bfloat16"),
        (1 + 2j, "complex64"),
        (-128, "int8"),
        (255, "uint8"),
    ],
)
def test_another_value_than_zero_fills_the_padding(form, value, dtype):
    x = np.arange(12).reshape(1, 3, 4, 1).astype(jnp.dtype(dtype))
    for number in (value, np.asarray(value).astype(x.dtype), jnp.asarray(value, dtype)):
        got = form(jnp.asarray(x), [(1, 2), (-1, 0)], value=number)
        want = by_numpy(x, [(1, 2), (-1, 0)], "zeros", constant_values=value)
        assert got.dtype == x.dtype
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("padding_mode", sorted(FILLED))
def test_transformations_keep_the_numbers_of_a_padding(padding_mode):
    def fn(x):
        return pad(x, [(1, -1), (0, 2)], padding_mode=padding_mode)

    x = jnp.arange(24.0).reshape(3, 4, 2)
    y, tangent = jax.jvp(fn, (x,), (2 * x,))
    np.testing.assert_array_equal(jax.jit(fn)(x), y)
    np.testing.assert_array_equal(tangent, 2 * y)
    np.testing.assert_array_equal(jax.vmap(fn)(jnp.stack([x, -x])), jnp.stack([y, -y]))
    assert_lowers(fn, (x,), returns=jax.ShapeDtypeStruct((3, 6, 2), "float32"))


def test_one_int_pads_all_spatial_axes_of_a_batch():
    assert pad(jnp.ones((2, 3, 4, 5)), 1).shape == (2, 5, 6, 5)
    assert pad(jnp.ones((3, 4, 5)), (1, 2)).shape == (5, 8, 5)


X = jnp.ones((2, 3, 4, 5))
REFUSED = [
    (X, 3, "reflect", ValueError, ["reflect", "at most 2 ", "height 3", "3", "replicate"]),
    (X, 4, "circular", ValueError, ["circular", "at most 3 ", "height 3", "4", "replicate"]),
    (X, 1, "partial", ValueError, ["partial", "window", "conv("]),
    (X, 1, "mirror", ValueError, ["padding_mode", "mirror", "'reflect'"]),
    (X, "SAME", "zeros", ValueError, ["SAME", "kernel_size", "pair (before, after)"]),
    (X, (-2, -1), "zeros", ValueError, ["cuts off 4 of the 3 cells of height", "2 or fewer"]),
    (X, [(3, -1), 0], "reflect", ValueError, ["after the cut", "at most 1 ", "height 2", "repl"]),
    (X, 1.5, "zeros", TypeError, ["padding", "1.5"]),
    (X, [1], "zeros", ValueError, ["(2, 3, 4, 5)", "4 axes", "1 spatial axis", "2 for one"]),
    (X, None, "zeros", TypeError, ["padding", "None"]),
    (jnp.ones(3), 1, "zeros", ValueError, ["(3,)", "(N, *spatial, C)"]),
    (jnp.ones((2, 0, 4)), 1, "zeros", ValueError, ["length", ">= 1", "0"]),
    ([1, 2], 1, "zeros", TypeError, ["x", "list", "jnp.asarray"]),
]


@FORMS
@pytest.mark.parametrize(("x", "padding", "padding_mode", "kind", "words"), REFUSED)
def test_an_impossible_padding_is_refused_with_its_numbers_and_advice(
    form, x, padding, padding_mode, kind, words
):
    with pytest.raises(kind) as caught:
        form(x, padding, padding_mode=padding_mode)
    message = str(caught.value)
    assert message.startswith("pad: ")
    for word in words:
        assert word in message


WRONG_VALUES = [
    ("float32", "1", ["value", "a number", "'1'"]),
    ("float32", np.ones(2), ["value", "a number"]),
    ("float32", 1j, ["1j", "float32"]),
    ("int32", 0.5, ["0.5", "int32"]),
    ("int32", np.inf, ["inf", "int32"]),
    ("uint8", -1, ["-1", "uint8"]),
]


@FORMS
@pytest.mark.parametrize(("dtype", "value", "words"), WRONG_VALUES)
def test_a_value_that_x_cannot_hold_is_refused(form, dtype, value, words):
    with pytest.raises(TypeError, match=r"^pad: ") as caught:
        form(X.astype(dtype), 1, value=value)
    for word in words:
        assert word in str(caught.value)
    with pytest.raises(TypeError, match=r"^pad: value must be a number"):
        jax.jit(lambda value: form(X, 1, value=value))(1.0)


@FORMS
def test_a_value_for_a_mode_that_copies_cells_is_refused(form):
    with pytest.raises(ValueError, match=r'^pad: value 1 is for padding_mode "zeros"; "reflect"'):
        form(X, 1, padding_mode="reflect", value=1)
