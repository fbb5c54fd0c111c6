"""Local (unshared) convolution."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.ops.conv import conv
from jaxcnn.ops.local import local_conv
from jaxcnn.reference.local import local_conv as reference_local
from jaxcnn.testing import (
    assert_gradients_match,
    assert_lowers,
    assert_matches_reference,
    assert_obeys_geometry,
    assert_transforms,
    conv_problems,
)
from tests.cases import few, scaled
from tests.ops.operation_problem import DTYPES, boundaries_for, boundary_roundings, with_kwargs

FORMS = pytest.mark.parametrize("form", [local_conv, reference_local])


@st.composite
def local_problems(draw, dtypes=DTYPES):
    """Local convolutions, with a padding mode that fits and either kind of bias."""
    problem = draw(conv_problems(dtypes=dtypes, max_cells=16, ranks=(1, 2), max_groups=1))
    shapes = problem.shapes()
    kwargs = {name: value for name, value in problem.kwargs.items() if name != "groups"}
    biases = [None, (problem.out_channels,), (*shapes.spatial, problem.out_channels)]
    return with_kwargs(
        problem,
        reference_local,
        array_shapes=(
            problem.x_shape,
            (*shapes.spatial, *problem.kernel_shape),
            draw(st.sampled_from(biases)),
        ),
        extra_roundings=boundary_roundings(problem),
        **kwargs,
        padding_mode=draw(st.sampled_from(boundaries_for(shapes))),
    )


@few
@given(local_problems())
def test_values_and_gradients_of_a_local_convolution_are_those_of_the_definition(problem):
    assert_obeys_geometry(local_conv, problem)
    assert_matches_reference(local_conv, problem)
    assert_gradients_match(local_conv, problem)


@scaled(1 / 3)
@given(local_problems(dtypes=("float32",)))
def test_transformations_keep_the_numbers_of_a_local_convolution(problem):
    assert_transforms(local_conv, problem)


@FORMS
def test_a_local_convolution_with_the_same_kernel_everywhere_is_a_convolution(form):
    x = jnp.arange(70).reshape(1, 5, 7, 2) ** 2 % 17
    shared = jnp.arange(54).reshape(3, 3, 2, 3) % 7 - 3
    arguments = {"stride": (2, 1), "padding": 1, "dilation": (1, 2), "padding_mode": "reflect"}
    want = conv(x, shared, jnp.array([1, 2, 3]), **arguments)
    everywhere = jnp.broadcast_to(shared, (*want.shape[1:-1], *shared.shape))
    np.testing.assert_array_equal(form(x, everywhere, jnp.array([1, 2, 3]), **arguments), want)


@FORMS
def test_every_position_of_a_local_convolution_has_its_own_weights(form):
    x, kernel = jnp.arange(1.0, 6)[:, None], jnp.ones((3, 3, 1, 1))
    bias = jnp.array([[10.0], [20.0], [30.0]])
    for place in range(3):
        gradient = jax.grad(lambda kernel, place=place: form(x, kernel, bias)[place, 0])(kernel)
        want = np.zeros((3, 3))
        want[place] = [place + 1, place + 2, place + 3]
        np.testing.assert_array_equal(gradient[..., 0, 0], want)
    np.testing.assert_array_equal(form(x, kernel, bias)[:, 0], [16, 29, 42])


@FORMS
def test_a_local_convolution_of_an_empty_batch_gives_an_empty_result(form):
    assert form(jnp.ones((0, 5, 2)), jnp.ones((3, 3, 2, 4))).shape == (0, 3, 4)


def test_local_convolutions_lower_for_every_platform():
    args = jnp.ones((2, 5, 5, 3)), jnp.ones((3, 3, 3, 3, 3, 6)), jnp.ones((3, 3, 6))
    assert_lowers(local_conv, args, returns=jax.ShapeDtypeStruct((2, 3, 3, 6), "float32"))
    assert_lowers(jax.grad(lambda *a: math.pi * local_conv(*a).sum(), (0, 1, 2)), args)


X, KERNEL = jnp.ones((1, 4, 5, 2)), jnp.ones((2, 3, 3, 3, 2, 6))


@FORMS
@pytest.mark.parametrize(
    ("arrays", "kwargs", "kind", "words"),
    [
        ((X, jnp.ones((3, 3, 2, 6, 1))), {}, ValueError, ["5 axes", "2n + 2"]),
        ((X, jnp.ones((2, 6))), {}, ValueError, ["2 axes", "2n + 2"]),
        ((X, jnp.ones((2, 3, 3, 3, 1, 6))), {}, ValueError, ["2 channels", "takes 1", "3, 2, 6)"]),
        ((X, jnp.ones((2, 3, 3, 3, 2, 0))), {}, ValueError, ["C_out = 0", "1 or more"]),
        ((X, KERNEL), {"padding": 1}, ValueError, ["(2, 3)", "(4, 5)", "(4, 5, 3, 3, 2, 6)"]),
        ((X, KERNEL, jnp.ones(2)), {}, ValueError, ["bias", "(2,)", "(2, 3, 6)", "(6,)"]),
        ((jnp.ones((4, 2)), KERNEL), {}, ValueError, ["(4, 2)", "(N, *spatial, C)"]),
        ((X, KERNEL.astype(int)), {}, TypeError, ["float32", "int32", "astype"]),
        ((X, KERNEL), {"stride": 2}, ValueError, ["height 4", "1.5", 'rounding="floor"']),
        ((X, KERNEL), {"rounding": "ceil"}, ValueError, ["ceil", "pooling"]),
        ((X, KERNEL), {"padding_mode": "wrap"}, ValueError, ["padding_mode", "wrap", "'circular'"]),
    ],
)
def test_an_impossible_local_convolution_is_refused_with_its_numbers_and_advice(
    form, arrays, kwargs, kind, words
):
    with pytest.raises(kind) as caught:
        form(*arrays, **kwargs)
    message = str(caught.value)
    assert message.startswith("local_conv: ")
    for word in words:
        assert word in message
