"""Every layer, and stacks of layers, under Flax's transformations."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
from inspect import signature

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import nn

IMAGE = jnp.linspace(-1, 1, 2 * 6 * 8 * 4).reshape(2, 6, 8, 4)
SOUND = jnp.linspace(-1, 1, 2 * 9 * 4).reshape(2, 9, 4)
POOLS = ("AvgPool", "BlurPool", "LpPool", "MaxPool", "MinPool")
GLOBAL = ("GlobalAvgPool", "GlobalLpPool", "GlobalMaxPool")


class DeformConv(nn.DeformConv):
    """A deformable convolution with fixed offsets."""

    def __call__(self, x):
        size = (*x.shape[:-3], x.shape[-3] - 2, x.shape[-2] - 2, 18)
        return super().__call__(x, jnp.full(size, 0.25, x.dtype))


class MaxPoolWithIndices(nn.MaxPoolWithIndices):
    """The sum of the values and the indices, which is one array."""

    def __call__(self, x):
        values, indices = super().__call__(x)
        return values + indices.astype(values.dtype)


class MaxUnpool(nn.MaxUnpool):
    """An unpooling into cells that differ."""

    def __call__(self, x):
        example = x.shape[-3:]
        cells = jnp.arange(math.prod(example), dtype="int32").reshape(example)
        return super().__call__(x, jnp.broadcast_to(cells, x.shape))


BLOCK = ("conv:4:k3:p1", jax.nn.gelu)
LAYERS = {
    **{name: (lambda _, name=name: getattr(nn, name)((2, 2)), IMAGE) for name in POOLS},
    # In training, an example alone has another result than in its batch.
    "BatchNorm": (
        lambda _: nnx.view(nn.BatchNorm(4, rngs=nnx.Rngs(0)), use_running_average=True),
        IMAGE,
    ),
    **{name: (lambda _, name=name: getattr(nn, name)(rank=2), IMAGE) for name in GLOBAL},
    "AdaptiveAvgPool": (lambda _: nn.AdaptiveAvgPool((2, 3)), IMAGE),
    "AdaptiveMaxPool": (lambda _: nn.AdaptiveMaxPool((2, 3)), IMAGE),
    "MaxPoolWithIndices": (lambda _: MaxPoolWithIndices((2, 2)), IMAGE),
    "MaxUnpool": (lambda _: MaxUnpool((2, 2)), IMAGE),
    "PixelShuffle": (lambda _: nn.PixelShuffle((2, 2)), IMAGE),
    "PixelUnshuffle": (lambda _: nn.PixelUnshuffle((2, 2)), IMAGE),
    "Upsample": (lambda _: nn.Upsample((1.5, 2), method="linear"), IMAGE),
    "CausalConv": (lambda rngs: nn.CausalConv(4, 6, 3, rngs=rngs), SOUND),
    "Conv": (lambda rngs: nn.Conv(4, 6, (3, 3), mask=np.ones((1, 1, 1, 1)), rngs=rngs), IMAGE),
    "ConvNorm": (
        lambda rngs: nn.ConvNorm(4, 6, (3, 3), norm=nn.LayerNorm, activation="relu", rngs=rngs),
        IMAGE,
    ),
    "ConvTranspose": (
        lambda rngs: nn.ConvTranspose(4, 6, (3, 3), activation=jax.nn.gelu, rngs=rngs),
        IMAGE,
    ),
    "DeformConv": (lambda rngs: DeformConv(4, 6, (3, 3), rngs=rngs), IMAGE),
    "Dense": (lambda rngs: nn.Dense(4, 6, activation="relu", rngs=rngs), IMAGE),
    "DepthwiseConv": (lambda rngs: nn.DepthwiseConv(4, (3, 3), precision="high", rngs=rngs), IMAGE),
    "LayerNorm": (lambda _: nn.LayerNorm(4, rngs=nnx.Rngs(0)), IMAGE),
    "LocalConv": (lambda rngs: nn.LocalConv((6, 8, 4), 6, (3, 3), rngs=rngs), IMAGE),
    "Residual": (
        lambda rngs: nn.Residual(nn.Conv(4, 4, (3, 3), padding=1, rngs=rngs), jax.nn.gelu),
        IMAGE,
    ),
    "SeparableConv": (
        lambda rngs: nn.SeparableConv(4, 6, (3, 3), activation=nnx.PReLU(), rngs=rngs),
        IMAGE,
    ),
    "SqueezeExcite": (lambda rngs: nn.Stack((6, 8, 4), [nn.SqueezeExcite(4, 2, rngs=rngs)]), IMAGE),
    "Stack": (
        lambda rngs: nn.Stack(
            (6, 8, 4),
            ["conv:4:k3:p1", jax.nn.gelu, nn.MaxPool(1), nn.Residual(*BLOCK, shortcut="conv:4:k1")],
            rngs=rngs,
        ),
        IMAGE,
    ),
}
DRAWN = [name for name, (build, _) in LAYERS.items() if "rngs" in signature(build).parameters]
EACH = pytest.mark.parametrize("name", LAYERS)


def _layer(name):
    return LAYERS[name][0](nnx.Rngs(0))


def _call(layer, x):
    return layer(x)


def test_every_layer_has_a_case_of_transformations():
    modules = [name for name in nn.__all__ if inspect.isclass(getattr(nn, name))]
    assert {name for name in modules if issubclass(getattr(nn, name), nnx.Module)} == set(LAYERS)


@EACH
def test_a_layer_works_after_nnx_tabulate(name):
    layer, x = _layer(name), LAYERS[name][1]
    want = layer(x)
    table = nnx.tabulate(layer, x, console_kwargs={"width": 300})
    assert name in table
    assert ",".join(map(str, want.shape)) in table
    np.testing.assert_array_equal(layer(x), want)


def test_streaming_chunks_can_be_tabulated():
    layer = nn.CausalConv(4, 6, 3, rngs=nnx.Rngs(0))
    state = layer.state(batch=2)
    assert "stream" in nnx.tabulate(layer, SOUND, state, method="stream")
    assert layer.stream(SOUND, state)[0].shape == (2, 9, 6)


@EACH
def test_every_flax_transformation_keeps_the_results_of_a_layer(name):
    layer, x = _layer(name), LAYERS[name][1]
    want = layer(x)
    graph, state = nnx.split(layer)
    other = LAYERS[name][0](nnx.Rngs(1))
    nnx.update(other, state)
    copies = {
        "merge": nnx.merge(graph, state),
        "clone": nnx.clone(layer),
        "update": other,
        "deepcopy": copy.deepcopy(layer),
        "pickle": pickle.loads(pickle.dumps(layer)),
        "pure dict": nnx.merge(graph, nnx.to_pure_dict(state)),
    }
    for how, same in copies.items():
        np.testing.assert_array_equal(same(x), want, err_msg=how)
    run = {
        "jit": nnx.jit(_call),
        "jit of a split": jax.jit(lambda layer, x: nnx.merge(graph, nnx.state(layer))(x)),
        "remat": nnx.jit(nnx.remat(_call)),
        "vmap": nnx.jit(nnx.vmap(_call, in_axes=(None, 0))),
    }
    for how, function in run.items():
        np.testing.assert_allclose(function(layer, x), want, rtol=1e-5, atol=1e-5, err_msg=how)
    assert nnx.eval_shape(lambda: _layer(name)(x)).shape == want.shape
    assert name in repr(layer)


@EACH
def test_layers_with_equal_options_share_one_compiled_program(name):
    one, other = (nnx.graphdef(LAYERS[name][0](nnx.Rngs(seed))) for seed in (0, 1))
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize("name", DRAWN)
def test_vmap_builds_and_runs_an_ensemble_of_layers(name):
    build, x = LAYERS[name]
    ensemble = nnx.split_rngs(splits=3)(nnx.vmap(build))(nnx.Rngs(0))
    y = nnx.vmap(_call, in_axes=(0, None))(ensemble, x)
    assert y.shape == (3, *_layer(name)(x).shape)
    assert not np.allclose(y[0], y[1])
