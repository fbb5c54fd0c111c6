"""Unfolding and folding: patches times a kernel are a convolution; the two are adjoint."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from jaxcnn import ops, reference
from jaxcnn.geometry.conventions import onnx
from jaxcnn.testing import (
    assert_gradients_match,
    assert_matches_reference,
    assert_obeys_geometry,
    assert_transforms,
    conv_problems,
)
from tests.cases import few, scaled
from tests.ops.operation_problem import DTYPES, OperationProblem

both = pytest.mark.parametrize("form", [ops, reference], ids=["fast", "reference"])
windows = conv_problems(max_cells=20, max_kernel_size=5, max_groups=1)


def arguments(problem, *, fold=False):
    """The arguments of unfold or fold that a convolution's problem has."""
    given = {k: v for k, v in problem.kwargs.items() if k != "groups"}
    if fold:
        del given["rounding"]
        given["output_size"] = problem.size
    return {"kernel_size": problem.kernel_size} | given


def patches_of(problem):
    """The shape of the patches."""
    taps = math.prod(problem.kernel_size)
    return (*problem.output_shape[:-1], taps * problem.in_channels)


def unfolding(problem):
    return OperationProblem(
        array_shapes=(problem.x_shape,),
        output_shape=patches_of(problem),
        roundings=1,
        gradient_roundings=(math.prod(problem.kernel_size) + 1,),
        reference=reference.unfold,
        kwargs=arguments(problem),
        dtype=problem.dtype,
        seed=problem.seed,
    )


def folding(problem):
    return OperationProblem(
        array_shapes=(patches_of(problem),),
        output_shape=problem.x_shape,
        roundings=math.prod(problem.kernel_size) + 1,
        gradient_roundings=(1,),
        reference=reference.fold,
        kwargs=arguments(problem, fold=True),
        dtype=problem.dtype,
        seed=problem.seed,
    )


@few
@given(conv_problems(dtypes=DTYPES, max_cells=20, max_kernel_size=5, max_groups=1))
def test_values_and_gradients_of_unfolding_and_folding_are_those_of_the_definition(problem):
    for each, form in ((unfolding(problem), ops.unfold), (folding(problem), ops.fold)):
        assert_obeys_geometry(form, each)
        assert_matches_reference(form, each)
        assert_gradients_match(form, each)


@scaled(1 / 3)
@given(windows)
def test_transformations_keep_the_numbers_of_unfolding_and_folding(problem):
    assert_transforms(ops.unfold, unfolding(problem))
    assert_transforms(ops.fold, folding(problem))


def whole_numbers(shape, seed):
    return jnp.asarray(np.random.default_rng(seed).integers(-9, 10, shape), "int32")


@few
@both
@given(problem=windows)
def test_patches_times_the_reshaped_kernel_are_the_convolution(form, problem):
    x, kernel = whole_numbers(problem.x_shape, 0), whole_numbers(problem.kernel_shape, 1)

    @jax.jit
    def sides(x, kernel):
        patches = form.unfold(x, **arguments(problem))
        by_patches = patches @ kernel.reshape(-1, problem.out_channels)
        return by_patches, problem.call(reference.conv, x, kernel)

    np.testing.assert_array_equal(*sides(x, kernel))


@few
@both
@given(problem=windows)
def test_folding_is_the_adjoint_of_unfolding(form, problem):
    x, patches = whole_numbers(problem.x_shape, 0), whole_numbers(patches_of(problem), 1)

    @jax.jit
    def sides(x, patches):
        unfolded = form.unfold(x, **arguments(problem))
        folded = form.fold(patches, **arguments(problem, fold=True))
        return jnp.vdot(unfolded, patches), jnp.vdot(x, folded)

    np.testing.assert_array_equal(*sides(x, patches))


@both
def test_windows_side_by_side_are_put_back_where_they_were(form):
    x = whole_numbers((2, 6, 35, 3), 0)  # windows of more taps than are computed in one step
    window = {"kernel_size": (3, 7), "stride": (3, 7)}
    patches = jax.jit(partial(form.unfold, **window))(x)
    assert patches.shape == (2, 2, 5, 63)
    np.testing.assert_array_equal(patches[1, 1, 2].reshape(3, 7, 3), x[1, 3:6, 14:21])
    back = jax.jit(partial(form.fold, output_size=(6, 35), **window))(patches)
    np.testing.assert_array_equal(back, x)


# Published as col2im, col2im_strides, col2im_pads and col2im_dilations, ONNX 1.23: columns
# (C*prod(F), positions), the sizes and attributes, and the image.
STRIDED = np.outer([0, 1, 1, 1, 0, 0, 0, 1, 0], [1, 1, 1, 1])
NODES = {
    "plain": (
        np.array([*range(1, 10), 0, *range(11, 26)]).reshape(5, 5).T,
        ((5, 5), (1, 5)),
        {},
        np.array([*range(1, 10), 0, *range(11, 26)]).reshape(5, 5),
    ),
    "strides": (
        STRIDED,
        ((5, 5), (3, 3)),
        {"strides": (2, 2)},
        [[0, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 2, 1, 2, 1], [1, 0, 1, 0, 0], [0, 1, 0, 1, 0]],
    ),
    "pads": (
        np.arange(1.0, 76).reshape(15, 5).T,
        ((5, 5), (1, 5)),
        {"pads": (0, 1, 0, 1)},
        [
            [8, 21, 24, 27, 24],
            [38, 66, 69, 72, 54],
            [68, 111, 114, 117, 84],
            [98, 156, 159, 162, 114],
            [128, 201, 204, 207, 144],
        ],
    ),
    "dilations": (
        np.array([[1, 5, 9, 13, 17], [2, 6, 10, 14, 18], [3, 7, 11, 15, 19], [4, 8, 12, 16, 20]]),
        ((6, 6), (2, 2)),
        {"dilations": (1, 5)},
        [[a, 0, 0, 0, 0, b] for a, b in ((1, 2), (8, 10), (16, 18), (24, 26), (32, 34), (19, 20))],
    ),
}


@both
@pytest.mark.parametrize("name", NODES)
def test_folding_has_the_values_that_onnx_publishes_for_its_col2im(form, name):
    columns, sizes, attributes, image = NODES[name]
    stated = onnx.fold(*sizes, **attributes)
    taps = math.prod(stated["kernel_size"])
    positions = [
        (n + sum(pads) - d * (f - 1) - 1) // s + 1
        for n, f, s, d, pads in zip(
            *sizes, stated["stride"], stated["dilation"], stated["padding"], strict=True
        )
    ]
    patches = jnp.asarray(columns.reshape(-1, taps, *positions))  # one channel: C, F, *k
    patches = jnp.moveaxis(patches, (0, 1), (-1, -2)).reshape(*positions, -1)
    np.testing.assert_array_equal(form.fold(patches, **stated)[..., 0], image)


@both
def test_one_size_applies_to_all_spatial_axes_of_a_batch(form):
    patches = form.unfold(jnp.ones((2, 6, 6, 3)), 3, padding=1)
    assert patches.shape == (2, 6, 6, 27)
    assert form.fold(patches, 3, output_size=6, padding=1).shape == (2, 6, 6, 3)


PATCHES = jnp.ones((2, 4, 5, 18))
REFUSED = [
    ("unfold", (jnp.ones((2, 6, 6, 3)), 4), {"stride": 3}, ["1.666", 'rounding="floor"']),
    ("unfold", (jnp.ones((2, 6, 6, 3)), 2), {"rounding": "ceil"}, ["ceil", "floor"]),
    ("fold", (PATCHES, 3), {"output_size": (6, 8)}, ["(4, 5)", "(6, 8)", "(4, 6)", "unfold"]),
    ("fold", (PATCHES, (3, 4)), {"output_size": (6, 8)}, ["18 channels", "12 taps", "12 or 24"]),
    ("fold", (PATCHES, 9), {"output_size": (6, 8)}, ["kernel_size 9", "height 6"]),
    ("fold", (PATCHES, 3), {"output_size": (6,)}, ["output_size (6,)", "4 axes"]),
]


@both
@pytest.mark.parametrize(("name", "given", "kwargs", "words"), REFUSED)
def test_what_cannot_be_unfolded_or_folded_is_refused_with_its_numbers(
    form, name, given, kwargs, words
):
    with pytest.raises(ValueError, match=rf"^{name}: ") as caught:
        getattr(form, name)(*given, **kwargs)
    for word in words:
        assert word in str(caught.value)
