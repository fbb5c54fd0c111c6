"""The rows of a model are its convolutions and pools."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from hypothesis import assume, given
from hypothesis import strategies as st

import jaxcnn
from jaxcnn.bench.contenders import lax_arguments
from jaxcnn.bench.network import rows_of_model
from jaxcnn.errors import InputError
from jaxcnn.nn import Stack
from jaxcnn.testing import conv_problems, pool_problems
from tests.cases import few


@few
@given(conv_problems())
def test_a_convolution_is_one_row_that_calls_lax_as_the_library_does(problem):
    x, kernel, *_ = problem.arrays()
    assume(x.ndim == kernel.ndim)

    def model(x):
        return jaxcnn.conv(x, kernel, **problem.kwargs)

    (row,) = rows_of_model(model, x.shape[1:], batch=len(x))
    y = model(x)
    assert (row.x_shape, row.kernel_shape, row.output_shape) == (x.shape, kernel.shape, y.shape)
    again = jax.lax.conv_general_dilated(x, kernel, **lax_arguments(row))
    assert jnp.allclose(y, again, rtol=1e-4, atol=1e-3)


@few
@given(pool_problems(), st.sampled_from(["max", "avg"]))
def test_a_pool_is_one_row(problem, kind):
    x = problem.arrays()[0]
    assume(x.ndim == len(problem.kernel_size) + 2)
    pool = getattr(jaxcnn, f"{kind}_pool")

    def model(x):
        return pool(x, problem.kernel_size, **problem.kwargs)

    rows = [row for row in rows_of_model(model, x.shape[1:], batch=len(x)) if row.is_pool]
    assert rows[0].operation == f"{kind} pool"
    assert rows[0].kernel_size == problem.kernel_size


def test_a_transposed_convolution_has_the_padding_of_the_convolution_it_transposes():
    kernel = jnp.ones((4, 4, 6, 3))
    (row,) = rows_of_model(
        lambda x: jaxcnn.conv_transpose(x, kernel, stride=2, padding=1), (5, 7, 3), batch=2
    )
    assert (row.operation, row.stride, row.padding) == ("transposed", (2, 2), ((1, 1), (1, 1)))
    assert row.output_shape == (2, 10, 14, 6)


def test_equal_layers_are_one_row_and_dense_layers_are_none():
    words = ["conv:4:k3:p1:relu", "conv:4:k3:p1", "conv:4:k3:p1", "max:k2", "flatten", "dense:3"]
    stack = nnx.eval_shape(lambda: Stack((8, 8, 4), words, rngs=nnx.Rngs(0)))
    names = [row.name for row in rows_of_model(stack, (8, 8, 4), batch=2)]
    assert names == ["3x3 4-4 @8 b2", "2x2 max pool 4 s2 @8 b2"]


def test_a_model_without_convolutions_is_refused():
    with pytest.raises(InputError, match="neither a convolution nor a pool"):
        rows_of_model(jnp.tanh, (8, 8, 3))
