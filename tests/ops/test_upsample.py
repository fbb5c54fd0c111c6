"""Upsampling: outputs have the specified coordinates, and are made of the cells around them."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn import ops, reference
from jaxcnn.geometry.conventions import onnx, pytorch
from jaxcnn.shapes import upsample_shapes
from jaxcnn.shapes.upsample import COORDINATES, METHODS
from jaxcnn.testing import assert_sums_close
from tests.cases import DTYPES, few, many

HALF = Fraction(1, 2)
both = pytest.mark.parametrize("form", [ops, reference], ids=["fast", "reference"])


@st.composite
def problems(draw, methods=METHODS, dtypes=("float32",)):
    """(x, the arguments, dtype); x has one to three spatial axes, and a batch axis or none."""
    axes = draw(st.integers(1, 3))
    sizes = [draw(st.integers(1, 5)) for _ in range(axes)]
    arguments = {
        "method": draw(st.sampled_from(methods)),
        "coordinates": draw(st.sampled_from(COORDINATES)),
    }
    if draw(st.booleans()):
        whole = st.integers(1, 4)
        arguments["scale_factor"] = tuple(
            draw(whole | st.sampled_from([0.5, 1.5, 0.4, Fraction(7, 3)])) for _ in range(axes)
        )
        arguments["rounding"] = "floor"
        if any(n * f < 1 for n, f in zip(sizes, arguments["scale_factor"], strict=True)):
            sizes = [3 * n for n in sizes]
    else:
        arguments["output_size"] = tuple(draw(st.integers(1, 7)) for _ in range(axes))
    batch = draw(st.sampled_from([(), (2,)]))
    x = np.random.default_rng(draw(st.integers(0, 99))).normal(size=(*batch, *sizes, 2))
    return x, arguments, draw(st.sampled_from(dtypes))


def scales_of(x, arguments):
    """For each axis: the cells, the outputs, and the outputs for each cell."""
    given = arguments.get("scale_factor") or arguments["output_size"]
    sizes = x.shape[-len(given) - 1 : -1]
    if "scale_factor" in arguments:
        factors = [Fraction(f).limit_denominator(99) for f in given]
        return [(n, math.floor(n * f), f) for n, f in zip(sizes, factors, strict=True)]
    return [(n, k, Fraction(k, n)) for n, k in zip(sizes, given, strict=True)]


def coordinate(i, n, k, scale, coordinates):
    if coordinates == "align_corners":
        at = Fraction(i * (n - 1), k - 1) if k > 1 else Fraction(0)
    else:
        at = i / scale if coordinates == "asymmetric" else (i + HALF) / scale - HALF
    return min(max(at, Fraction(0)), Fraction(n - 1))


def matrix(n, k, scale, method, coordinates):
    """(k, n): the weight of each cell of an axis in each output, by its distance."""
    weights = np.zeros((k, n))
    for i in range(k):
        at = coordinate(i, n, k, scale, coordinates)
        distances = [abs(at - cell) for cell in range(n)]
        if method == "linear":
            weights[i] = [max(0, 1 - distance) for distance in distances]
        else:
            cells = {
                "floor": max(c for c in range(n) if c <= at),
                "ceil": next(c for c in range(n) if c >= at),
                "round_prefer_floor": distances.index(min(distances)),
                "nearest": n - 1 - distances[::-1].index(min(distances)),
            }
            weights[i, cells[method]] = 1
    return weights


def weighted(x, arguments):
    """The upsampling of x in NumPy: a product with a matrix on each axis."""
    axes = scales_of(x, arguments)
    for place, (n, k, scale) in enumerate(axes, start=x.ndim - 1 - len(axes)):
        of_axis = matrix(n, k, scale, arguments["method"], arguments["coordinates"])
        x = np.moveaxis(np.tensordot(of_axis, x, (1, place)), 0, place)
    return x


@both
@given(case=problems(dtypes=DTYPES))
def test_each_output_weighs_the_cells_around_its_coordinate_by_their_distance(form, case):
    x, arguments, dtype = case
    with jax.enable_x64(dtype == "float64"):
        x = jnp.asarray(x, dtype)
        got = jax.jit(partial(form.upsample, **arguments))(x)
    assert got.dtype == x.dtype
    x = np.asarray(x, np.float64)
    want, magnitude = weighted(x, arguments), weighted(abs(x), arguments)
    if arguments["method"] == "linear":
        assert_sums_close(got, want, magnitude, roundings=4 * 3 + 8)
    else:
        np.testing.assert_array_equal(np.asarray(got, np.float64), want)


@few
@both
@given(case=problems())
def test_the_gradient_of_upsampling_is_the_product_with_the_transposed_matrices(form, case):
    x, arguments, _ = case
    upsample = partial(form.upsample, **arguments)
    with jax.enable_x64(True):
        y, pull_back = jax.vjp(upsample, jnp.asarray(x))
        cotangent = np.random.default_rng(1).normal(size=y.shape)
        got = jax.jit(pull_back)(jnp.asarray(cotangent))[0]
    want, magnitude = cotangent, abs(cotangent)
    axes = scales_of(x, arguments)
    for place, (n, k, scale) in enumerate(axes, start=x.ndim - 1 - len(axes)):
        back = matrix(n, k, scale, arguments["method"], arguments["coordinates"]).T
        want, magnitude = (
            np.moveaxis(np.tensordot(back, g, (1, place)), 0, place) for g in (want, magnitude)
        )
    assert_sums_close(got, want, magnitude, roundings=sum(y.shape) + 20)


@few
@both
@given(case=problems(), wrong=st.sampled_from([np.nan, np.inf]))
def test_a_cell_that_is_not_finite_reaches_exactly_the_outputs_that_weigh_it(form, case, wrong):
    x, arguments, _ = case
    spoilt = np.ones(x.shape, "float32")
    at = np.unravel_index(x.size // 2, x.shape)
    spoilt[at] = wrong
    upsample = jax.jit(partial(form.upsample, **arguments))
    got = np.asarray(upsample(jnp.asarray(spoilt)))
    one = np.zeros(x.shape)
    one[at] = 1
    reached = weighted(one, arguments) > 0
    np.testing.assert_array_equal(got[reached], wrong)
    assert np.isfinite(got[~reached]).all()
    # A cotangent that is not finite reaches exactly the cells that its output weighs.
    y, pull_back = jax.vjp(upsample, jnp.ones(x.shape, "float32"))
    at = np.unravel_index(y.size // 2, y.shape)
    reached = np.asarray(pull_back(jnp.zeros(y.shape, "float32").at[at].set(1))[0] > 0)
    gradient = np.asarray(pull_back(jnp.ones(y.shape, "float32").at[at].set(wrong))[0])
    np.testing.assert_array_equal(gradient[reached], wrong)
    assert np.isfinite(gradient[~reached]).all()


@both
def test_an_output_at_a_cell_is_the_cell(form):
    x = jnp.array([[1.0], [jnp.inf], [3.0], [4.0]])
    y = form.upsample(x, output_size=(7,), method="linear", coordinates="align_corners")
    inf = np.inf
    np.testing.assert_array_equal(y[:, 0], [1, inf, inf, inf, 3, 3.5, 4])


@many
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(COORDINATES))
def test_coordinates_are_those_of_the_specification_and_never_decrease(n, k, coordinates):
    (axis,) = upsample_shapes((n, 1), output_size=(k,), coordinates=coordinates).axes
    found = [axis.of(i) for i in range(k)]
    assert found == [coordinate(i, n, k, Fraction(k, n), coordinates) for i in range(k)]
    assert found == sorted(found)


@pytest.mark.parametrize(
    ("given_factor", "meant"),
    [(0.1, Fraction(1, 10)), (np.float32(0.6), Fraction(3, 5)), (1 / 3, Fraction(1, 3)), (2, 2)],
)
def test_a_float_is_the_simple_fraction_that_it_stands_for(given_factor, meant):
    (axis,) = upsample_shapes((30, 1), (given_factor,)).axes
    assert (axis.step, axis.output) == (1 / Fraction(meant), 30 * meant)


@both
def test_linear_upsampling_by_aligned_corners_keeps_a_ramp_and_its_ends(form):
    ramp = jnp.arange(5.0).reshape(5, 1)
    got = form.upsample(ramp, output_size=(9,), method="linear", coordinates="align_corners")
    np.testing.assert_array_equal(got[:, 0], np.arange(9) / 2)


def test_a_huge_factor_of_one_cell_repeats_it():
    x = jnp.full((1, 1, 1, 2), jnp.inf)
    y = ops.upsample(x, output_size=(300, 2), method="linear")
    assert np.isposinf(y).all()


# Published values: ONNX, node tests of Resize. (sizes, arguments, the first row)
NODES = [
    ((2, 2), {"scales": (2.0, 3.0), "mode": "nearest"}, [1, 1, 1, 2, 2, 2]),
    ((2, 4), {"scales": (0.6, 0.6), "mode": "nearest"}, [1, 3]),
    (
        (2, 2),
        {"scales": (2.0, 2.0), "mode": "linear", "coordinate_transformation_mode": "align_corners"},
        [1, 4 / 3, 5 / 3, 2],
    ),
    ((2, 2), {"scales": (2.0, 2.0), "mode": "linear"}, [1, 1.25, 1.75, 2]),
    ((2, 4), {"scales": (0.6, 0.6), "mode": "linear"}, [8 / 3, 13 / 3]),
    (
        (4, 4),
        {
            "sizes": (8, 8),
            "coordinate_transformation_mode": "half_pixel",
            "nearest_mode": "ceil",
        },
        [1, 2, 2, 3, 3, 4, 4, 4],
    ),
    (
        (4, 4),
        {
            "sizes": (8, 8),
            "coordinate_transformation_mode": "align_corners",
            "nearest_mode": "floor",
        },
        [1, 1, 1, 2, 2, 3, 3, 4],
    ),
    (
        (4, 4),
        {
            "sizes": (8, 8),
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "round_prefer_ceil",
        },
        [1, 2, 2, 3, 3, 4, 4, 4],
    ),
]


@both
@pytest.mark.parametrize(("sizes", "arguments", "row"), NODES)
def test_onnx_node_tests_of_resize_have_their_published_values(form, sizes, arguments, row):
    x = jnp.arange(1.0, 1 + math.prod(sizes)).reshape(*sizes, 1)
    np.testing.assert_allclose(form.upsample(x, **onnx.upsample(**arguments))[0, :, 0], row, 1e-6)


def test_pytorchs_nearest_takes_the_cell_before_and_nearest_exact_the_nearest():
    x = jnp.arange(3.0).reshape(3, 1)
    got = {
        mode: ops.upsample(x, **pytorch.upsample(size=(5,), mode=mode))[:, 0]
        for mode in ("nearest", "nearest-exact")
    }
    np.testing.assert_array_equal(got["nearest"], [0, 0, 1, 1, 2])
    np.testing.assert_array_equal(got["nearest-exact"], [0, 0, 1, 2, 2])
