"""Every primitive of jaxcnn has all rules of lax's primitive, and equals it in JAX's modes."""

import importlib
import pkgutil
from functools import partial

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax
from jax.experimental import checkify, jet
from jax.extend.core import Primitive
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as Spec

from jaxcnn import convolve
from jaxcnn.convolve import conv_general_dilated
from jaxcnn.convolve.materialize import materialize_cotangent
from jaxcnn.convolve.pool_primitives import first_tap, window_max, window_min, window_sum
from jaxcnn.convolve.taps import AxisWindow
from jaxcnn.convolve.tuning import POOL_MOST_TAPS
from tests.cases import few, run_on_eight_devices
from tests.convolve.drawn import assert_trees_close

NUMBERS = ("NHWC", "HWIO", "NHWC")
KERNEL = (jnp.arange(36.0).reshape(3, 3, 2, 2) % 7) - 3
PADDING = ((0, 0), (1, 1), (0, 1), (0, 0))
ARRAY_WINDOW = (
    AxisWindow(2, 2),
    AxisWindow(5, 3, kernel_size=3, stride=2, low=1, high=1),
    AxisWindow(6, 5, kernel_size=3, low=0, high=1),
    AxisWindow(2, 2),
)
WINDOW = {"window_dimensions": (1, 3, 3, 1), "window_strides": (1, 2, 1, 1), "padding": PADDING}
LONG = (AxisWindow(1, 1), AxisWindow(300, 201, kernel_size=100, low=0, high=0), AxisWindow(2, 2))
LONG_WINDOW = {
    "window_dimensions": (1, 100, 1),
    "window_strides": (1, 1, 1),
    "padding": ((0, 0),) * 3,
}
SMALL, SERIES = (2, 5, 6, 2), (1, 300, 2)


def _window(x, function, start, window):
    return lax.reduce_window(x, np.asarray(start, x.dtype), function, **window)


def _convolution(function, x):
    return function(x, KERNEL.astype(x.dtype), (1, 1), "SAME", dimension_numbers=NUMBERS)


# name -> (the shape of x, ours, lax's, whether it is linear)
TWINS = {
    "jaxcnn_conv": (
        SMALL,
        partial(_convolution, conv_general_dilated),
        partial(_convolution, lax.conv_general_dilated),
        True,
    ),
    "jaxcnn_window_sum": (
        SMALL,
        lambda x: window_sum(x, ARRAY_WINDOW),
        lambda x: _window(x, lax.add, 0, WINDOW),
        True,
    ),
    "jaxcnn_window_sum, long": (
        SERIES,
        lambda x: window_sum(x, LONG),
        lambda x: _window(x, lax.add, 0, LONG_WINDOW),
        True,
    ),
    "jaxcnn_window_max": (
        SMALL,
        lambda x: window_max(x, ARRAY_WINDOW),
        lambda x: _window(x, lax.max, -np.inf, WINDOW),
        False,
    ),
    "jaxcnn_window_max, long": (
        SERIES,
        lambda x: window_max(x, LONG),
        lambda x: _window(x, lax.max, -np.inf, LONG_WINDOW),
        False,
    ),
    "jaxcnn_window_min": (
        SMALL,
        lambda x: window_min(x, ARRAY_WINDOW),
        lambda x: _window(x, lax.min, np.inf, WINDOW),
        False,
    ),
    "jaxcnn_materialize": (SMALL, materialize_cotangent, lambda x: x, True),
    "jaxcnn_first_tap": (
        SMALL,
        lambda x: (
            x[:, :3, :5] * first_tap(x, window_max(x, ARRAY_WINDOW), ARRAY_WINDOW).astype(x.dtype)
        ),
        lambda x: x[:, :3, :5] * lax.stop_gradient(_first_tap_by_numpy(x)),
        False,
    ),
}
EXEMPT = {"jaxcnn_direct_conv": "a call of lax's inside a program that is being compiled"}


def _first_tap_by_numpy(x):
    def find(x):
        padded = np.pad(np.asarray(x, "float64"), PADDING, constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))[:, ::2]
        return windows.reshape(*windows.shape[:4], 9).argmax(-1).astype(x.dtype)

    shape = jax.ShapeDtypeStruct((2, 3, 5, 2), x.dtype)
    return jax.pure_callback(find, shape, lax.stop_gradient(x), vmap_method="sequential")


def _x(shape, seed=0, dtype="float32"):
    """Distinct integers, so that maxima have no ties and sums are exact."""
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.permutation(int(np.prod(shape))).reshape(shape) - 20, dtype)


@pytest.fixture(params=TWINS)
def twins(request):
    return TWINS[request.param]


_same = partial(assert_trees_close, roundings=2000)


def _taylor_by_jvps(function, x, terms):
    """Every function in this file is linear in x, at least locally."""
    return function(x), [jax.jvp(function, (x,), (term,))[1] for term in terms]


def _taylor_by_jet(function, x, terms):
    return jet.jet(function, (x,), (terms,))


def _in_every_mode(function, x, taylor):
    """The modes in which JAX can use a function of one array, by name."""
    dx, ddx = _x(x.shape, 1) / 8, _x(x.shape, 2) / 8

    def squares(x):
        return jnp.sum(function(x) ** 2)

    yield "value", function(x)
    yield "compiled", jax.jit(function)(x)
    yield "jvp", jax.jvp(function, (x,), (dx,))
    yield "gradient", jax.grad(squares)(x)
    yield "gradient, compiled", jax.jit(jax.grad(squares))(x)
    yield "hessian times vector", jax.jvp(jax.grad(squares), (x,), (dx,))[1]
    yield "reverse of forward", jax.grad(lambda x: jax.jvp(squares, (x,), (dx,))[1])(x)
    yield "vmap", jax.vmap(function)(jnp.stack([x, dx]))
    yield "vmap, last axis", jax.vmap(function, -1, -1)(jnp.stack([x, dx], -1))
    yield "gradient in vmap", jax.vmap(jax.grad(squares))(jnp.stack([x, dx]))
    yield "checkpoint", jax.grad(jax.checkpoint(squares))(x)
    yield "linearize", jax.linearize(function, x)[1](dx)
    yield "taylor", taylor(function, x, [dx, ddx])
    yield "scan", lax.scan(lambda c, x: (c, function(x)), 0, jnp.stack([x, dx]))[1]
    error, y = checkify.checkify(function, errors=checkify.all_checks)(x)
    assert error.get() is None
    yield "checkify", y
    error, dy = checkify.checkify(jax.grad(squares), errors=checkify.user_checks)(x)
    yield "checkify of the gradient", dy
    with jax.disable_jit():  # left before the other one of two such generators enters it
        y = function(x)
    yield "without jit", y


def test_every_primitive_equals_laxs_in_every_mode(twins):
    shape, ours, theirs, _ = twins
    x = _x(shape)
    modes = zip(
        _in_every_mode(ours, x, _taylor_by_jet),
        _in_every_mode(theirs, x, _taylor_by_jvps),
        strict=True,
    )
    for (mode, got), (_, want) in modes:
        try:
            _same(got, want)
        except AssertionError as error:
            raise AssertionError(mode) from error


LINEAR = [name for name, (*_, linear) in TWINS.items() if linear]


@pytest.mark.parametrize("name", LINEAR)
def test_linear_primitives_are_transposed_as_laxs(name):
    shape, ours, theirs, _ = TWINS[name]
    x = _x(shape)
    y = theirs(x)
    _same(jax.linear_transpose(ours, x)(y), jax.linear_transpose(theirs, x)(y))


@pytest.mark.parametrize("name", ["jaxcnn_conv", "jaxcnn_window_sum"])
def test_a_nan_is_reported_by_the_operation_that_made_it(name):
    shape, ours, theirs, _ = TWINS[name]
    x = _x(shape).at[0, 0, 0, 0].set(np.inf).at[0, 0, 1, 0].set(-np.inf)
    for function, says in ((theirs, r"nan generated"), (ours, rf"nan generated .*{name}")):
        error, _ = checkify.checkify(function, errors=checkify.float_checks)(x)
        with pytest.raises(ValueError, match=says):
            error.throw()


def test_every_primitive_lowers_for_every_platform(twins):
    shape, ours, _, _ = twins
    x = jax.ShapeDtypeStruct(shape, "float32")
    platforms = ("cpu", "cuda", "tpu")
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(ours(x))))
    exported = jax.export.export(gradient, platforms=platforms)(x)
    assert (exported.platforms, exported.out_avals[0].shape) == (platforms, shape)


def test_every_primitive_works_inside_shard_map():
    run_on_eight_devices(__name__)


def on_eight_devices():
    mesh = jax.make_mesh((8,), ("batch",), axis_types=(AxisType.Auto,))
    for name, (shape, ours, *_) in TWINS.items():

        def loss(x, ours=ours):
            return jnp.sum(ours(x) ** 2)

        x = jnp.concatenate([_x(shape, seed) for seed in range(8)])
        parts = x.reshape(8, *shape)
        spread = partial(jax.shard_map, mesh=mesh, in_specs=Spec("batch"), out_specs=Spec("batch"))
        for function in (ours, jax.grad(jax.checkpoint(loss))):
            got = jax.jit(spread(function))(x)
            want = jnp.concatenate([function(part) for part in parts])
            np.testing.assert_array_equal(got, want, err_msg=name)
    print(len(jax.devices()), "devices")


def test_every_primitive_of_convolve_is_tested_here():
    found = set()
    for module in pkgutil.walk_packages(convolve.__path__, "jaxcnn.convolve."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Primitive) and value.name.startswith("jaxcnn_"):
                found.add(value.name)
    assert found == {name.split(",")[0] for name in TWINS} | set(EXEMPT)


# -- windows of many taps --------------------------------------------------------------------------


@st.composite
def long_windows(draw):
    """(x, window) with more taps on one axis than a program unrolls."""
    taps = draw(st.sampled_from([POOL_MOST_TAPS + 1, 97, 128, 200]))
    dilation, stride = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 7, taps]))
    low, high = draw(st.integers(0, taps // 2)), draw(st.integers(0, taps // 2))
    extent = (taps - 1) * dilation + 1
    size = extent + draw(st.integers(0, 40))
    output = (size + low + high - extent) // stride + 1
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x = rng.integers(-9, 9, (2, size, 3)).astype("float32")  # ties
    for special in draw(st.lists(st.sampled_from([np.nan, -np.inf, np.inf]), max_size=2)):
        x = np.where(rng.random(x.shape) < 0.02, special, x).astype("float32")
    return x, (
        AxisWindow(2, 2),
        AxisWindow(size, output, taps, stride, dilation, low, high),
        AxisWindow(3, 3),
    )


def _first_by_definition(x, axis, is_max):
    """For each output of the middle axis, the cell of the extremum, or of the last NaN if any."""
    best = np.zeros((x.shape[0], axis.output, x.shape[2]), int)
    for n, o, c in np.ndindex(best.shape):
        start = o * axis.stride - axis.low
        cells = range(start, start + axis.kernel_size * axis.dilation, axis.dilation)
        cells = [cell for cell in cells if 0 <= cell < axis.size]
        values = [float(x[n, cell, c]) for cell in cells]
        nans = [cell for cell, value in zip(cells, values, strict=True) if value != value]
        extreme = (max if is_max else min)(value for value in values if value == value or nans)
        best[n, o, c] = nans[-1] if nans else cells[values.index(extreme)]
    return best


@few
@given(long_windows(), st.booleans())
def test_pools_of_many_taps_find_the_first_extremum_or_the_last_nan(problem, is_max):
    x, window = problem
    pool = window_max if is_max else window_min
    y, pull_back = jax.vjp(lambda x: pool(x, window), jnp.asarray(x))
    cells = _first_by_definition(x, window[1], is_max)
    np.testing.assert_array_equal(y, np.take_along_axis(x, cells, 1))
    g = np.arange(1.0, 1 + y.size, dtype="float32").reshape(y.shape)
    want = np.zeros_like(x)
    n, _, c = np.indices(cells.shape)
    np.add.at(want, (n, cells, c), g)
    np.testing.assert_array_equal(pull_back(jnp.asarray(g))[0], want)


@pytest.mark.parametrize("pool", [window_max, window_min, window_sum])
def test_a_pool_program_does_not_grow_with_its_taps(pool):
    def equations(taps):
        window = (
            AxisWindow(1, 1),
            AxisWindow(10 * taps, 10, kernel_size=taps, stride=taps),
            AxisWindow(1, 1),
        )
        gradient = jax.jit(jax.grad(lambda x: jnp.sum(pool(x, window))))
        return len(gradient.lower(jnp.ones((1, 10 * taps, 1))).as_text().splitlines())

    most = max(equations(taps) for taps in (POOL_MOST_TAPS - 1, POOL_MOST_TAPS))
    assert max(equations(taps) for taps in (500, 100_000)) <= most
