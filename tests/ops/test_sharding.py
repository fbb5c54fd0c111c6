"""Operations on arrays that are sharded over several devices have the results of one device."""

from functools import partial

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxcnn import ops
from tests.cases import run_on_eight_devices
from tests.ops.calls import BATCHED, NEVER_BATCHED, call_of, drawn

WALKED = sorted(set(ops.__all__) - NEVER_BATCHED)
SEEDS = np.random.default_rng(0)


def specs_of(name, arrays):
    batched = BATCHED.get(name, (0,))
    return tuple(P("devices") if place in batched else P() for place in range(len(arrays)))


def values_and_gradients(name, arrays, divide=lambda call: call):
    """The operation's results, and the gradient of their square sum in all floating arrays."""
    call = divide(call_of(ops, name))
    floating = [place for place, array in enumerate(arrays) if array.dtype.kind == "f"]

    def loss(*arrays):
        y = call(*arrays)
        first = jax.tree.leaves(y)[0]
        return (first * first).sum(), y

    if not floating:
        return [], call(*arrays)
    return jax.grad(loss, floating, has_aux=True)(*arrays)


def over_all(divide=lambda _name, _arrays: lambda call: call):
    """One program of all operations, so that only one is compiled."""

    @jax.jit
    def walk(every):
        return {n: values_and_gradients(n, every[n], divide(n, every[n])) for n in every}

    return walk


def assert_same(got, want):
    # The gradients of squares are sums of some hundreds of terms of some units.
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4)
    for name in WALKED:
        jax.tree.map(partial(close, err_msg=name), got[name], want[name])


def check_the_batch():
    every = {n: drawn(n, "float32", lambda s: SEEDS.normal(size=s)) for n in WALKED}
    want = over_all()(every)

    explicit = jax.make_mesh((8,), ("devices",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(explicit):
        laid = {
            n: [
                jax.device_put(array, NamedSharding(explicit, spec))
                for array, spec in zip(arrays, specs_of(n, arrays), strict=True)
            ]
            for n, arrays in every.items()
        }
        compiled = over_all().lower(laid).compile()
        got = compiled(laid)
    assert_same(got, want)
    # No device reads another's examples, unless XLA partitions lax's grouped convolution so.
    gathers = [line for line in compiled.as_text().splitlines() if "all-gather(" in line]
    assert all("jaxcnn_conv" in line for line in gathers), gathers
    for name in WALKED:  # each device holds its examples of the result, and of the gradient of x
        gradients, values = got[name]
        for array in (*gradients[:1], *jax.tree.leaves(values)):
            assert array.sharding.spec[0] == "devices", name

    mesh = jax.make_mesh((8,), ("devices",), axis_types=(AxisType.Auto,))

    def mapped(name, arrays):
        specs = specs_of(name, arrays)
        return partial(jax.shard_map, mesh=mesh, in_specs=specs, out_specs=P("devices"))

    assert_same(over_all(mapped)(every), want)


# name: the arrays' divisions and the result's, with channels on "model"
CHANNELS = {
    "conv": [
        ([P("data"), P(None, None, None, "model"), P("model")], P("data", None, None, "model")),
        ([P("data", None, None, "model"), P(None, None, "model"), P()], P("data")),
    ],
    "conv_transpose": [
        ([P("data"), P(None, None, "model"), P("model")], P("data", None, None, "model")),
        ([P("data", None, None, "model"), P(None, None, None, "model"), P()], P("data")),
    ],
    "depthwise_conv": [
        (
            [P("data", None, None, "model"), P(None, None, "model"), P("model")],
            P("data", None, None, "model"),
        ),
    ],
    "separable_conv": [
        (
            [P("data", None, None, "model"), P(None, None, "model"), P(None, None, "model"), P()],
            P("data"),
        ),
    ],
    "causal_conv": [
        ([P("data"), P(None, None, "model"), P("model")], P("data", None, "model")),
    ],
    "local_conv": [
        (
            [P("data"), P(*[None] * 5, "model"), P(None, None, "model")],
            P("data", None, None, "model"),
        ),
    ],
}


def check_the_channels():
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Explicit,) * 2)
    for name, cases in CHANNELS.items():
        arrays = drawn(name, "float32", lambda s: SEEDS.normal(size=s))
        want = jax.jit(partial(values_and_gradients, name))(arrays)
        for specs, result in cases:
            with jax.set_mesh(mesh):
                laid = [
                    jax.device_put(array, NamedSharding(mesh, spec))
                    for array, spec in zip(arrays, specs, strict=True)
                ]
                first = jax.device_put(arrays[0][0], NamedSharding(mesh, P(*specs[0][1:])))

                def asking(call, result=result):
                    return partial(call, out_sharding=result)

                got = jax.jit(partial(values_and_gradients, name, divide=asking))(laid)
                one = call_of(ops, name)(first, *laid[1:], out_sharding=P(*result[1:]))
            assert got[1].sharding.spec == P(*result, *[None] * (got[1].ndim - len(result))), name
            close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4, err_msg=name)
            jax.tree.map(close, got, want)
            close(one, want[1][0])


def check_long_windows():
    """Checks pools of so many taps that they are not computed by a slice for each tap."""
    x = SEEDS.normal(size=(8, 300, 3)).astype("float32")
    mesh = jax.make_mesh((8,), ("devices",), axis_types=(AxisType.Explicit,))
    for pool in (ops.max_pool, ops.min_pool, ops.avg_pool):

        def loss(x, pool=pool):
            return (pool(x, (100,), stride=20, padding=30, rounding="floor") ** 2).sum()

        want = jax.grad(loss)(x)
        with jax.set_mesh(mesh):
            laid = jax.device_put(x, NamedSharding(mesh, P("devices")))
            for got in (jax.grad(loss)(laid), jax.jit(jax.grad(loss))(laid)):
                np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def on_eight_devices():
    check_the_batch()
    check_long_windows()
    check_the_channels()
    print(jax.device_count(), "devices")


def test_operations_on_eight_devices_have_the_results_of_one():
    run_on_eight_devices(__name__)
