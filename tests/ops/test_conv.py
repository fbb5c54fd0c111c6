"""Convolution: the shape of the formula and the numbers of the definition, in every direction."""

from functools import partial
from itertools import product

import chex
import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
from hypothesis import given
from jax import lax

import jaxcnn
from jaxcnn import reference
from jaxcnn.testing import (
    ConvProblem,
    assert_gradients_match,
    assert_lowers,
    assert_matches_reference,
    assert_obeys_geometry,
    assert_refuses,
    assert_transforms,
    conv_problems,
    gamma,
    impossible_conv_problems,
)
from tests.cases import DTYPES, few
from tests.geometry.brute import placements

both = pytest.mark.parametrize("conv", [jaxcnn.conv, reference.conv], ids=["fast", "reference"])


def _channels_first(x, kernel, bias=None, *, stride, padding, dilation, groups, **_rounding):
    """lax's convolution in lax's own layout; lax resolves named paddings and rounds down."""
    if padding not in ("VALID", "SAME", "SAME_LOWER"):
        size, kernel_size = x.shape[-1 - len(stride) : -1], kernel.shape[:-2]
        padding = jaxcnn.geometry.resolve_padding(
            padding, size, kernel_size, stride=stride, dilation=dilation
        )
    batched = x if x.ndim == kernel.ndim else x[None]
    y = lax.conv_general_dilated(
        jnp.moveaxis(batched, -1, 1),
        jnp.moveaxis(kernel, (-1, -2), (0, 1)),
        stride,
        padding,
        rhs_dilation=dilation,
        feature_group_count=groups,
    )
    y = jnp.moveaxis(y, 1, -1)
    y = y if bias is None else y + bias.reshape((1,) * (y.ndim - 1) + bias.shape)
    return y if x.ndim == kernel.ndim else y[0]


def _cell_by_cell(x, kernel, bias=None, *, stride, padding, dilation, groups, **_rounding):
    """The convolution in Python, one number at a time."""
    batched = x if x.ndim == kernel.ndim else x[None]
    size, (*kernel_size, in_group, channels) = batched.shape[1:-1], kernel.shape
    pairs = jaxcnn.geometry.resolve_padding(
        padding, size, kernel_size, stride=stride, dilation=dilation
    )
    laid = [
        placements(n, f, stride=s, padding=p, dilation=d)
        for n, f, s, p, d in zip(size, kernel_size, stride, pairs, dilation, strict=True)
    ]
    y = np.zeros((len(batched), *map(len, laid), channels))
    for n, *place, o in np.ndindex(y.shape):
        group = o // (channels // groups)
        for tap in np.ndindex(*kernel_size):
            cell = [axis[k][f] for axis, k, f in zip(laid, place, tap, strict=True)]
            if all(0 <= c < n for c, n in zip(cell, size, strict=True)):
                for c in range(in_group):
                    weight = kernel[(*tap, c, o)]
                    y[(n, *place, o)] += batched[(n, *cell, group * in_group + c)] * weight
        y[(n, *place, o)] += 0 if bias is None else bias[o]
    return y if x.ndim == kernel.ndim else y[0]


@given(conv_problems(dtypes=DTYPES))
def test_the_formula_is_the_traced_shape_of_a_convolution_and_the_shape_of_its_value(problem):
    assert_obeys_geometry(jaxcnn.conv, problem)


@few
@given(conv_problems(dtypes=DTYPES, max_cells=16))
def test_the_formula_is_the_shape_of_the_reference_convolution(problem):
    assert_obeys_geometry(reference.conv, problem)


@given(conv_problems(dtypes=("float64",), max_cells=16))
def test_the_reference_convolution_is_the_sum_of_input_times_weight_cell_by_cell(problem):
    def in_numpy(x, kernel, bias=None, **kwargs):
        given_arrays = (None if a is None else np.asarray(a) for a in (x, kernel, bias))
        return jnp.asarray(_cell_by_cell(*given_arrays, **kwargs))

    assert_matches_reference(in_numpy, problem)


@given(conv_problems(dtypes=DTYPES))
def test_the_fast_convolution_is_the_reference_within_rounding(problem):
    assert_matches_reference(jaxcnn.conv, problem)


@few
@given(conv_problems(dtypes=("float32", "float64")))
def test_the_reference_convolution_is_what_lax_computes_in_its_own_layout(problem):
    assert_matches_reference(_channels_first, problem)


def test_the_error_bound_of_conv_in_float64_is_less_than_one_part_in_10_to_the_12():
    most = ConvProblem(size=(3,) * 3, kernel_size=(3,) * 3, in_channels=2, dtype="float64")
    assert 2 * gamma(most.roundings, "float64") < 1e-12
    assert_matches_reference(jaxcnn.conv, most)


@few
@given(conv_problems(dtypes=DTYPES, max_cells=16))
def test_gradients_of_a_convolution_are_those_of_the_definition_and_of_differences(problem):
    assert_gradients_match(jaxcnn.conv, problem)


@few
@given(conv_problems(ranks=(1,)))
def test_gradients_of_the_reference_convolution_are_those_of_differences(problem):
    assert_gradients_match(reference.conv, problem)


@few
@given(conv_problems(dtypes=DTYPES, max_cells=16))
def test_a_convolution_may_be_compiled_mapped_differentiated_and_rematerialised(problem):
    assert_transforms(jaxcnn.conv, problem)


@pytest.mark.parametrize("groups", [1, 2])
def test_second_derivatives_of_a_convolution_agree_in_every_mode(groups):
    problem = ConvProblem(
        size=(5,),
        kernel_size=(2,),
        in_channels=2,
        out_channels=2,
        groups=groups,
        stride=(2,),
        padding=((1, 0),),
        use_bias=True,
        dtype="float64",
    )
    with problem.x64():
        # Quadratic in (x, kernel): central differences are exact, but for rounding over the step.
        jax.test_util.check_grads(
            partial(problem.call, jaxcnn.conv), problem.arrays(), order=2, atol=1e-6, rtol=1e-6
        )


@both
@given(problem=conv_problems(dtypes=DTYPES))
def test_a_convolution_lowers_for_every_platform_with_the_predicted_type(conv, problem):
    with problem.x64():
        returns = jax.ShapeDtypeStruct(problem.output_shape, problem.dtype)
        assert_lowers(partial(problem.call, conv), problem.arrays(), returns=returns)


@given(conv_problems(biases=(True,)))
def test_gradients_of_a_convolution_lower_for_every_platform_with_the_types_of_the_arguments(
    problem,
):
    arrays = problem.arrays()

    def loss(*arrays):
        return problem.call(jaxcnn.conv, *arrays).sum()

    types = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in arrays]
    assert_lowers(jax.grad(loss, argnums=(0, 1, 2)), arrays, returns=types)


@both
@given(problem=impossible_conv_problems())
def test_a_convolution_that_the_geometry_refuses_is_refused(conv, problem):
    assert_refuses(conv, problem)


@both
@few
@given(problem=conv_problems(batches=(0,), max_cells=16))
def test_a_convolution_of_an_empty_batch_gives_an_empty_result_of_the_right_shape(conv, problem):
    assert_obeys_geometry(conv, problem)
    assert problem.output_shape[0] == 0


@given(conv_problems(batches=(None,)))
def test_the_convolution_of_one_example_is_that_of_a_batch_of_one(problem):
    x, *rest = problem.arrays()
    y = problem.call(jaxcnn.conv, x, *rest)
    chex.assert_trees_all_equal(y, problem.call(jaxcnn.conv, x[None], *rest)[0])


def test_the_precision_of_a_convolution_reaches_the_compiled_program():
    x, kernel = jnp.ones((3, 1)), jnp.ones((2, 1, 1))
    for precision, words in ((None, 0), ("highest", 1)):
        conv = partial(jaxcnn.conv, precision=precision, algorithm="direct")
        lowered = jax.jit(conv).lower(x, kernel).as_text()
        assert ("HIGHEST" in lowered) == bool(words)


@both
def test_the_output_channels_of_a_convolution_are_the_input_channels_of_the_next(conv):
    image = ConvProblem(batch=None, size=(7, 7), kernel_size=(3, 3), in_channels=1, out_channels=6)
    maps = image.call(conv, *image.arrays())
    assert maps.shape == (5, 5, 6)
    second = ConvProblem(kernel_size=(3, 3), in_channels=6, out_channels=10, size=(5, 5))
    assert conv(maps, second.arrays()[1]).shape == (3, 3, 10)


@both
def test_a_worked_example_of_a_convolution_at_one_position(conv):
    patch = jnp.array([[1.0, 2.0], [3.0, 4.0]])[..., None]
    weights = jnp.array([[1.0, -1.0], [0.5, -2.0]])[..., None, None]
    number = conv(patch, weights, jnp.array([2.0]))
    # 1*1 - 1*2 + 0.5*3 - 2*4 + 2 = -5.5, and ReLU makes it 0.
    assert number.shape == (1, 1, 1)
    assert number.item() == -5.5
    assert jax.nn.relu(number).item() == 0


@both
def test_equal_arguments_of_conv_in_other_forms_give_equal_results(conv):
    problem = ConvProblem(size=(5, 5), kernel_size=(3, 3), in_channels=2, out_channels=2)
    x, kernel, _ = problem.arrays()
    for stride, padding in product((2, (2, 2), [2, np.int64(2)]), (1, (1, 1), [(1, 1), 1])):
        y = conv(x, kernel, stride=stride, padding=padding)
        chex.assert_trees_all_equal(y, conv(x, kernel, stride=2, padding=1))
