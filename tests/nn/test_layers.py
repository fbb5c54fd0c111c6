"""Layers equal their operations, and their parameters are initialised as documented."""

from __future__ import annotations

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from jax.sharding import AxisType, PartitionSpec

import jaxcnn
from jaxcnn import nn
from jaxcnn.errors import InputError
from jaxcnn.nn.activations import ACTIVATIONS, find_activation
from jaxcnn.testing import assert_lowers, conv_problems, pool_problems
from tests.cases import few
from tests.nn.layers import CONVOLUTIONS, ELSEWHERE, IMAGE, MASK

EACH = pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)


def _parameters(layer, case):
    return [getattr(layer, name)[...] for name in case.fan_in]


@EACH
def test_a_layer_is_its_operation_and_an_activation(case):
    layer = case.build(activation="relu", rngs=nnx.Rngs(0))
    layer.bias[...] = jnp.linspace(-1, 1, layer.bias.size).reshape(layer.bias.shape)
    y = case.operation(case.x, *_parameters(layer, case), layer.bias[...], **case.arguments)
    want = jax.nn.relu(y)
    np.testing.assert_array_equal(layer(case.x), want)
    assert (want == 0).any()
    assert (want > 0).any()


@few
@given(conv_problems())
def test_a_convolution_layer_is_the_convolution_with_its_parameters(problem):
    layer = nn.Conv(
        problem.in_channels,
        problem.out_channels,
        problem.kernel_size,
        use_bias=problem.use_bias,
        activation="relu",
        rngs=nnx.Rngs(problem.seed),
        **problem.kwargs,
    )
    assert layer.kernel.shape == problem.kernel_shape
    assert (layer.bias is not None) == problem.use_bias
    x, *_ = problem.arrays()
    bias = None
    if problem.use_bias:
        np.testing.assert_array_equal(layer.bias[...], np.zeros(problem.out_channels))
        layer.bias[...] = bias = problem.arrays()[2]
    want = jax.nn.relu(jaxcnn.conv(x, layer.kernel[...], bias, **problem.kwargs))
    np.testing.assert_array_equal(layer(x), want)


POOLS = [
    (nn.MaxPool, jaxcnn.max_pool, {}),
    (nn.MinPool, jaxcnn.min_pool, {}),
    (nn.AvgPool, jaxcnn.avg_pool, {}),
    (nn.LpPool, jaxcnn.lp_pool, {"p": 3}),
]


PLAIN = {
    "AdaptiveAvgPool": (jaxcnn.adaptive_avg_pool, {"output_size": (3, 2)}),
    "AdaptiveMaxPool": (jaxcnn.adaptive_max_pool, {"output_size": 2}),
    "BlurPool": (
        jaxcnn.blur_pool,
        {"kernel_size": 5, "stride": (1, 3), "padding": 1, "padding_mode": "replicate"}
        | {"rounding": "floor"},
    ),
    "GlobalAvgPool": (jaxcnn.global_avg_pool, {"rank": 3, "keepdims": True}),
    "GlobalLpPool": (jaxcnn.global_lp_pool, {"p": 3, "rank": 3, "keepdims": True}),
    "GlobalMaxPool": (jaxcnn.global_max_pool, {"rank": 3, "keepdims": True}),
    "MaxPoolWithIndices": (
        jaxcnn.max_pool_with_indices,
        {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2, "rounding": "ceil"},
    ),
    "PixelShuffle": (jaxcnn.pixel_shuffle, {"factor": 2, "order": "DCR"}),
    "PixelUnshuffle": (jaxcnn.pixel_unshuffle, {"factor": (2, 4), "order": "DCR"}),
    "Upsample": (
        jaxcnn.upsample,
        {"scale_factor": 1.3, "method": "linear", "coordinates": "asymmetric"}
        | {"rounding": "floor"},
    ),
}
"""Layers without parameters: the operation, and arguments that each change its result."""


def test_every_layer_has_a_case_of_values():
    classes = {name for name in nn.__all__ if inspect.isclass(getattr(nn, name))}
    pools = {layer.__name__ for layer, *_ in POOLS}
    assert classes == {*CONVOLUTIONS, *pools, *PLAIN, "MaxUnpool", *ELSEWHERE}


@pytest.mark.parametrize("name", PLAIN)
def test_a_layer_without_parameters_is_its_operation_with_the_same_arguments(name):
    operation, arguments = PLAIN[name]
    x = jnp.linspace(-1, 1, 2 * 6 * 8 * 4).reshape(2, 6, 8, 4)
    got, want = getattr(nn, name)(**arguments)(x), operation(x, **arguments)
    jax.tree.map(np.testing.assert_array_equal, got, want)


@few
@given(pool_problems(kinds=("max",), roundings=("exact", "floor")))
def test_an_unpooling_layer_undoes_its_pool(problem):
    x = problem.arrays()[0]
    pool = nn.MaxPoolWithIndices(problem.kernel_size, **problem.kwargs)
    values, indices = pool(x)
    unpool = nn.MaxUnpool(problem.kernel_size, **problem.kwargs)
    y = unpool(values, indices, output_size=problem.size)
    np.testing.assert_array_equal(y, jaxcnn.max_unpool(values, indices, output_size=problem.size))
    steps = problem.kwargs["stride"]
    one_step = max(steps) == 1 if isinstance(steps, tuple) else steps == 1
    if pool.rounding == "exact" and (one_step or "SAME" not in str(pool.padding)):
        np.testing.assert_array_equal(unpool(values, indices), y)


@pytest.mark.parametrize("options", [{"rounding": "floor"}, {"padding": "SAME"}])
def test_an_unpooling_layer_refuses_to_guess_the_size_that_indices_count(options):
    pool, unpool = nn.MaxPoolWithIndices((2, 2), **options), nn.MaxUnpool((2, 2), **options)
    x = jnp.arange(25.0).reshape(1, 5, 5, 1)
    with pytest.raises(InputError, match=r"^MaxUnpool: .*output_size=x.shape\[1:-1\]"):
        unpool(*pool(x))
    assert unpool(*pool(x), output_size=(5, 5))[0, 3, 3, 0] == x[0, 3, 3, 0]


@pytest.mark.parametrize(("layer", "pool", "more"), POOLS)
@few
@given(pool_problems())
def test_a_pooling_layer_is_the_pool(layer, pool, more, problem):
    x, kwargs = problem.arrays()[0], {**problem.kwargs, **more}
    want = pool(x, problem.kernel_size, **kwargs)
    np.testing.assert_array_equal(layer(problem.kernel_size, **kwargs)(x), want)
    cells = np.linspace(-2, 1, 16).reshape(4, 4, 1)  # no two pools of these are alike
    np.testing.assert_array_equal(layer((2, 2), **more)(cells), pool(cells, (2, 2), **more))


def test_an_average_pool_layer_counts_padding_if_count_include_pad_is_set():
    x = jnp.ones((1, 3, 3, 1))
    layer = nn.AvgPool(2, stride=1, padding=1, count_include_pad=True)
    assert layer(x)[0, 0, 0] == 0.25


@EACH
def test_a_layer_without_a_bias_has_none(case):
    layer = case.build(use_bias=False, rngs=nnx.Rngs(0))
    assert layer.bias is None
    want = case.operation(case.x, *_parameters(layer, case), **case.arguments)
    np.testing.assert_array_equal(layer(case.x), want)


@EACH
def test_initial_weights_have_the_variance_of_the_activations_gain(case):
    draws = [case.build(activation="relu", rngs=nnx.Rngs(seed)) for seed in range(30)]
    for name, fan_in in case.fan_in.items():
        weights = np.concatenate([np.ravel(getattr(layer, name)[...]) for layer in draws])
        gain = 1 if name == "depthwise_kernel" else 2
        # Truncation makes the kurtosis less than a normal's 3, for which the variance of n draws
        # has a relative standard deviation of sqrt(2/n); five of them are never overstepped.
        allowed = 5 * (2 / weights.size) ** 0.5
        assert abs(weights.var() * fan_in / gain - 1) < allowed
    assert (draws[0].bias[...] == 0).all()


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_kernel_starts_as_a_truncated_normal_of_variance_gain_over_fan_in(name, groups):
    layer = nn.Conv(16, 64, (3, 3), groups=groups, activation=name, rngs=nnx.Rngs(0))
    weights = np.asarray(layer.kernel[...], np.float64)
    variance = ACTIVATIONS[name].gain / (9 * 16 // groups)
    # The relative standard deviation of the mean square of n normal draws is sqrt(2/n), and that of
    # truncated draws is less. Five standard deviations are exceeded once in a million seeds.
    assert abs(np.mean(weights**2) / variance - 1) < 5 * np.sqrt(2 / weights.size)
    assert abs(np.mean(weights)) < 5 * np.sqrt(variance / weights.size)
    # A normal cut off at two deviations keeps 0.8796 of its deviation; a uniform ends at sqrt(3).
    assert 1.9 < abs(weights).max() / np.sqrt(variance) <= 2 / 0.8796


@pytest.mark.parametrize("name", ["linear", "relu", "leaky_relu"])
def test_a_gain_is_the_inverse_of_the_activations_mean_square(name):
    # E[f(z)^2] for z ~ N(0, 1); f is linear on each side of zero, so the quadrature is exact.
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    squares = np.asarray(ACTIVATIONS[name].function(jnp.asarray(nodes)), np.float64) ** 2
    mean = np.sum(weights * squares) / np.sqrt(2 * np.pi)
    assert abs(ACTIVATIONS[name].gain * mean - 1) < 1e-6


@EACH
def test_an_activation_may_be_a_function_and_a_known_function_has_its_gain(case):
    named, same, other = (
        case.build(activation=activation, rngs=nnx.Rngs(0))
        for activation in ("relu", jax.nn.relu, lambda y: jnp.maximum(y, 0))
    )
    np.testing.assert_array_equal(named(case.x), same(case.x))
    last = list(case.fan_in)[-1]
    np.testing.assert_allclose(
        getattr(other, last)[...] * 2**0.5, getattr(named, last)[...], rtol=1e-6
    )
    y = case.operation(case.x, *_parameters(other, case), other.bias[...], **case.arguments)
    np.testing.assert_array_equal(other(case.x), jax.nn.relu(y))
    assert find_activation(jnp.cos).gain == 1


def test_an_activation_may_be_a_module_with_parameters():
    layer = nn.Conv(4, 6, (3, 3), activation=nnx.PReLU(0.5), rngs=nnx.Rngs(0))
    assert set(nnx.to_pure_dict(nnx.state(layer, nnx.Param))) == {"kernel", "bias", "activation"}
    linear = jaxcnn.conv(IMAGE, layer.kernel[...])
    np.testing.assert_array_equal(layer(IMAGE), jnp.where(linear < 0, linear / 2, linear))


@EACH
def test_initialisers_of_flax_draw_the_parameters(case):
    layer = case.build(
        kernel_init=nnx.initializers.constant(0.25),
        bias_init=nnx.initializers.ones,
        param_dtype=jnp.bfloat16,
        rngs=nnx.Rngs(0),
    )
    for name, value in [*((name, 0.25) for name in case.fan_in), ("bias", 1)]:
        parameter = getattr(layer, name)[...]
        assert parameter.dtype == jnp.bfloat16
        assert (parameter == value).all()


@EACH
def test_metadata_are_stored_in_the_parameters(case):
    layer = case.build(
        kernel_metadata={"place": "k"}, bias_metadata={"place": "b"}, rngs=nnx.Rngs(0)
    )
    assert {getattr(layer, name).place for name in case.fan_in} == {"k"}
    assert layer.bias.place == "b"


@EACH
def test_the_same_seed_gives_the_same_weights_and_another_seed_other_ones(case):
    for name in case.fan_in:
        one, same, other = (
            np.asarray(getattr(case.build(rngs=nnx.Rngs(seed)), name)[...]) for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(one, same)
        assert (one != other).all()


@EACH
def test_a_layer_computes_in_one_dtype_and_keeps_parameters_in_another(case):
    layer = case.build(dtype=jnp.bfloat16, param_dtype=jnp.float32, rngs=nnx.Rngs(0))
    assert jax.eval_shape(lambda: layer(case.x)).dtype == jnp.bfloat16
    dtypes = {getattr(layer, name)[...].dtype for name in (*case.fan_in, "bias")}
    assert dtypes == {jnp.dtype("float32")}
    half = case.build(param_dtype=jnp.float16, rngs=nnx.Rngs(0))
    assert jax.eval_shape(lambda: half(case.x.astype("float16"))).dtype == jnp.float16


@pytest.mark.parametrize(
    ("x_dtype", "param_dtype", "dtype", "want"),
    [
        ("float32", "float32", None, "float32"),
        ("bfloat16", "float32", None, "float32"),
        ("bfloat16", "bfloat16", None, "bfloat16"),
        ("float32", "float32", "bfloat16", "bfloat16"),
        ("uint8", "float32", None, "float32"),
    ],
)
def test_without_a_dtype_the_input_and_the_parameters_decide_it(x_dtype, param_dtype, dtype, want):
    layer = nn.Conv(1, 2, (3,), dtype=dtype, param_dtype=param_dtype, rngs=nnx.Rngs(0))
    x = jnp.ones((5, 1), x_dtype)
    assert jax.eval_shape(lambda: layer(x)).dtype == want
    with jax.numpy_dtype_promotion("strict"):
        assert jax.eval_shape(lambda: layer(x)).dtype == want


@pytest.mark.parametrize("name", ["Conv", "ConvTranspose"])
def test_preferred_element_type_gives_a_result_wider_than_the_layers_dtype(name):
    case = CONVOLUTIONS[name]
    wide, narrow = (
        case.build(
            dtype="bfloat16",
            preferred_element_type=dtype,
            bias_init=nnx.initializers.constant(0.75),
            rngs=nnx.Rngs(0),
        )
        for dtype in ("float32", None)
    )
    x, kernel = (a.astype("bfloat16") for a in (case.x, wide.kernel[...]))
    arguments = {**case.arguments, "preferred_element_type": "float32"}
    want = case.operation(x, kernel, wide.bias[...], **arguments)
    np.testing.assert_array_equal(wide(case.x), want)
    assert want.dtype == "float32"
    assert narrow(case.x).dtype == "bfloat16"


@EACH
def test_a_layer_promotes_with_the_given_promote_dtype(case):
    seen = []

    def promote(arrays, *, dtype=None, inexact=True):
        seen.append((len(arrays), dtype))
        return nnx.nn.dtypes.promote_dtype(arrays, dtype=dtype, inexact=inexact)

    layer = case.build(promote_dtype=promote, dtype=jnp.float16, rngs=nnx.Rngs(0))
    assert jax.eval_shape(lambda: layer(case.x)).dtype == jnp.float16
    assert seen == [(len(case.fan_in) + 2, jnp.float16)]


@EACH
def test_a_layer_of_a_single_example_gives_a_single_result(case):
    layer = case.build(rngs=nnx.Rngs(0))
    single, batch = (
        jax.eval_shape(lambda given=given: layer(given)) for given in (case.x[0], case.x)
    )
    assert single.shape == batch.shape[1:]


@EACH
def test_gradients_reach_every_parameter_of_a_layer(case):
    layer = case.build(rngs=nnx.Rngs(0))
    gradients = nnx.grad(lambda layer: (layer(case.x) ** 2).sum())(layer)
    assert set(gradients) == {*case.fan_in, "bias"}
    for name in case.fan_in:
        reached = np.asarray(gradients[name][...] != 0)
        if getattr(layer, "mask", None) is not None:
            np.testing.assert_array_equal(reached, np.broadcast_to(MASK != 0, reached.shape))
        else:
            assert reached.all()


@EACH
def test_the_result_of_a_layer_has_the_requested_out_sharding(case):
    layer = case.build(rngs=nnx.Rngs(0))
    graph, state = nnx.split(layer)
    mesh = jax.make_mesh((1,), ("some",), axis_types=(AxisType.Explicit,))
    spec = PartitionSpec("some", *[None] * (case.x.ndim - 1))
    with jax.set_mesh(mesh):
        x = jax.ShapeDtypeStruct(case.x.shape, case.x.dtype)
        y = jax.eval_shape(lambda state, x: nnx.merge(graph, state)(x, out_sharding=spec), state, x)
    assert y.sharding.spec == spec


def test_a_transposed_layer_has_the_requested_output_size():
    layer = nn.ConvTranspose(4, 6, (4, 4), stride=2, padding="SAME", rngs=nnx.Rngs(0))
    assert layer(IMAGE).shape == (2, 10, 14, 6)
    assert layer(IMAGE, output_size=(9, 13)).shape == (2, 9, 13, 6)


def test_a_masked_transposed_layer_is_the_adjoint_of_the_masked_convolution():
    layer = nn.ConvTranspose(6, 4, (3, 3), padding=1, mask=MASK, use_bias=False, rngs=nnx.Rngs(0))
    kernel = jnp.where(MASK == 0, jnp.nan, layer.kernel[...])
    layer.kernel[...] = kernel
    x = jnp.ones((2, 5, 7, 6))
    back = jax.linear_transpose(lambda y: jaxcnn.conv(y, kernel, padding=1, mask=MASK), IMAGE)
    np.testing.assert_allclose(layer(x), back(x)[0], rtol=1e-5, atol=1e-6)


def test_a_causal_layer_streams_chunks_with_the_numbers_of_the_whole_input():
    layer = nn.CausalConv(4, 6, 3, dilation=2, activation="relu", rngs=nnx.Rngs(0))
    x = jnp.arange(72.0).reshape(2, 9, 4) % 5 - 2
    layer.kernel[...] = jnp.round(4 * layer.kernel[...])  # whole numbers: their sums are exact
    state, outputs = layer.state(batch=2), []
    for chunk in jnp.split(x, [1, 6], axis=1):
        y, state = layer.stream(chunk, state)
        outputs.append(y)
    np.testing.assert_array_equal(jnp.concatenate(outputs, axis=1), layer(x))
    half = nn.CausalConv(4, 6, 3, dtype="bfloat16", rngs=nnx.Rngs(0))
    assert half.state().dtype == jnp.bfloat16


def test_a_layer_with_a_stride_cannot_be_streamed():
    layer = nn.CausalConv(1, 1, 3, stride=2, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"stride 2 .* stride 1"):
        layer.stream(jnp.ones((4, 1)), layer.state())


def test_layers_and_their_gradients_lower_for_every_platform():
    layer = nn.Conv(1, 2, (3, 3), stride=2, activation="gelu", rngs=nnx.Rngs(0))
    definition, state = nnx.split(layer)
    x = jnp.ones((2, 7, 7, 1))

    def run(state, x):
        return nnx.merge(definition, state)(x)

    assert_lowers(run, (state, x), returns=jax.ShapeDtypeStruct((2, 3, 3, 2), "float32"))
    assert_lowers(jax.grad(lambda state, x: run(state, x).sum()), (state, x))
    for pool in (nn.MaxPool(2), nn.AvgPool(2, rounding="floor")):
        image = x[:, :6, :6]
        assert_lowers(pool, (image,), returns=jax.ShapeDtypeStruct((2, 3, 3, 1), "float32"))
