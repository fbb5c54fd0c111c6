"""Convolutions with other padding modes than zeros, and kernels with a mask."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.geometry.padding_mode import PADDING_MODES
from jaxcnn.ops.conv import conv
from jaxcnn.ops.pad import pad
from jaxcnn.reference.conv import conv as reference_conv
from jaxcnn.testing import (
    assert_gradients_match,
    assert_lowers,
    assert_matches_reference,
    assert_obeys_geometry,
    assert_transforms,
    conv_problems,
    gamma,
)
from tests.cases import scaled
from tests.ops.operation_problem import (
    DTYPES,
    boundaries_for,
    boundary_roundings,
    with_kwargs,
)

FORMS = pytest.mark.parametrize("form", [conv, reference_conv])


@st.composite
def boundary_problems(draw, dtypes=DTYPES, ranks=(1, 2), max_cells=16):
    """Padded convolutions with a padding mode that fits, half of them with a mask."""
    problem = draw(
        conv_problems(
            dtypes=dtypes,
            ranks=ranks,
            max_cells=max_cells,
            paddings=("numbers", "SAME", "FULL", "CAUSAL"),
        )
    )
    kwargs = problem.kwargs | {
        "padding_mode": draw(st.sampled_from(boundaries_for(problem.shapes())))
    }
    if draw(st.booleans()):
        sizes = [draw(st.sampled_from((1, size))) for size in problem.kernel_shape]
        kwargs["mask"] = np.random.default_rng(problem.seed).random(sizes) < 0.5
    return with_kwargs(
        problem, reference_conv, extra_roundings=boundary_roundings(problem), **kwargs
    )


@scaled(1 / 3)
@given(boundary_problems())
def test_values_and_gradients_in_every_padding_mode_are_those_of_the_definition(problem):
    assert_obeys_geometry(conv, problem)
    assert_matches_reference(conv, problem)
    assert_gradients_match(conv, problem)


@scaled(1 / 3)
@given(boundary_problems(dtypes=("float32",), ranks=(1,)))
def test_transformations_keep_the_numbers_in_every_padding_mode(problem):
    assert_transforms(conv, problem)


@FORMS
@pytest.mark.parametrize("padding_mode", ["zeros", "reflect", "replicate", "circular"])
def test_a_convolution_with_a_padding_mode_is_pad_followed_by_conv(form, padding_mode):
    x = jnp.arange(60).reshape(1, 4, 5, 3) ** 2 % 17
    kernel = jnp.arange(54).reshape(3, 3, 3, 2) % 7 - 3
    padding = [(2, 1), (0, 3)]
    np.testing.assert_array_equal(
        form(x, kernel, padding=padding, padding_mode=padding_mode),
        form(pad(x, padding, padding_mode=padding_mode), kernel),
    )


@FORMS
def test_circular_convolution_commutes_with_rolling_the_axis(form):
    x, kernel = jnp.arange(7)[:, None] ** 2, jnp.array([1, -2, 5])[:, None, None]

    def fn(x):
        return form(x, kernel, padding="SAME", padding_mode="circular")

    np.testing.assert_array_equal(fn(jnp.roll(x, 3, axis=0)), jnp.roll(fn(x), 3, axis=0))


@FORMS
def test_partial_convolution_keeps_a_constant_image_constant(form):
    x, kernel = jnp.full((5, 6, 1), 2.0), jnp.full((3, 3, 1, 1), 0.5)
    y = form(x, kernel, jnp.array([1.0]), padding=2, padding_mode="partial")
    # 9 taps of 0.5 on 2.0, whatever the share of real cells, and the bias is not scaled.
    np.testing.assert_allclose(y, np.full((7, 8, 1), 10.0), rtol=gamma(8, "float32"))


@FORMS
def test_partial_padding_equals_zeros_if_no_window_meets_the_padding(form):
    x, kernel = jnp.arange(9.0)[:, None], jnp.array([1.0, 2.0, 3.0])[:, None, None]
    partial = form(x, kernel, padding=1, padding_mode="partial")
    zeros = form(x, kernel, padding=1)
    np.testing.assert_array_equal(partial[1:-1], zeros[1:-1])
    np.testing.assert_array_equal(partial[::8], 1.5 * zeros[::8])


@FORMS
def test_a_masked_tap_gets_neither_value_nor_gradient(form):
    # PixelCNN's mask A: nothing below or to the right of the centre, nor the centre.
    mask = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 0]])[..., None, None]
    x = jnp.arange(50.0).reshape(5, 5, 2) % 11 - 5
    kernel = jnp.arange(1.0, 55).reshape(3, 3, 2, 3)

    def fn(x, kernel):
        return form(x, kernel, padding=1, mask=mask)

    np.testing.assert_array_equal(
        fn(x, kernel), form(x, kernel * mask.astype(kernel.dtype), padding=1)
    )
    np.testing.assert_array_equal(fn(x, kernel), fn(x, jnp.where(mask == 1, kernel, 7.0)))
    gradient = jax.grad(lambda kernel: (fn(x, kernel) ** 2).sum())(kernel)
    assert (gradient[np.broadcast_to(mask == 0, kernel.shape)] == 0).all()
    assert (gradient[np.broadcast_to(mask == 1, kernel.shape)] != 0).all()
    # No output depends on a cell that comes later in row-major order, or on its own.
    jacobian = jax.jacobian(lambda x: fn(x, kernel))(x).sum((2, 5)).reshape(25, 25)
    assert (np.triu(jacobian) == 0).all()
    assert (np.tril(jacobian) != 0).any()


@pytest.mark.parametrize("padding_mode", PADDING_MODES)
def test_every_padding_mode_lowers_for_every_platform(padding_mode):
    def fn(x, kernel):
        return conv(x, kernel, stride=2, padding=1, padding_mode=padding_mode, mask=kernel > 0)

    args = jnp.ones((2, 5, 7, 2)), jnp.ones((3, 3, 2, 4))
    assert_lowers(fn, args, returns=jax.ShapeDtypeStruct((2, 3, 4, 4), "float32"))
    assert_lowers(jax.grad(lambda *a: fn(*a).sum(), (0, 1)), args)


@FORMS
@pytest.mark.parametrize("padding_mode", PADDING_MODES)
def test_every_padding_mode_of_an_empty_batch_gives_an_empty_result(form, padding_mode):
    y = form(jnp.ones((0, 5, 5, 2)), jnp.ones((3, 3, 2, 4)), padding=1, padding_mode=padding_mode)
    assert y.shape == (0, 5, 5, 4)


X, KERNEL = jnp.ones((1, 3, 4, 2)), jnp.ones((3, 3, 2, 6))
REFUSED = [
    ({"padding_mode": "mirror"}, ValueError, ["padding_mode", "mirror", "'reflect'"]),
    (
        {"padding_mode": "reflect", "padding": 3},
        ValueError,
        ["at most 2 ", "height 3", "replicate"],
    ),
    (
        {"padding_mode": "circular", "padding": 4},
        ValueError,
        ["at most 3 ", "height 3", "replicate"],
    ),
    (
        {"padding_mode": "partial", "padding": [(3, 3), (1, 1)]},
        ValueError,
        ["partial", "output 0", "height 3", "(3, 3)", "padding=((2, 2), (1, 1))"],
    ),
    ({"mask": np.ones((3, 3))}, ValueError, ["mask", "(3, 3)", "mask[..., None, None]"]),
    ({"mask": np.ones((3, 3, 2, 5))}, ValueError, ["(3, 3, 2, 5)", "(3, 3, 2, 6)"]),
]


@FORMS
@pytest.mark.parametrize(("kwargs", "kind", "words"), REFUSED)
def test_an_impossible_padding_mode_or_mask_is_refused_with_its_numbers_and_advice(
    form, kwargs, kind, words
):
    with pytest.raises(kind) as caught:
        form(X, KERNEL, **kwargs)
    message = str(caught.value)
    assert message.startswith("conv: ")
    for word in words:
        assert word in message


@FORMS
def test_partial_padding_of_integers_is_refused(form):
    with pytest.raises(TypeError, match=r"conv: x is int32.*astype"):
        form(X.astype(int), KERNEL.astype(int), padding=1, padding_mode="partial")


@st.composite
def masks_over_anything(draw):
    """A convolution, a mask of zeros and other numbers, and a kernel with any numbers."""
    problem = draw(conv_problems(dtypes=("float32", "bfloat16"), ranks=(1,), max_cells=16))
    draws = np.random.default_rng(draw(st.integers(0, 99)))
    x, kernel, _ = problem.arrays()
    sizes = [draw(st.sampled_from((1, size))) for size in kernel.shape]
    mask = draws.choice([0.0, 1.0, 0.5, -2.0], sizes)
    masked = np.broadcast_to(mask == 0, kernel.shape)
    anything = draws.choice([np.nan, np.inf, -np.inf, 1e30], kernel.shape)
    return (
        problem,
        x,
        kernel,
        mask,
        masked,
        jnp.where(masked, anything.astype(kernel.dtype), kernel),
    )


@FORMS
@given(case=masks_over_anything())
def test_the_weight_of_a_masked_tap_changes_nothing(form, case):
    problem, x, kernel, mask, masked, spoilt = case

    @jax.jit
    def results(kernel, mask):
        def call(x, kernel, mask):
            return form(x, kernel, mask=mask, **problem.kwargs)

        y, pull_back = jax.vjp(call, x, kernel, mask)
        return y, pull_back(jnp.ones_like(y))

    mask = jnp.asarray(mask, kernel.dtype)
    got, want = results(spoilt, mask), results(kernel, mask)
    jax.tree.map(np.testing.assert_array_equal, got, want)
    _, (_, of_kernel, of_mask) = got
    assert not np.asarray(of_kernel)[masked].any()
    assert np.isfinite(np.asarray(of_mask, np.float32)).all()
    # What is left is the product with the mask.
    y, _ = want
    plain = form(x, (kernel * jnp.broadcast_to(mask, kernel.shape)), **problem.kwargs)
    np.testing.assert_array_equal(y, plain)


@FORMS
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e38])
def test_outputs_with_partial_padding_depend_on_their_window_alone(form, bad):
    x, kernel = jnp.arange(1.0, 10)[:, None], jnp.array([1.0, 2.0, 3.0])[:, None, None]

    def fn(x):
        return form(x, kernel, padding=1, padding_mode="partial")

    def pulled(x):
        return jax.vjp(fn, x)[1](jnp.ones((9, 1)))[0]

    spoilt = x.at[4].set(bad)
    far = np.r_[:3, 6:9]
    np.testing.assert_array_equal(fn(spoilt)[far], fn(x)[far])
    np.testing.assert_array_equal(pulled(spoilt), pulled(x))
