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
    cells = [st.integers(0, size + limit) for size in sizes]
    padding = [(draw(side), draw(side)) for side in cells]
    batch = draw(st.sampled_from([(), (0,), (2,)]))
    return (
        (*batch, *sizes, draw(st.integers(1, 2))),
        padding,
        padding_mode,
        draw(st.sampled_from(dtypes)),
    )


def around(shape, padding):
    """Pairs for all axes, with no padding of batch and channels."""
    return [(0, 0)] * (len(shape) - 1 - len(padding)) + padding + [(0, 0)]


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
        if x.size:
            want = np.pad(x, around(shape, padding), mode=NUMPY_MODES[padding_mode])
        else:
            want = np.pad(x, around(shape, padding))
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
        sources = [source_cell(i, size, padding_mode) for i in range(-low, size + high)]
        counts = np.multiply.outer(counts, [sources.count(cell) for cell in range(size)])
    want = np.broadcast_to(counts[0][..., None], shape)
    x = jnp.ones(shape)
    for form in (pad, reference_pad):
        gradient = jax.grad(lambda x, form=form: form(x, padding, padding_mode=padding_mode).sum())(
            x
        )
        np.testing.assert_array_equal(gradient, want)


@pytest.mark.parametrize("padding_mode", sorted(FILLED))
def test_transformations_keep_the_numbers_of_a_padding(padding_mode):
    def fn(x):
        return pad(x, [1, (0, 2)], padding_mode=padding_mode)

    x = jnp.arange(24.0).reshape(3, 4, 2)
    y, tangent = jax.jvp(fn, (x,), (2 * x,))
    np.testing.assert_array_equal(jax.jit(fn)(x), y)
    np.testing.assert_array_equal(tangent, 2 * y)
    np.testing.assert_array_equal(jax.vmap(fn)(jnp.stack([x, -x])), jnp.stack([y, -y]))
    assert_lowers(fn, (x,), returns=jax.ShapeDtypeStruct((5, 6, 2), "float32"))


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
    (X, -1, "zeros", ValueError, ["padding", ">= 0", "-1", "slice"]),
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
