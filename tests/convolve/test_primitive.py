"""The drop-in equals lax's convolution: values, errors, and every transformation of JAX."""

import re
from dataclasses import replace
from functools import partial

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax
from jax.experimental import jet
from jax.extend.core import jaxprs_in_params
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as Spec

import jaxcnn.convolve.choose as choosing
from jaxcnn.convolve import ALGORITHMS, conv_general_dilated, tuning
from jaxcnn.convolve.primitive import conv_p
from jaxcnn.onednn import unavailable_reason
from jaxcnn.onednn.primitives import TARGET
from jaxcnn.testing import assert_within, gamma, rounding_bound
from tests.cases import few, for_cpus, run_on_eight_devices
from tests.convolve.drawn import (
    INTEGERS,
    REALS,
    SIXTEEN,
    Call,
    assert_trees_close,
    calls,
    numbers,
)


@pytest.fixture
def any_but_direct(monkeypatch):
    """Chooses the cheapest algorithm other than the direct call, if there is one."""
    monkeypatch.setattr(tuning, "WORTH", float("inf"))
    choosing._cheapest.cache_clear()
    yield
    choosing._cheapest.cache_clear()


assert_close = partial(assert_trees_close, roundings=10_000)

# -- values ----------------------------------------------------------------------------------------

SUMS = [name for name, algorithm in ALGORITHMS.items() if algorithm.local]


def _assert_is_lax(call, algorithm=None):
    with jax.enable_x64(True):
        x, kernel = call.arrays()
        with jax.default_device(jax.local_devices(backend="cpu")[0]):  # it has every dtype
            lax_s = lax.conv_general_dilated(x, kernel, **call.kwargs)
        got = conv_general_dilated(x, kernel, **call.kwargs, algorithm=algorithm)
        assert (got.dtype, got.shape, got.weak_type) == (lax_s.dtype, lax_s.shape, lax_s.weak_type)
        if call.dtype in INTEGERS:
            np.testing.assert_array_equal(got, lax_s)
            return
        wide = "complex128" if call.dtype == "complex64" else "float64"
        kwargs = call.kwargs | {"preferred_element_type": None}
        want = lax.conv_general_dilated(x.astype(wide), kernel.astype(wide), **kwargs)
        sizes = (abs(a.astype(wide)) for a in (x, kernel))
        magnitude = np.asarray(lax.conv_general_dilated(*sizes, **kwargs))
    # A complex product has two real products and an addition.
    count = 2 * call.terms + 3 if wide == "complex128" else call.terms + 2
    if call.dtype in SIXTEEN:  # sums in float32; in and out of four algorithms at most
        share = gamma(4, call.dtype) + gamma(count + 4, "float32")
    else:
        share = gamma(count, "float32" if call.dtype == "complex64" else call.dtype)
    bound = rounding_bound(magnitude, share + gamma(count, "float64"))
    for part in (np.real, np.imag) if wide == "complex128" else (np.asarray,):
        values = (part(np.asarray(a).astype(wide)) for a in (got, want))
        assert_within(*values, bound, f"{call}, {algorithm}")


@pytest.mark.parametrize("dtype", [*REALS, *INTEGERS, "complex64"])
@few
@given(st.data())
def test_conv_general_dilated_equals_laxs_for_every_argument(dtype, data):
    algorithm = data.draw(st.sampled_from((None, *SUMS)))
    _assert_is_lax(data.draw(calls(dtypes=(dtype,))), algorithm)


@few
@given(calls(batch=(0, 1), channels=(0, 1), ranks=(0, 1, 2), dtypes=("float32",)))
def test_conv_general_dilated_equals_laxs_for_empty_arrays_and_no_spatial_axis(call):
    _assert_is_lax(call)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int32", "complex64"])
def test_conv_general_dilated_equals_laxs_if_padding_leaves_no_cell(dtype):
    kwargs = {"window_strides": (1, 2), "padding": [(0, 0), (0, -1)], "lhs_dilation": (1, 1)}
    _assert_is_lax(Call((1, 1, 1, 1), (1, 1, 1, 1), dtype, kwargs | {"dimension_numbers": None}))


@pytest.mark.parametrize("channels", [0, 1])
@pytest.mark.parametrize("batch", [0, 2])
def test_conv_general_dilated_equals_laxs_for_empty_batch_groups(batch, channels):
    kwargs = {"window_strides": (1,), "padding": "SAME", "batch_group_count": 2}
    call = Call((batch, channels, 3), (2, channels, 2), "float32", kwargs)
    _assert_is_lax(replace(call, kwargs=kwargs | {"dimension_numbers": None}))


def test_a_batch_of_size_zero_has_gradients_of_zero():
    x, kernel = jnp.ones((0, 2, 5)), jnp.ones((3, 2, 3))
    y, pull_back = jax.vjp(lambda x, w: conv_general_dilated(x, w, (1,), "SAME"), x, kernel)
    of_x, of_kernel = pull_back(y)
    assert (y.shape, of_x.shape) == ((0, 3, 5), (0, 2, 5))
    assert not of_kernel.any()


WRONG = {
    "channels": {"x": (1, 3, 5)},
    "more axes on one side": {"x": (1, 2, 5, 5)},
    "no spatial place for the strides": {"window_strides": (1, 1)},
    "a stride of zero": {"window_strides": (0,)},
    "a negative stride": {"window_strides": (-1,)},
    "groups that divide nothing": {"feature_group_count": 3},
    "no groups": {"feature_group_count": 0},
    "a negative number of batch groups": {"batch_group_count": -1},
    "batch groups that do not divide the batch": {"batch_group_count": 2},
    "both kinds of groups": {"x": (2, 4, 5), "feature_group_count": 2, "batch_group_count": 2},
    "padding of too many axes": {"padding": [(0, 0), (0, 0)]},
    "a single padding": {"padding": [1]},
    "padding by an unknown name": {"padding": "FULL"},
    "padding of no known kind": {"padding": 1},
    "named padding with base dilation": {"padding": "SAME", "lhs_dilation": (2,)},
    "more cut off than there is": {"padding": [(-3, -3)]},
    "a base dilation of zero": {"lhs_dilation": (0,)},
    "dilations of too many axes": {"rhs_dilation": (1, 1)},
    "a dilation of zero": {"rhs_dilation": (0,)},
    "letters that do not match": {"dimension_numbers": ("NCX", "OIW", "NCW")},
    "letters that repeat": {"dimension_numbers": ("NCW", "OOW", "NCW")},
    "a layout of two": {"dimension_numbers": ("NCW", "OIW")},
    "no layout at all": {"dimension_numbers": 3},
    "an unknown precision": {"precision": "exactly"},
    "a preferred type of another kind": {"preferred_element_type": "int32"},
    "a preferred type that is narrower": {"preferred_element_type": "float16"},
    "unlike dtypes": {"kernel_dtype": "bfloat16"},
    "integers and floats": {"kernel_dtype": "int32"},
    "an unknown argument": {"stride": 1},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_impossible_calls_raise_laxs_errors(change):
    change = dict(change)
    x = jnp.ones(change.pop("x", (1, 2, 5)), change.pop("x_dtype", "float32"))
    kernel = jnp.ones((2, 2, 3), change.pop("kernel_dtype", "float32"))
    kwargs = {"window_strides": (1,), "padding": "VALID"} | change

    def answer(function):
        try:
            return function(x, kernel, **kwargs).shape
        except Exception as error:  # whatever lax raises, without the name of the function
            said = str(error).split("\n")[0].replace(function.__name__, "")
            # Errors name a given list as a tuple.
            return type(error), re.sub(r"\((\d+),\)", r"[\1]", said)

    theirs = answer(lax.conv_general_dilated)
    assert answer(conv_general_dilated) == theirs
    assert isinstance(theirs[0], type), "lax takes this"


def test_an_unknown_algorithm_is_an_error_that_lists_the_names():
    with pytest.raises(ValueError, match=r"algorithm must be one of 'direct', .* 'im2col'"):
        conv_general_dilated(
            jnp.ones((1, 1, 3)), jnp.ones((1, 1, 1)), (1,), "VALID", algorithm="im2col"
        )


def test_dtypes_are_promoted_as_by_lax():
    x, kernel = jnp.ones((1, 1, 3)), jnp.ones((1, 1, 1))
    with jax.numpy_dtype_promotion("strict"):
        assert conv_general_dilated(x, kernel, (1,), "VALID").dtype == "float32"
    with pytest.raises(TypeError, match="same dtypes"):
        conv_general_dilated(x, kernel.astype("float16"), (1,), "VALID")


def test_numpy_arrays_are_accepted_as_by_lax():
    x, kernel = numbers((1, 2, 5), 0), numbers((3, 2, 3), 1)
    got = conv_general_dilated(x, kernel, (1,), "SAME")
    want = lax.conv_general_dilated(x, kernel, (1,), "SAME")
    assert got.dtype == want.dtype
    assert_within(got, want, 100 * gamma(8, "float32"))


# -- transformations -------------------------------------------------------------------------------

CASES = {
    "strided groups, channels last": (
        (2, 5, 5, 4),
        (3, 3, 2, 6),
        {
            "window_strides": (2, 2),
            "padding": "SAME",
            "dimension_numbers": ("NHWC", "HWIO", "NHWC"),
            "feature_group_count": 2,
        },
    ),
    "depthwise with holes, channels first": (
        (2, 3, 7),
        (6, 1, 3),
        {
            "window_strides": (1,),
            "padding": [(1, 2)],
            "rhs_dilation": (2,),
            "feature_group_count": 3,
        },
    ),
    "transposed": (
        (2, 2, 4),
        (3, 2, 3),
        {"window_strides": (1,), "padding": [(2, 1)], "lhs_dilation": (2,)},
    ),
    "batch groups": (
        (4, 2, 5),
        (4, 2, 2),
        {"window_strides": (1,), "padding": "VALID", "batch_group_count": 2},
    ),
}

each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def _pair(case):
    """x and kernel in float64, and the two functions of them."""
    x_shape, kernel_shape, kwargs = case
    x, kernel = jnp.asarray(numbers(x_shape, 0)), jnp.asarray(numbers(kernel_shape, 1))
    ours, theirs = (
        lambda x, w, f=f: f(x, w, **kwargs)
        for f in (conv_general_dilated, lax.conv_general_dilated)
    )
    return x, kernel, ours, theirs


def _loss(function):
    return lambda x, w: jnp.sum(jnp.sin(function(x, w)))


@pytest.mark.usefixtures("any_but_direct")
@each_case
def test_first_derivatives_in_every_mode_equal_laxs(case):
    with jax.enable_x64(True):
        x, w, ours, theirs = _pair(case)
        dx, dw = jnp.cos(x), jnp.cos(w)

        def derivatives(f):
            y, forward = jax.linearize(f, x, w)
            _, backward = jax.vjp(f, x, w)
            by_x = jax.linear_transpose(lambda x: f(x, w), x)
            by_kernel = jax.linear_transpose(lambda w: f(x, w), w)
            return (
                jax.jvp(f, (x, w), (dx, dw)),
                jax.jvp(lambda x: f(x, w), (x,), (dx,)),
                forward(dx, dw),
                backward(jnp.cos(y)),
                by_x(y),
                by_kernel(y),
                jax.grad(_loss(jax.checkpoint(f)), (0, 1))(x, w),
            )

        assert_close(jax.jit(partial(derivatives, ours))(), jax.jit(partial(derivatives, theirs))())


@pytest.mark.usefixtures("any_but_direct")
@each_case
def test_second_and_third_derivatives_equal_laxs(case):
    with jax.enable_x64(True):
        x, w, ours, theirs = _pair(case)
        dx, dw = jnp.cos(x), jnp.cos(w)

        def derivatives(f):
            gradient = jax.grad(_loss(f), (0, 1))

            def square(x, w):
                return sum(jnp.sum(g**2) for g in gradient(x, w))

            second = jax.jvp(gradient, (x, w), (dx, dw))  # forward over reverse
            reverse = jax.grad(lambda x, w: jax.jvp(_loss(f), (x, w), (dx, dw))[1], (0, 1))(x, w)

            def fourth_power(x, w):
                return sum(jnp.sum(g**2) for g in jax.grad(square, (0, 1))(x, w))

            return second, reverse, jax.grad(fourth_power, (0, 1))(x, w)

        assert_close(jax.jit(partial(derivatives, ours))(), jax.jit(partial(derivatives, theirs))())


@each_case
def test_taylor_series_equal_laxs(case):
    with jax.enable_x64(True):
        x, w, ours, theirs = _pair(case)
        series = ((jnp.cos(x), x, x), (jnp.cos(w), w, 2 * w))
        assert_close(jet.jet(ours, (x, w), series), jet.jet(theirs, (x, w), series))


@pytest.mark.usefixtures("any_but_direct")
@each_case
def test_vmap_over_either_or_both_operands_equals_laxs(case):
    with jax.enable_x64(True):
        x, w, ours, theirs = _pair(case)
        xs, ws = jnp.stack([x, 2 * x, x + 1], 1), jnp.stack([w, w - 1, 3 * w], -1)

        def mapped(f):
            def gradient(x, w):
                return jax.grad(_loss(f), (0, 1))(x, w)

            return (
                jax.vmap(f, (1, None))(xs, w),
                jax.vmap(f, (None, -1), out_axes=1)(x, ws),
                jax.vmap(f, (1, -1), out_axes=-1)(xs, ws),
                jax.vmap(f, (1, -1), spmd_axis_name="devices")(xs, ws),
                jax.vmap(gradient, (1, -1))(xs, ws),
                jax.vmap(gradient, (1, None))(xs, w),
                jax.vmap(jax.vmap(f, (None, -1)), (1, None))(xs, ws),
            )

        assert_close(jax.jit(partial(mapped, ours))(), jax.jit(partial(mapped, theirs))())


@few
@given(calls(dtypes=("float64",), ranks=(1, 2), largest=4), st.data())
def test_gradients_and_vmaps_of_drawn_calls_equal_laxs(call, data):
    places = [
        data.draw(st.sampled_from((None, *range(len(shape) + 1))))
        for shape in (call.x_shape, call.kernel_shape)
    ]
    if places == [None, None]:
        places = [0, 0]
    with jax.enable_x64(True):
        x, w = call.arrays()
        mapped = [
            a if place is None else jnp.stack([a, a + 1], place)
            for a, place in zip((x, w), places, strict=True)
        ]

        def both(f):
            function = partial(f, **call.kwargs)
            y, backward = jax.vjp(function, x, w)
            return backward(jnp.cos(y)), jax.vmap(function, places)(*mapped)

        ours = jax.jit(partial(both, conv_general_dilated))()
        assert_close(ours, jax.jit(partial(both, lax.conv_general_dilated))())


@pytest.mark.usefixtures("any_but_direct")
def test_convolutions_work_in_loops_and_branches():
    with jax.enable_x64(True):
        x, w, ours, theirs = _pair(CASES["strided groups, channels last"])

        def loops(f):
            def step(carry, scale):
                y = f(scale * carry, w)
                return carry + jnp.mean(y), y

            scanned = lax.scan(step, x, jnp.arange(3.0))
            looped = lax.while_loop(lambda c: c[1] < 3, lambda c: (step(*c)[0], c[1] + 1), (x, 0.0))
            branch = lax.cond(jnp.sum(x) > 0, lambda: f(x, w), lambda: 2 * f(x, w))
            gradient = jax.grad(lambda w: jnp.sum(lax.map(lambda s: f(s * x, w), jnp.arange(3.0))))
            return scanned, looped, branch, gradient(w)

        assert_close(jax.jit(partial(loops, ours))(), jax.jit(partial(loops, theirs))())
        assert_close(loops(ours), loops(theirs))


def test_convolutions_work_without_jit():
    with jax.enable_x64(True):
        x, w, ours, theirs = _pair(CASES["transposed"])
        assert_close(ours(x, w), theirs(x, w))
        gradients = (jax.grad(_loss(f), (0, 1))(x, w) for f in (ours, theirs))
        assert_close(*gradients)
        with jax.disable_jit():
            assert_close(ours(x, w), theirs(x, w))


def test_a_donated_operand_is_deleted_as_by_lax():
    same = {"window_strides": (1, 1), "padding": "SAME"}
    x, w, ours, theirs = _pair(((2, 3, 5, 5), (3, 3, 3, 3), same))
    for f in (ours, theirs):
        given_away = x + 0
        y = jax.jit(f, donate_argnums=0)(given_away, w)
        assert given_away.is_deleted()
        assert_within(y, theirs(x, w), 100 * gamma(29, "float32"))


@each_case
def test_derivatives_and_vmaps_bind_our_primitive(case):
    """No convolution of lax remains in any direction, so each direction has its own choice."""
    x, w, ours, _ = _pair(case)

    def everything(x, w):
        second = jax.jvp(jax.grad(_loss(ours), (0, 1)), (x, w), (x, w))
        return second, jax.vmap(ours)(jnp.stack([x, x]), jnp.stack([w, w]))

    names = [e.primitive.name for e in _equations(jax.make_jaxpr(everything)(x, w).jaxpr)]
    assert names.count(conv_p.name) >= 8
    assert lax.conv_general_dilated_p.name not in names


def _equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from _equations(inner)


# -- artefacts -------------------------------------------------------------------------------------

CHOICE = {
    "window_strides": (2, 2),
    "padding": "SAME",
    "dimension_numbers": ("NHWC", "HWIO", "NHWC"),
}


def _float32():
    x, w = (jnp.asarray(numbers(s, i)) for i, s in enumerate([(8, 12, 12, 16), (3, 3, 16, 16)]))
    ours = partial(conv_general_dilated, **CHOICE, algorithm="onednn")
    return x, w, ours, partial(lax.conv_general_dilated, **CHOICE)


_assert_float32_close = partial(assert_trees_close, roundings=1000)


def _asks_onednn(function, *args):
    return TARGET in for_cpus(function, *args)


def test_an_exported_program_for_every_platform_has_no_call_of_onednn():
    x, w, ours, theirs = _float32()
    if not unavailable_reason():
        assert _asks_onednn(ours, x, w)
    both = jax.jit(lambda x, w: (ours(x, w), jax.grad(_loss(ours), (0, 1))(x, w)))
    for platforms in (("cpu",), ("cpu", "cuda", "tpu")):
        exported = jax.export.export(both, platforms=platforms)(x, w)
        assert TARGET not in exported.mlir_module()
        assert exported.platforms == platforms
    want = theirs(x, w), jax.grad(_loss(theirs), (0, 1))(x, w)
    _assert_float32_close(exported.call(x, w), want)


def test_sizes_can_be_symbols():
    x, w, ours, theirs = _float32()
    batch, height = jax.export.symbolic_shape("b, h")
    both = jax.jit(lambda x, w: (ours(x, w), jax.grad(_loss(ours), (0, 1))(x, w)))
    want = theirs(x, w), jax.grad(_loss(theirs), (0, 1))(x, w)
    unknown = jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype)
    _assert_float32_close(jax.export.export(both)(unknown, w).call(x, w), want)
    unknown = jax.ShapeDtypeStruct((batch, height, *x.shape[2:]), x.dtype)
    valid = partial(conv_general_dilated, **CHOICE | {"padding": [(1, 1), (1, 1)]})
    exported = jax.export.export(jax.jit(valid))(unknown, w)
    _assert_float32_close(exported.call(x, w), valid(x, w))


# -- several devices -------------------------------------------------------------------------------


def test_convolutions_on_eight_devices_have_the_numbers_of_one():
    run_on_eight_devices(__name__)


def on_eight_devices():
    """Run by a child process: eight virtual devices."""
    x, w, ours, theirs = _float32()
    losses = _loss(ours), _loss(theirs)
    opened = not unavailable_reason()
    want = theirs(x, w), jax.grad(losses[1], (0, 1))(x, w)

    # Each device computes its own part, possibly with oneDNN.
    mesh = jax.make_mesh((8,), ("i",), axis_types=(AxisType.Auto,))
    split, whole = NamedSharding(mesh, Spec("i")), NamedSharding(mesh, Spec())
    shares = {"mesh": mesh, "in_specs": (Spec("i"), Spec()), "out_specs": Spec("i")}
    mapped = jax.shard_map(ours, **shares)
    assert _asks_onednn(mapped, x, w) == opened
    got = jax.jit(mapped)(x, w), jax.jit(jax.grad(_loss(mapped), (0, 1)))(x, w)
    _assert_float32_close(got, want)

    # XLA partitions the program, so it must know the operations.
    xs, ws = jax.device_put(x, split), jax.device_put(w, whole)
    both = jax.jit(lambda x, w: (ours(x, w), jax.grad(losses[0], (0, 1))(x, w)))
    assert not _asks_onednn(both, xs, ws)
    got = both(xs, ws)
    _assert_float32_close(got, want)
    assert got[0].sharding.is_equivalent_to(split, 4)
    constrained = jax.jit(ours, in_shardings=(split, whole), out_shardings=split)
    assert not _asks_onednn(constrained, x, w)
    _assert_float32_close(constrained(x, w), want[0])

    # One axis of the mesh is partitioned by hand, the other by XLA.
    mixed = jax.make_mesh((4, 2), ("i", "j"), axis_types=(AxisType.Auto,) * 2)
    shares = {"mesh": mixed, "axis_names": {"i"}, "in_specs": (Spec("i"), Spec())}
    partly = jax.shard_map(ours, out_specs=Spec("i"), **shares)
    assert not _asks_onednn(partly, x, w)
    _assert_float32_close(jax.jit(partly)(x, w), want[0])

    # Shardings in the types.
    mesh = jax.make_mesh((8,), ("i",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        xs = jax.device_put(x, NamedSharding(mesh, Spec("i")))
        ws = jax.device_put(w, NamedSharding(mesh, Spec()))
        assert not _asks_onednn(ours, xs, ws)
        got = jax.jit(ours)(xs, ws)
        assert jax.typeof(got).sharding == jax.typeof(jax.jit(theirs)(xs, ws)).sharding
        _assert_float32_close(got, want[0])
        sums = [jax.jit(jax.grad(lambda x, w, f=f: f(x, w).sum()))(xs, ws) for f in (ours, theirs)]
        _assert_float32_close(*sums)

    # A single device, and a mesh of one device: nothing is partitioned.
    one = jax.device_put((x, w), jax.devices()[3])
    assert _asks_onednn(ours, *one) == opened
    _assert_float32_close(jax.jit(ours)(*one), want[0])
    print(f"{jax.device_count()} devices")
