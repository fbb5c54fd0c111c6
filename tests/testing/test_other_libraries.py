"""The laws that hold for functions of Flax and lax, and how these functions break others."""

import jax.numpy as jnp
from hypothesis import assume, given

from jaxcnn.testing import (
    adapters,
    assert_adjoint,
    assert_gradients_match,
    assert_lowers,
    assert_matches_reference,
    assert_obeys_geometry,
    assert_refuses,
    check_law,
    conv_problems,
    impossible_conv_problems,
    pool_problems,
)
from tests.cases import SEARCH, few

CONVS = conv_problems(ranks=(1, 2), paddings=("numbers", "VALID", "SAME"))
TRANSPOSED = {
    "ranks": (1, 2),
    "batches": (1, 2),
    "max_groups": 1,
    "roundings": ("exact",),
    "biases": (False,),
}
TRANSPOSITIONS = (adapters.flax_conv_transpose, adapters.lax_conv_transpose)


def pools(kind):
    return pool_problems(kinds=(kind,), ranks=(1, 2), max_dilation=1, roundings=("exact", "floor"))


@given(CONVS)
def test_flax_conv_is_the_definition(problem):
    assert_obeys_geometry(adapters.flax_conv, problem)
    assert_matches_reference(adapters.flax_conv, problem)


@few
@given(CONVS)
def test_gradients_of_flax_conv_are_those_of_the_definition(problem):
    assert_gradients_match(adapters.flax_conv, problem)


@given(pools("max"))
def test_flax_max_pool_is_the_definition(problem):
    assert_obeys_geometry(adapters.flax_max_pool, problem)
    assert_matches_reference(adapters.flax_max_pool, problem)


@given(pools("avg"))
def test_flax_avg_pool_is_the_definition(problem):
    assert_obeys_geometry(adapters.flax_avg_pool, problem)
    assert_matches_reference(adapters.flax_avg_pool, problem)


def test_flax_conv_lowers_for_every_platform():
    assert_lowers(adapters.flax_conv, (jnp.ones((1, 7, 7, 3)), jnp.ones((3, 3, 3, 6))))


def test_flax_conv_departs_it_accepts_a_layout_that_leaves_cells_unread():
    found = check_law(
        assert_refuses,
        "refuses what is impossible",
        adapters.flax_conv,
        impossible_conv_problems(ranks=(1,), max_groups=1),
        examples=SEARCH.max_examples,
    )
    assert not found.holds
    assert "was returned" in found.failure


@given(conv_problems(ranks=(1, 2), paddings=("numbers",), roundings=("floor",)))
def test_flax_conv_departs_its_sizes_are_the_floored_ones(problem):
    arrays = problem.arrays()
    exact = problem.kwargs | {"rounding": "exact"}
    assert adapters.flax_conv(*arrays, **exact).shape == problem.output_shape


@given(conv_problems(paddings=("SAME",), **TRANSPOSED))
def test_transposed_convolutions_with_same_padding_are_the_adjoint(problem):
    # The transposed convolution has the largest size that gives k outputs under SAME.
    assume(all(w.size == w.output * w.stride for w in problem.shapes().windows))
    for fn in TRANSPOSITIONS:
        assert_adjoint(fn, problem)


@given(conv_problems(paddings=("VALID",), **TRANSPOSED))
def test_transposed_convolutions_of_kernels_as_wide_as_the_stride_are_the_adjoint(problem):
    windows = problem.shapes().windows
    assume(all(window.extent >= window.stride for window in windows))
    for fn in TRANSPOSITIONS:
        assert_adjoint(fn, problem)


@given(conv_problems(paddings=("VALID",), **TRANSPOSED))
def test_transposed_convolutions_depart_for_smaller_kernels_they_give_more_cells(problem):
    _, kernel, _ = problem.arrays()
    y = problem.random_array(problem.output_shape, 7)
    windows = problem.shapes().windows
    more = [window.size + max(0, window.stride - window.extent) for window in windows]
    for fn in TRANSPOSITIONS:
        kwargs = {key: problem.kwargs[key] for key in ("stride", "padding", "dilation")}
        assert fn(y, kernel, **kwargs).shape[1:-1] == tuple(more)
