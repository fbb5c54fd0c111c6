"""Depthwise and separable convolution."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.ops.conv import conv
from jaxcnn.ops.separable import depthwise_conv, separable_conv
from jaxcnn.reference.separable import depthwise_conv as reference_depthwise
from jaxcnn.reference.separable import separable_conv as reference_separable
from jaxcnn.testing import (
    assert_gradients_match,
    assert_lowers,
    assert_matches_reference,
    assert_obeys_geometry,
    assert_sums_close,
    assert_transforms,
    conv_problems,
)
from tests.cases import few, scaled
from tests.ops.operation_problem import (
    DTYPES,
    OperationProblem,
    boundaries_for,
    boundary_roundings,
    with_kwargs,
)

DEPTHWISE = pytest.mark.parametrize("form", [depthwise_conv, reference_depthwise])
SEPARABLE = pytest.mark.parametrize("form", [separable_conv, reference_separable])


@st.composite
def _per_channel(draw, dtypes):
    """A convolution with a group for each channel, its multiplier, and a padding mode."""
    problem = draw(
        conv_problems(dtypes=dtypes, max_cells=16, ranks=(1, 2)).filter(
            lambda p: p.in_channels == p.groups
        )
    )
    padding_mode = draw(st.sampled_from(boundaries_for(problem.shapes())))
    kwargs = {name: value for name, value in problem.kwargs.items() if name != "groups"}
    return problem, problem.out_channels // problem.groups, kwargs | {"padding_mode": padding_mode}


@st.composite
def depthwise_problems(draw, dtypes=DTYPES):
    problem, multiplier, kwargs = draw(_per_channel(dtypes))
    return with_kwargs(
        problem,
        reference_depthwise,
        array_shapes=(
            problem.x_shape,
            (*problem.kernel_size, problem.in_channels, multiplier),
            (problem.out_channels,) if problem.use_bias else None,
        ),
        extra_roundings=boundary_roundings(problem),
        **kwargs,
    )


@st.composite
def separable_problems(draw, dtypes=DTYPES):
    """Without a bias: then the arrays are three, x and the two kernels."""
    problem, multiplier, kwargs = draw(_per_channel(dtypes))
    channels, maps = draw(st.integers(1, 3)), problem.out_channels
    # A term of the result, and of each gradient, goes through no more sums than these.
    roundings = problem.roundings + max(problem.gradient_roundings) + maps + channels
    roundings += boundary_roundings(problem)
    return OperationProblem(
        array_shapes=(
            problem.x_shape,
            (*problem.kernel_size, problem.in_channels, multiplier),
            (*(1 for _ in problem.kernel_size), maps, channels),
        ),
        output_shape=(*problem.output_shape[:-1], channels),
        roundings=roundings,
        gradient_roundings=(roundings,) * 3,
        reference=reference_separable,
        kwargs=kwargs,
        dtype=problem.dtype,
        seed=problem.seed,
    )


@scaled(1 / 3)
@given(depthwise_problems())
def test_depthwise_values_and_gradients_are_those_of_the_definition(problem):
    assert_obeys_geometry(depthwise_conv, problem)
    assert_matches_reference(depthwise_conv, problem)
    assert_gradients_match(depthwise_conv, problem)


@scaled(1 / 3)
@given(separable_problems())
def test_separable_values_and_gradients_are_those_of_the_definition(problem):
    assert_obeys_geometry(separable_conv, problem)
    assert_matches_reference(separable_conv, problem)
    assert_gradients_match(separable_conv, problem)


@scaled(1 / 3)
@given(depthwise_problems(dtypes=("float32",)), separable_problems(dtypes=("float32",)))
def test_transformations_keep_the_numbers_of_a_separable_convolution(depthwise, separable):
    assert_transforms(depthwise_conv, depthwise)
    assert_transforms(separable_conv, separable)


@DEPTHWISE
def test_a_depthwise_convolution_convolves_each_channel_separately(form):
    x = jnp.arange(60).reshape(4, 5, 3) ** 2 % 13
    kernel = jnp.arange(54).reshape(3, 3, 3, 2) % 7 - 3
    y = form(x, kernel, padding="SAME")
    for c in range(3):
        alone = conv(x[..., c : c + 1], kernel[:, :, c : c + 1], padding="SAME")
        np.testing.assert_array_equal(y[..., 2 * c : 2 * c + 2], alone)


@few
@given(separable_problems(dtypes=("float64",)))
def test_a_separable_convolution_is_a_convolution_with_a_kernel_of_low_rank(problem):
    arguments = {**problem.kwargs, "padding_mode": "zeros"}
    with jax.enable_x64(True):
        x, depthwise, pointwise = problem.arrays()
        channels, multiplier = depthwise.shape[-2:]
        mix = pointwise.reshape(channels, multiplier, -1)
        kernel = jnp.einsum("...cm,cmo->...co", depthwise, mix)
        absolute = jnp.einsum("...cm,cmo->...co", abs(depthwise), abs(mix))
        assert_sums_close(
            separable_conv(x, depthwise, pointwise, **arguments),
            conv(x, kernel, **arguments),
            conv(abs(x), absolute, **arguments),
            roundings=problem.roundings + math.prod(depthwise.shape),
        )


@SEPARABLE
def test_a_separable_convolution_adds_its_bias_to_the_mixed_maps(form):
    x, kernels = jnp.arange(12).reshape(6, 2), (jnp.ones((3, 2, 2), int), jnp.ones((1, 4, 3), int))
    bias = jnp.array([1, 2, 3])
    np.testing.assert_array_equal(form(x, *kernels, bias), form(x, *kernels) + bias[None])


@DEPTHWISE
def test_an_empty_batch_of_depthwise_gives_an_empty_result(form):
    assert form(jnp.ones((0, 5, 2)), jnp.ones((3, 2, 2))).shape == (0, 3, 4)


@SEPARABLE
def test_an_empty_batch_of_separable_gives_an_empty_result(form):
    y = form(jnp.ones((0, 5, 2)), jnp.ones((3, 2, 2)), jnp.ones((1, 4, 3)))
    assert y.shape == (0, 3, 3)


def test_depthwise_and_separable_convolutions_lower_for_every_platform():
    x, depthwise, pointwise = jnp.ones((2, 5, 5, 3)), jnp.ones((3, 3, 3, 2)), jnp.ones((1, 1, 6, 4))
    assert_lowers(depthwise_conv, (x, depthwise, jnp.ones(6)))
    assert_lowers(
        separable_conv,
        (x, depthwise, pointwise),
        returns=jax.ShapeDtypeStruct((2, 3, 3, 4), "float32"),
    )
    gradient = jax.grad(lambda *a: separable_conv(*a, padding=1).sum(), (0, 1, 2))
    assert_lowers(gradient, (x, depthwise, pointwise))


X, KERNEL, MIX = jnp.ones((1, 5, 5, 3)), jnp.ones((3, 3, 3, 2)), jnp.ones((1, 1, 6, 4))


@DEPTHWISE
@pytest.mark.parametrize(
    ("arrays", "kwargs", "kind", "words"),
    [
        ((X, jnp.ones((3, 3, 1, 6))), {}, ValueError, ["3 channels", "takes 1", "(3, 3, 3, 6)"]),
        ((X, jnp.ones((3, 3))), {}, ValueError, ["(3, 3)", "at least 3"]),
        ((X, jnp.ones((3, 3, 3, 0))), {}, ValueError, ["multiplier = 0", "1 or more"]),
        ((jnp.ones((5, 3)), KERNEL), {}, ValueError, ["(5, 3)", "(N, *spatial, C)"]),
        ((X, KERNEL, jnp.ones(3)), {}, ValueError, ["bias", "(3,)", "3*2 = 6", "(6,)"]),
        ((X, KERNEL.astype(int)), {}, TypeError, ["float32", "int32", "astype"]),
        ((X, KERNEL), {"stride": 3}, ValueError, ["height 5", "1.666...", 'rounding="floor"']),
        (
            (X, KERNEL),
            {"padding_mode": "edge"},
            ValueError,
            ["padding_mode", "edge", "'replicate'"],
        ),
        ((X, KERNEL), {"rounding": "ceil"}, ValueError, ["ceil", "pooling"]),
    ],
)
def test_an_impossible_depthwise_convolution_is_refused(form, arrays, kwargs, kind, words):
    _refuses(form, "depthwise_conv: ", arrays, kwargs, kind, words)


@SEPARABLE
@pytest.mark.parametrize(
    ("arrays", "kwargs", "kind", "words"),
    [
        ((X, jnp.ones((3, 3, 1, 6)), MIX), {}, ValueError, ["depthwise_kernel", "(3, 3, 3, 6)"]),
        ((X, KERNEL, jnp.ones((6, 4))), {}, ValueError, ["(6, 4)", "(1, 1, 6, C_out)"]),
        ((X, KERNEL, jnp.ones((1, 1, 3, 4))), {}, ValueError, ["(1, 1, 3, 4)", "(1, 1, 6, 4)"]),
        ((X, KERNEL, jnp.ones((2, 1, 6, 4))), {}, ValueError, ["(2, 1, 6, 4)", "(1, 1, 6, 4)"]),
        ((X, KERNEL, jnp.ones((1, 1, 6, 0))), {}, ValueError, ["(1, 1, 6, 0)", "(1, 1, 6, 1)"]),
        ((X, KERNEL, MIX, jnp.ones(6)), {}, ValueError, ["bias", "(6,)", "(4,)"]),
        ((X, KERNEL, MIX.astype(int)), {}, TypeError, ["pointwise_kernel", "int32", "astype"]),
        ((X, KERNEL, MIX), {"padding": "EVEN"}, ValueError, ["padding", "EVEN", "SAME"]),
    ],
)
def test_an_impossible_separable_convolution_is_refused(form, arrays, kwargs, kind, words):
    _refuses(form, "separable_conv: ", arrays, kwargs, kind, words)


def _refuses(form, who, arrays, kwargs, kind, words):
    with pytest.raises(kind) as caught:
        form(*arrays, **kwargs)
    message = str(caught.value)
    assert message.startswith(who)
    for word in words:
        assert word in message
