"""The convolution layers: each is its operation with parameters that start as they should."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn.nn.causal import CausalConv
from jaxcnn.nn.convolutions import ConvTranspose, DepthwiseConv, LocalConv, SeparableConv
from jaxcnn.nn.layers import Conv
from jaxcnn.ops.causal import causal_conv
from jaxcnn.ops.conv import conv
from jaxcnn.ops.conv_transpose import conv_transpose
from jaxcnn.ops.local import local_conv
from jaxcnn.ops.separable import depthwise_conv, separable_conv

IMAGE, SOUND = jnp.linspace(-1, 1, 2 * 5 * 7 * 4).reshape(2, 5, 7, 4), jnp.ones((2, 9, 4))
PADDED = {
    "stride": (2, 1),
    "padding": [(1, 1), (0, 2)],
    "dilation": (1, 2),
    "padding_mode": "reflect",
}
TRANSPOSED = {"stride": (2, 3), "padding": 1, "groups": 2, "output_padding": (1, 0)}
MASK = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 0]])[..., None, None]

# layer, what builds it, the operation, its arguments, an input, fan_in for each kernel
LAYERS = {
    "Conv": (
        lambda **kw: Conv(4, 6, (3, 3), groups=2, mask=MASK, **PADDED, **kw),
        conv,
        {"groups": 2, "mask": MASK, **PADDED},
        IMAGE,
        {"kernel": 9 * 2},
    ),
    "ConvTranspose": (
        lambda **kw: ConvTranspose(4, 6, (4, 3), **TRANSPOSED, **kw),
        conv_transpose,
        TRANSPOSED,
        IMAGE,
        {"kernel": 12 * 2 / 6},
    ),
    "DepthwiseConv": (
        lambda **kw: DepthwiseConv(4, (3, 3), multiplier=2, **PADDED, **kw),
        depthwise_conv,
        PADDED,
        IMAGE,
        {"kernel": 9},
    ),
    "SeparableConv": (
        lambda **kw: SeparableConv(4, 6, (3, 3), multiplier=2, **PADDED, **kw),
        separable_conv,
        PADDED,
        IMAGE,
        {"depthwise_kernel": 9, "pointwise_kernel": 8},
    ),
    "LocalConv": (
        lambda **kw: LocalConv((5, 7, 4), 6, (3, 3), **PADDED, **kw),
        local_conv,
        PADDED,
        IMAGE,
        {"kernel": 9 * 4},
    ),
    "CausalConv": (
        lambda **kw: CausalConv(4, 6, 3, stride=2, dilation=2, groups=2, **kw),
        causal_conv,
        {"stride": 2, "dilation": 2, "groups": 2},
        SOUND,
        {"kernel": 3 * 2},
    ),
}
EACH = pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)


@EACH
def test_a_layer_is_its_operation_and_an_activation(case):
    build, operation, arguments, x, kernels = case
    layer = build(activation="relu", rngs=nnx.Rngs(0))
    layer.bias[...] = jnp.linspace(-1, 1, layer.bias.size).reshape(layer.bias.shape)
    parameters = [getattr(layer, name)[...] for name in kernels]
    want = jax.nn.relu(operation(x, *parameters, layer.bias[...], **arguments))
    np.testing.assert_array_equal(layer(x), want)
    assert (want == 0).any()
    assert (want > 0).any()


@EACH
def test_without_a_bias_there_is_none(case):
    build, operation, arguments, x, kernels = case
    layer = build(use_bias=False, rngs=nnx.Rngs(0))
    assert layer.bias is None
    parameters = [getattr(layer, name)[...] for name in kernels]
    np.testing.assert_array_equal(layer(x), operation(x, *parameters, **arguments))


@EACH
def test_weights_start_with_the_variance_that_suits_the_activation(case):
    build, *_, kernels = case
    draws = [build(activation="relu", rngs=nnx.Rngs(seed)) for seed in range(30)]
    for name, fan_in in kernels.items():
        weights = np.concatenate([np.ravel(getattr(layer, name)[...]) for layer in draws])
        gain = 1 if name == "depthwise_kernel" else 2
        # Truncation makes the kurtosis less than a normal's 3, for which the variance of n draws
        # has a relative standard deviation of sqrt(2/n); five of them are never overstepped.
        allowed = 5 * (2 / weights.size) ** 0.5
        assert abs(weights.var() * fan_in / gain - 1) < allowed
    assert (draws[0].bias[...] == 0).all()


@EACH
def test_the_same_seed_gives_the_same_weights(case):
    build, *_, kernels = case
    for name in kernels:
        one, same, other = (getattr(build(rngs=nnx.Rngs(seed)), name)[...] for seed in (1, 1, 2))
        np.testing.assert_array_equal(one, same)
        assert (one != other).all()


@EACH
def test_it_computes_in_one_dtype_and_keeps_parameters_in_another(case):
    build, _, _, x, kernels = case
    layer = build(dtype=jnp.bfloat16, param_dtype=jnp.float32, rngs=nnx.Rngs(0))
    assert jax.eval_shape(lambda: layer(x)).dtype == jnp.bfloat16
    assert {getattr(layer, name)[...].dtype for name in (*kernels, "bias")} == {
        jnp.dtype("float32")
    }
    half = build(param_dtype=jnp.float16, rngs=nnx.Rngs(0))
    assert jax.eval_shape(lambda: half(x.astype("float16"))).dtype == jnp.float16


@EACH
def test_a_single_example_gives_a_single_result(case):
    build, _, _, x, _ = case
    layer = build(rngs=nnx.Rngs(0))
    single, batch = (jax.eval_shape(lambda given=given: layer(given)) for given in (x[0], x))
    assert single.shape == batch.shape[1:]


@EACH
def test_gradients_reach_every_parameter(case):
    build, _, _, x, kernels = case
    layer = build(rngs=nnx.Rngs(0))
    gradients = nnx.grad(lambda layer: (layer(x) ** 2).sum())(layer)
    assert set(gradients) == {*kernels, "bias"}
    for name in kernels:
        reached = np.asarray(gradients[name][...] != 0)
        if name == "kernel" and getattr(layer, "mask", None) is not None:
            np.testing.assert_array_equal(reached, np.broadcast_to(MASK != 0, reached.shape))
        else:
            assert reached.all()


def test_a_transposed_layer_gives_the_size_that_is_asked_for():
    layer = ConvTranspose(4, 6, (4, 4), stride=2, padding="SAME", rngs=nnx.Rngs(0))
    assert layer(IMAGE).shape == (2, 10, 14, 6)
    assert layer(IMAGE, output_size=(9, 13)).shape == (2, 9, 13, 6)


def test_a_causal_layer_takes_chunk_after_chunk():
    layer = CausalConv(4, 6, 3, dilation=2, activation="relu", rngs=nnx.Rngs(0))
    x = jnp.arange(72.0).reshape(2, 9, 4) % 5 - 2
    layer.kernel[...] = jnp.round(4 * layer.kernel[...])  # whole numbers: their sums are exact
    state, outputs = layer.state(batch=2), []
    for chunk in jnp.split(x, [1, 6], axis=1):
        y, state = layer.stream(chunk, state)
        outputs.append(y)
    np.testing.assert_array_equal(jnp.concatenate(outputs, axis=1), layer(x))
    assert CausalConv(4, 6, 3, dtype="bfloat16", rngs=nnx.Rngs(0)).state().dtype == jnp.bfloat16


RNGS = nnx.Rngs(0)
REFUSED = [
    (
        Conv,
        (4, 6, (3, 3)),
        {"mask": np.ones((3, 3))},
        ValueError,
        ["Conv", "mask[..., None, None]"],
    ),
    (Conv, (4, 6, 3), {}, TypeError, ["Conv", "kernel_size", "(3, 3)"]),
    (Conv, (4, 6, (3,)), {"groups": 4}, ValueError, ["groups 4", "channels 6", "4 or 8"]),
    (ConvTranspose, (4, 6, (3,)), {"groups": 3}, ValueError, ["groups 3", "in_channels 4"]),
    (ConvTranspose, (4, 6, (3,)), {"stride": (1, 2)}, ValueError, ["stride (1, 2)", "2 entries"]),
    (ConvTranspose, (4, 0, (3,)), {}, ValueError, ["channels", ">= 1"]),
    (DepthwiseConv, (4, (3,)), {"multiplier": 0}, ValueError, ["multiplier", ">= 1"]),
    (DepthwiseConv, (4, (3,)), {"activation": "step"}, ValueError, ["activation", "step", "relu"]),
    (SeparableConv, (4, 6, 3), {}, TypeError, ["kernel_size", "(3, 3)"]),
    (LocalConv, ((7, 4), 6, (3, 3)), {}, ValueError, ["(7, 4)", "(3, 3)", "(28, 28, 1)"]),
    (LocalConv, ((7, 4), 6, (3,)), {"stride": 3}, ValueError, ["length 7", "2.333..."]),
    (CausalConv, (4, 6, (3,)), {}, TypeError, ["kernel_size", "(3,)"]),
]


@pytest.mark.parametrize(("layer", "sizes", "arguments", "kind", "words"), REFUSED)
def test_what_cannot_be_built_is_refused(layer, sizes, arguments, kind, words):
    with pytest.raises(kind) as caught:
        layer(*sizes, **arguments, rngs=RNGS)
    message = str(caught.value)
    assert message.startswith(f"{layer.__name__}: ")
    for word in words:
        assert word in message


def test_a_stride_cannot_be_streamed():
    layer = CausalConv(1, 1, 3, stride=2, rngs=RNGS)
    with pytest.raises(ValueError, match=r"stride 2 .* stride 1"):
        layer.stream(jnp.ones((4, 1)), layer.state())
