"""A problem's formulas against counts, and its gradients against the definition."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from jaxcnn import reference
from jaxcnn.convolve import Problem
from jaxcnn.testing import assert_sums_close
from tests.cases import few, many
from tests.convolve.drawn import defined, defined_gradients, numbers, problems, terms

SMALL = {"batches": (1, 2), "ranks": (1, 2), "outputs": 3, "filter_size": (1, 3)}


def _laid(problem):
    """On each axis, the places of the taps of every window that fits, among the dilated cells."""
    axes = []
    for n, b, (lo, hi), f, s, d in zip(
        problem.size,
        problem.base_dilation,
        problem.padding,
        problem.kernel_size,
        problem.stride,
        problem.dilation,
        strict=True,
    ):
        cells = [-1] * lo + [p // b if p % b == 0 else -1 for p in range(b * (n - 1) + 1)]
        cells = cells[max(0, -lo) :] + [-1] * hi
        cells = cells[: len(cells) + min(0, hi)]
        reach = range(0, d * f, d)
        starts = range(0, len(cells), s)
        axes.append(
            [[cells[at + t] for t in reach] for at in starts if at + reach[-1] < len(cells)]
        )
    return axes


@many
@given(problems())
def test_the_output_counts_the_windows_that_fit(problem):
    assert problem.output == tuple(map(len, _laid(problem)))
    assert not problem.is_empty


@given(problems(**SMALL))
def test_multiply_adds_are_the_products_of_the_definition(problem):
    laid = _laid(problem)
    places = [np.prod([len(axis[k]) for axis, k in zip(laid, place, strict=True)])
              for place in np.ndindex(*map(len, laid))]  # fmt: skip
    products = int(sum(places)) * problem.in_channels // problem.groups
    assert problem.multiply_adds == problem.batch * problem.out_channels * products


@many
@given(problems())
def test_shapes_and_properties_agree(problem):
    x, kernel, y = problem.x_shape, problem.kernel_shape, problem.output_shape
    assert (x[0], x[-1], kernel[-1]) == (y[0], problem.in_channels, y[-1])
    assert kernel[-2] * problem.groups == problem.in_channels
    assert problem.is_thin == (np.prod(kernel[:-2]) > np.prod(y[1:-1]))
    plain = min(map(min, problem.padding)) >= 0 and set(problem.base_dilation) == {1}
    assert problem.is_plain == plain
    assert str(problem).startswith("x".join(map(str, x)))
    assert hash(problem) == hash(replace(problem))


@many
@given(problems())
def test_with_padding_for_fits_the_outputs_exactly(problem):
    exact = problem.with_padding_for(problem.output)
    assert exact.output == problem.output
    assert [lo for lo, _ in exact.padding] == [lo for lo, _ in problem.padding]
    for axis, s in enumerate(problem.stride):
        extent, spread = exact.extent[axis], exact.dilated_size[axis]
        assert spread + sum(exact.padding[axis]) == (exact.output[axis] - 1) * s + extent


@many
@given(problems())
def test_a_trimmed_problem_has_no_negative_padding_and_nothing_to_trim(problem):
    bare, kept = problem.trimmed()
    assert bare.output == problem.output
    assert min(map(min, bare.padding)) >= 0
    assert [last - first for first, last in kept] == list(bare.size)
    if not bare.is_empty:
        again, everything = bare.trimmed()
        assert again == bare
        assert everything == tuple((0, n) for n in bare.size)


@given(problems(**SMALL, dtypes=("float64",)))
def test_a_trimmed_problem_has_the_same_value(problem):
    bare, kept = problem.trimmed()
    x, kernel = numbers(problem.x_shape, 0), numbers(problem.kernel_shape, 1)
    cut = x[(slice(None), *(slice(*ends) for ends in kept))]
    want, magnitude = defined(problem, x, kernel)
    if bare.is_empty:  # only padding
        assert not want.any()
    else:
        got, _ = defined(bare, cut, kernel)
        assert_sums_close(got, want, magnitude, roundings=terms(problem) + 2)


def test_trimming_keeps_zeros_between_dilated_cells_as_padding():
    # Cells at 0, 3, 6, 9; four places cut off: 5 is padding, then the cell at 6.
    problem = Problem(1, (4,), 1, (2,), 1, padding=((-4, 0),), base_dilation=(3,))
    bare, kept = problem.trimmed()
    assert (bare.size, bare.padding, kept) == ((2,), ((2, 0),), ((2, 4),))


def test_an_empty_problem_is_not_trimmed():
    problem = Problem(1, (1, 5), 1, (1, 1), 1, stride=(1, 2), padding=((0, -1), (0, 0)))
    assert problem.is_empty
    assert problem.trimmed() == (problem, ((0, 1), (0, 5)))


@many
@given(problems())
def test_kernel_gradient_is_its_own_inverse(problem):
    exact = problem.with_padding_for(problem.output)
    assert exact.kernel_gradient().output == exact.kernel_size
    assert exact.kernel_gradient().kernel_gradient() == exact


@many
@given(problems())
def test_input_gradient_has_the_size_of_x_and_is_its_own_inverse(problem):
    exact = problem.with_padding_for(problem.output)
    gradient = exact.input_gradient()
    assert gradient.output_shape == problem.x_shape
    assert gradient.x_shape == problem.output_shape
    assert gradient.input_gradient() == exact


def _gradients(problem):
    x, kernel, g = (
        numbers(shape, stream)
        for stream, shape in enumerate(
            (problem.x_shape, problem.kernel_shape, problem.output_shape)
        )
    )
    return (x, kernel, g, *defined_gradients(problem, x, kernel, g))


@given(problems(**SMALL, dtypes=("float64",)))
def test_kernel_gradient_computes_the_gradient_of_the_kernel(problem):
    x, _, g, (_, want), (_, magnitude) = _gradients(problem)
    # The docstring's formula, cell by cell: x (c, *size, g*N), output gradient (*k, N, O).
    c, axes = problem.group_channels[0], problem.axes
    by_group = x.reshape(*x.shape[:-1], problem.groups, c)
    examples = np.moveaxis(by_group, (-1, -2, 0), (0, -2, -1)).reshape(c, *problem.size, -1)
    got, _ = defined(problem.kernel_gradient(), examples, np.moveaxis(g, 0, axes))
    count = problem.batch * problem.output_cells + 2
    assert_sums_close(np.moveaxis(got, 0, -2), want, magnitude, roundings=count)


@given(problems(**SMALL, dtypes=("float64",)))
def test_input_gradient_with_the_mirrored_kernel_computes_the_gradient_of_x(problem):
    _, kernel, g, (want, _), (magnitude, _) = _gradients(problem)
    c, filters = problem.group_channels
    mirrored = np.flip(kernel, tuple(range(problem.axes)))
    mirrored = mirrored.reshape(*problem.kernel_size, c, problem.groups, filters)
    mirrored = np.moveaxis(mirrored, -1, -3)  # (*F, filters, c, groups)
    mirrored = np.swapaxes(mirrored, -1, -2).reshape(*problem.kernel_size, filters, -1)
    got, _ = defined(problem.input_gradient(), g, mirrored)
    assert_sums_close(got, want, magnitude, roundings=problem.taps * filters + 2)


def test_a_problem_has_default_strides_dilations_and_padding():
    assert Problem(1, (5, 5), 1, (3, 3), 1) == Problem(
        1, (5, 5), 1, (3, 3), 1, 1, (1, 1), ((0, 0), (0, 0)), (1, 1), (1, 1), "float32", "float32"
    )


def test_an_axis_without_room_for_a_window_has_no_output():
    assert Problem(1, (2,), 1, (5,), 1).output == (0,)
    assert Problem(1, (2,), 1, (5,), 1).is_empty
    assert Problem(1, (0,), 1, (1,), 1, padding=((1, 1),)).output == (2,)


@pytest.mark.parametrize(
    ("problem", "depthwise"),
    [
        (Problem(1, (5,), 3, (3,), 3, 3), True),
        (Problem(1, (5,), 3, (3,), 6, 3), True),
        (Problem(1, (5,), 6, (3,), 3, 3), False),
        (Problem(1, (5,), 1, (3,), 6), False),
    ],
)
def test_is_depthwise_means_one_channel_a_group(problem, depthwise):
    assert problem.is_depthwise == depthwise


@few
@given(problems(ranks=(1, 2), filter_size=(1, 3), outputs=3))
def test_the_definition_used_here_is_the_reference(problem):
    x, kernel, g = (
        numbers(shape, stream)
        for stream, shape in enumerate(
            (problem.x_shape, problem.kernel_shape, problem.output_shape)
        )
    )

    def by_reference(x, kernel):
        """The reference of a dilated and cropped x."""
        for axis, (b, (lo, hi)) in enumerate(
            zip(problem.base_dilation, problem.padding, strict=True), start=1
        ):
            before = (slice(None),) * axis
            cells = b * (x.shape[axis] - 1) + 1
            spread = jnp.zeros((*x.shape[:axis], cells, *x.shape[axis + 1 :]), x.dtype)
            x = spread.at[(*before, slice(None, None, b))].set(x)
            sides = [(0, 0)] * x.ndim
            sides[axis] = (max(lo, 0), max(hi, 0))
            x = jnp.pad(x, sides)
            x = x[(*before, slice(max(-lo, 0), x.shape[axis] - max(-hi, 0)))]
        return reference.conv(
            x,
            kernel,
            stride=problem.stride,
            dilation=problem.dilation,
            groups=problem.groups,
            rounding="floor",
        )

    with jax.enable_x64(True):
        y, pull_back = jax.vjp(by_reference, jnp.asarray(x), jnp.asarray(kernel))
        wants = y, *pull_back(jnp.asarray(g))
    value, size = defined(problem, x, kernel)
    gradients, sizes = defined_gradients(problem, x, kernel, g)
    count = 2 + terms(problem) * problem.out_channels * problem.batch * problem.output_cells
    for got, want, magnitude in zip((value, *gradients), wants, (size, *sizes), strict=True):
        assert_sums_close(got, want, magnitude, roundings=count)
