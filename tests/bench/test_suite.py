"""The rows of the suites: their shapes and multiply-adds are those of the library."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxcnn.bench import OVERVIEW, containing
from jaxcnn.bench.contenders import lax_arguments
from jaxcnn.bench.row import depthwise, row
from jaxcnn.convolve.layout import describe
from jaxcnn.errors import InputError
from jaxcnn.ops import max_pool

ROWS = OVERVIEW


def test_row_names_are_unique():
    names = [row.name for row in OVERVIEW]
    assert len(names) == len(set(names))


def _shapes(row):
    return [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (row.x_shape, row.kernel_shape)]


@pytest.mark.parametrize("row", [row for row in ROWS if not row.is_pool], ids=lambda row: row.name)
def test_shapes_and_multiply_adds_of_a_convolution_row_are_those_of_the_library(row):
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
def test_the_output_shape_of_a_pool_row_is_that_of_the_library(row):
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
def test_terms_are_the_most_products_summed_into_one_element(row, direction):
    """Operands of ones count the products."""
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
def test_every_direction_has_the_same_multiply_adds(row):
    """With operands of ones and no padding, the sum over the result counts them."""
    free = replace(row, padding=tuple((0, 0) for _ in row.size))
    x, w, g = (jnp.ones(shape) for shape in (free.x_shape, free.kernel_shape, free.output_shape))
    y, pull = jax.vjp(lambda x, w: lax.conv_general_dilated(x, w, **lax_arguments(free)), x, w)
    for counted in (y, *pull(g)):
        assert int(np.asarray(counted, np.float64).sum()) == free.multiply_adds


def test_rows_are_found_by_a_part_of_their_name_or_group():
    assert {row.group for row in containing(OVERVIEW, "depthwise")} == {"depthwise"}
    with pytest.raises(InputError, match="no row of overview has 'nothing'"):
        containing(OVERVIEW, "nothing")
