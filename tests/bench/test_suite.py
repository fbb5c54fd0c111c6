"""The rows are possible problems, and their arithmetic is the library's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxcnn.bench import SUITES, rows_of
from jaxcnn.bench.contenders import lax_arguments
from jaxcnn.bench.row import depthwise, row
from jaxcnn.convolve.layout import describe
from jaxcnn.errors import InputError
from jaxcnn.ops import max_pool

ROWS = sorted({row for suite in SUITES.values() for row in suite}, key=lambda row: row.name)


@pytest.mark.parametrize("suite", SUITES)
def test_names_tell_rows_apart(suite):
    names = [row.name for row in SUITES[suite]]
    assert len(names) == len(set(names))


def test_a_name_means_one_problem_in_every_suite():
    numbers = {(row.name, row.x_shape, row.kernel_shape, row.output_shape) for row in ROWS}
    assert len({name for name, *_ in numbers}) == len(numbers)


def _shapes(row):
    return [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (row.x_shape, row.kernel_shape)]


@pytest.mark.parametrize("row", [row for row in ROWS if not row.is_pool], ids=lambda row: row.name)
def test_a_convolution_has_the_shape_and_the_work_that_the_library_gives_it(row):
    x, kernel = _shapes(row)
    y = jax.eval_shape(lambda x, w: lax.conv_general_dilated(x, w, **lax_arguments(row)), x, kernel)
    assert y.shape == row.output_shape
    if row.operation == "transposed":
        return
    jaxpr = jax.make_jaxpr(lambda x, w: lax.conv_general_dilated(x, w, **lax_arguments(row)))
    (equation,) = jaxpr(x, kernel).eqns
    problem = describe(x, kernel, equation.params).problem
    assert row.multiply_adds == problem.multiply_adds
    assert row.terms("forward") == problem.taps * problem.group_channels[0]


@pytest.mark.parametrize("row", [row for row in ROWS if row.is_pool], ids=lambda row: row.name)
def test_a_pool_has_the_shape_that_the_library_gives_it(row):
    x = jax.ShapeDtypeStruct(row.x_shape, jnp.float32)
    y = jax.eval_shape(
        lambda x: max_pool(
            x, row.kernel_size, stride=row.stride, padding=row.padding, rounding="floor"
        ),
        x,
    )
    assert y.shape == row.output_shape
    assert row.kernel_shape is None
    assert row.directions == ("forward", "input")


SMALL = [
    row("dense", 3, 4, 6, 7, batch=2),
    row("dense", 5, 2, 3, 9, batch=2, stride=2),
    row("dense", 3, 2, 2, 9, batch=2, stride=2, dilation=2),
    depthwise(4, 3, 9, batch=2, stride=3, padding=1),
    row("transposed", 4, 3, 2, 5, batch=2, stride=2, operation="transposed"),
    row("transposed", 5, 2, 2, 4, axes=1, stride=2, padding=(1, 0), operation="transposed"),
    row("transposed", 3, 4, 2, 4, groups=2, stride=3, padding=0, operation="transposed"),
]


@pytest.mark.parametrize("row", SMALL, ids=lambda row: row.name)
@pytest.mark.parametrize("direction", ["forward", "input", "kernel"])
def test_terms_are_the_most_products_that_meet_in_one_number(row, direction):
    """Operands of ones count them."""
    x, w, g = (jnp.ones(shape) for shape in (row.x_shape, row.kernel_shape, row.output_shape))

    def function(x, w):
        return lax.conv_general_dilated(x, w, **lax_arguments(row))

    y, pull = jax.vjp(function, x, w)
    most = {"forward": y, "input": pull(g)[0], "kernel": pull(g)[1]}[direction]
    terms = row.terms(direction)
    assert float(most.max()) <= terms
    if direction != "kernel":
        assert float(most.max()) == terms


@pytest.mark.parametrize("row", SMALL, ids=lambda row: row.name)
def test_every_direction_does_the_same_work(row):
    """Operands of ones, without padding, count it: the sum over all entries."""
    free = row.__class__(**{**vars(row), "padding": tuple((0, 0) for _ in row.size)})
    x, w, g = (jnp.ones(shape) for shape in (free.x_shape, free.kernel_shape, free.output_shape))
    y, pull = jax.vjp(lambda x, w: lax.conv_general_dilated(x, w, **lax_arguments(free)), x, w)
    for counted in (y, *pull(g)):
        assert int(np.asarray(counted, np.float64).sum()) == free.multiply_adds


def test_suites_and_rows_that_are_not_there_are_refused():
    with pytest.raises(InputError, match="suite must be one of overview, resnet50"):
        rows_of("alexnet")
    with pytest.raises(InputError, match="no row of suite overview has 'nothing'"):
        rows_of("overview", "nothing")
    assert {row.group for row in rows_of("overview", "depthwise")} == {"depthwise"}
