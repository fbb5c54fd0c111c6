"""install() chooses algorithms for every library's convolutions; uninstall() undoes it."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from jax import lax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as Spec

import jaxcnn.convolve.choose as choosing
from jaxcnn.convolve import install, onednn_closed, tuning, uninstall
from jaxcnn.onednn import unavailable_reason
from jaxcnn.onednn.primitives import TARGET
from jaxcnn.testing import (
    adapters,
    assert_gradients_match,
    assert_lowers,
    assert_matches_reference,
    assert_obeys_geometry,
    assert_refuses,
    assert_transforms,
    conv_problems,
    impossible_conv_problems,
)
from tests.cases import DTYPES, few, for_cpus, run_on_eight_devices
from tests.convolve.drawn import assert_trees_close, calls, numbers

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    uninstall()


@pytest.fixture
def installed(monkeypatch):
    """Installs a choice that uses the direct call only if nothing else supports the problem."""
    monkeypatch.setattr(tuning, "WORTH", float("inf"))
    choosing._cheapest.cache_clear()
    with install():
        yield
    choosing._cheapest.cache_clear()


def _depthwise(x, kernel):
    """A convolution that lax does not compute, with oneDNN or without."""
    return lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


X, KERNEL = (jnp.asarray(numbers(s, i)) for i, s in enumerate([(8, 28, 28, 32), (3, 3, 1, 32)]))


def _is_lax_s():
    """Whether the lowered program has lax's convolution."""
    text = for_cpus(lambda x, w: _depthwise(x, w), X, KERNEL)
    return text.count("stablehlo.convolution") == 1 and TARGET not in text


def _texts():
    """The lowered programs of a value and its gradients, as text."""
    gradient = jax.grad(lambda x, w: jnp.sum(_depthwise(x, w) ** 2), (0, 1))
    return [
        jax.jit(lambda *a, f=f: f(*a)).lower(X, KERNEL).as_text() for f in (_depthwise, gradient)
    ]


def test_importing_installs_nothing():
    code = (
        "from jax.interpreters import mlir; from jax import lax; p = lax.conv_general_dilated_p;"
        "of = lambda: mlir._platform_specific_lowerings['cpu'].get(p);"
        "before = of(); import jaxcnn, jaxcnn.nn, jaxcnn.convolve; print(of() is before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"


def test_install_lasts_until_uninstall():
    before = _texts()
    assert _is_lax_s()
    install()
    assert not _is_lax_s()
    install()  # once more changes nothing
    assert not _is_lax_s()
    uninstall()
    assert _is_lax_s()
    assert _texts() == before
    uninstall()
    assert _texts() == before


def test_install_as_a_context_ends_with_the_block_and_with_an_error():
    with install():
        assert not _is_lax_s()
    assert _is_lax_s()
    with pytest.raises(KeyError, match="within"), install():
        raise KeyError("within")
    assert _is_lax_s()
    for _ in range(2):
        with install():
            assert not _is_lax_s()
        assert _is_lax_s()


def test_a_nested_install_restores_what_was_installed():
    with install():
        with install():
            assert not _is_lax_s()
        assert not _is_lax_s()
    assert _is_lax_s()
    install()
    with install():
        pass
    assert not _is_lax_s()
    with install():
        uninstall()
        assert _is_lax_s()
    assert not _is_lax_s()


def test_installed_calls_avoid_onednn_while_it_is_closed():
    with install(), onednn_closed():
        assert not _is_lax_s()
        assert all(TARGET not in text for text in _texts())


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("installed")
class TestFlax:
    """The laws of jaxcnn.conv hold for Flax's layer."""

    @given(problem=conv_problems(dtypes=DTYPES))
    def test_an_installed_flax_layer_is_the_definition(self, problem):
        assert_obeys_geometry(adapters.flax_conv, problem)
        assert_matches_reference(adapters.flax_conv, problem)

    @few
    @given(problem=conv_problems(dtypes=DTYPES, max_cells=16))
    def test_gradients_of_an_installed_flax_layer_are_those_of_the_definition_and_of_differences(
        self, problem
    ):
        assert_gradients_match(adapters.flax_conv, problem)

    @few
    @given(problem=conv_problems(dtypes=DTYPES, max_cells=16, ranks=(1, 2)))
    def test_an_installed_flax_layer_can_be_compiled_mapped_differentiated_and_rematerialised(
        self, problem
    ):
        assert_transforms(adapters.flax_conv, problem)

    @given(problem=conv_problems())
    def test_an_installed_flax_layer_lowers_for_every_platform(self, problem):
        assert_lowers(partial(problem.call, adapters.flax_conv), problem.arrays())

    @given(
        problem=impossible_conv_problems(paddings=("numbers",)).filter(
            lambda p: 0 in p.stride or 0 in p.dilation or p.in_channels % p.groups
        )
    )
    def test_an_installed_flax_layer_rejects_what_it_rejected_before(self, problem):
        assert_refuses(adapters.flax_conv, problem)


class _Network(nnx.Module):
    """A stem, a depthwise layer, and a transposed convolution to the original size."""

    def __init__(self):
        rngs = nnx.Rngs(0)
        self.stem = nnx.Conv(3, 8, (3, 3), strides=2, rngs=rngs)
        self.depthwise = nnx.Conv(8, 8, (3, 3), feature_group_count=8, rngs=rngs)
        self.back = nnx.ConvTranspose(8, 3, (4, 4), strides=(2, 2), rngs=rngs)

    def __call__(self, x):
        return self.back(jnp.tanh(self.depthwise(jnp.tanh(self.stem(x)))))


def _values_and_gradients(x):
    def loss(network, x):
        return jnp.sum(network(x) ** 2)

    network = _Network()
    return network(x), nnx.jit(nnx.grad(loss, argnums=(0, 1)))(network, x)


@pytest.mark.parametrize("opened", [True, False])
def test_install_keeps_the_values_and_gradients_of_a_flax_network(opened, request):
    x = jnp.asarray(numbers((2, 8, 8, 3), 0).astype(np.float32))
    before = _values_and_gradients(x)
    request.getfixturevalue("installed")
    if opened:
        after = _values_and_gradients(x)
    else:
        with onednn_closed():
            after = _values_and_gradients(x)
    _assert_close(after, before)


@few
@given(calls(dtypes=("float32",), ranks=(1, 2, 3)))
def test_install_keeps_the_values_and_gradients_of_lax_calls(call):
    x, kernel = call.arrays()

    def both(x, w):
        y, pull_back = jax.vjp(lambda x, w: lax.conv_general_dilated(x, w, **call.kwargs), x, w)
        return y, pull_back(y)

    before = jax.jit(both)(x, kernel)
    with install():
        after = jax.jit(both)(x, kernel)
    _assert_close(after, before)


_assert_close = partial(assert_trees_close, roundings=1000)

# -- artefacts and devices -------------------------------------------------------------------------


def _dense(x, kernel):
    """A convolution that oneDNN computes if it is available."""
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _dense_arrays():
    return [jnp.asarray(numbers(s, i)) for i, s in enumerate([(8, 28, 28, 32), (3, 3, 32, 32)])]


def _asks_onednn(function, *args):
    return TARGET in for_cpus(function, *args)


def test_an_exported_program_of_lax_calls_has_no_call_of_onednn():
    x, kernel = _dense_arrays()

    def both(x, w):
        y, pull_back = jax.vjp(_dense, x, w)
        return y, pull_back(y)

    before = jax.jit(both)(x, kernel)
    with install():
        assert _asks_onednn(both, x, kernel) == (not unavailable_reason())
        for platforms in (("cpu",), ("cpu", "cuda", "tpu")):
            exported = jax.export.export(jax.jit(both), platforms=platforms)(x, kernel)
            assert TARGET not in exported.mlir_module()
        _assert_close(exported.call(x, kernel), before)


def test_installed_calls_on_eight_devices_have_the_numbers_of_one():
    run_on_eight_devices(__name__)


def _gradient_of(pool):
    def total(x):
        with jax.numpy_dtype_promotion("standard"):  # Flax divides by a number of cells
            return jnp.sum(pool(x, (3, 3), (2, 2)) ** 2)

    return jax.grad(total)


def on_eight_devices():
    """Run by a child process: eight virtual devices."""
    x, kernel = _dense_arrays()
    before = jax.jit(_dense)(x, kernel)
    gradient = jax.grad(lambda x, w, f=_dense: jnp.sum(f(x, w) ** 2), (0, 1))
    gradients = jax.jit(gradient)(x, kernel)
    pools = [_gradient_of(f) for f in (nnx.max_pool, nnx.min_pool, nnx.avg_pool)]
    pooled = [jax.jit(pool)(x) for pool in pools]
    mesh = jax.make_mesh((8,), ("i",), axis_types=(AxisType.Auto,))
    split, whole = NamedSharding(mesh, Spec("i")), NamedSharding(mesh, Spec())
    with install():
        mapped = jax.shard_map(_dense, mesh=mesh, in_specs=(Spec("i"), Spec()), out_specs=Spec("i"))
        assert _asks_onednn(mapped, x, kernel) == (not unavailable_reason())
        _assert_close(jax.jit(mapped)(x, kernel), before)
        _assert_close(jax.jit(partial(gradient, f=mapped))(x, kernel), gradients)
        xs, ws = jax.device_put(x, split), jax.device_put(kernel, whole)
        for function, want in ((_dense, before), (gradient, gradients)):
            assert not _asks_onednn(function, xs, ws)
            _assert_close(jax.jit(function)(xs, ws), want)
        _assert_close([jax.jit(pool)(xs) for pool in pools], pooled)
    print(f"{jax.device_count()} devices")
