"""A trace finds the same layers in every form of a network."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

import jaxcnn
from jaxcnn.errors import InputError
from jaxcnn.inspect import lint, plan_of, trace
from tests.inspect.programs import IMAGE

KERNEL = jnp.ones((3, 3, 3, 8))


def conv(x, kernel=KERNEL, *, stride=1, padding=((1, 1), (1, 1)), names=IMAGE):
    return lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=names)


def summary(model, shape):
    """Kind, output shape, fields and costs of each layer of a model."""
    return [
        (layer.kind, layer.output_shape, layer.fields, layer.multiply_adds, layer.parameters)
        for layer in trace(model, shape).layers
    ]


def pooled(x):
    return nnx.max_pool(jax.nn.relu(conv(x)), (2, 2), (2, 2))


WRAPPED = {
    "jit": jax.jit(pooled),
    "remat": jax.checkpoint(pooled),
    "vmap": jax.vmap(lambda x: pooled(x[None])[0]),
    "one example": lambda x: pooled(x[None])[0] if x.ndim == 3 else 1 / 0,
    "padding apart": lambda x: nnx.max_pool(
        jax.nn.relu(conv(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), padding="VALID")),
        (2, 2),
        (2, 2),
    ),
    "loop of one": lambda x: nnx.max_pool(
        lax.scan(
            lambda _, k: (jax.nn.relu(conv(x, k)), None), jnp.zeros((1, 8, 8, 8)), KERNEL[None]
        )[0],
        (2, 2),
        (2, 2),
    ),
    "choice": lambda x: lax.cond(True, pooled, pooled, x),
}


@pytest.mark.parametrize("how", WRAPPED)
def test_transformations_and_control_flow_around_a_network_change_no_layer(how):
    assert summary(WRAPPED[how], (8, 8, 3)) == summary(pooled, (8, 8, 3))


def test_channels_first_and_channels_last_give_the_same_layers():
    first = ("NCHW", "OIHW", "NCHW")
    turned = KERNEL.transpose(3, 2, 0, 1)
    channels_first = trace(lambda x: conv(x, turned, names=first), (3, 9, 8))
    channels_last = trace(conv, (9, 8, 3))
    assert (channels_first.spatial, channels_last.spatial) == ((1, 2), (0, 1))
    (one,), (other,) = channels_first.layers, channels_last.layers
    assert (one.output_shape, one.axis_maps, one.fields) == (
        other.output_shape,
        other.axis_maps,
        other.fields,
    )


POOLS = {
    "max": (jaxcnn.max_pool, lax.max, -jnp.inf),
    "average": (jaxcnn.avg_pool, lax.add, 0.0),
}


@pytest.mark.parametrize("reference", [False, True], ids=["fast", "from scratch"])
@pytest.mark.parametrize("kind", POOLS)
def test_a_pool_written_as_slices_is_one_pool(kind, reference):
    pool, reduce, start = POOLS[kind]
    pool = getattr(jaxcnn.reference, pool.__name__) if reference else pool

    def sliced(x):
        return conv(pool(x, 3, stride=2, padding=1, rounding="floor"))

    def whole(x):
        pads = ((0, 0), (1, 0), (1, 0), (0, 0))  # no window reads a row after the end
        return conv(lax.reduce_window(x, start, reduce, (1, 3, 3, 1), (1, 2, 2, 1), pads))

    one, other = (trace(pool, (12, 12, 3)).layers for pool in (sliced, whole))
    assert [layer.kind for layer in one] == [f"{kind} pool", "conv"]
    assert [(a.kind, a.output_shape, a.axis_maps) for a in one] == [
        (a.kind, a.output_shape, a.axis_maps) for a in other
    ]


def test_a_convolution_of_a_dilated_input_is_a_transposed_convolution():
    kernel = jnp.ones((4, 4, 3, 8))
    for model in (
        lambda x: lax.conv_transpose(x, kernel, (2, 2), "SAME", dimension_numbers=IMAGE),
        lambda x: jaxcnn.conv_transpose(x, kernel.swapaxes(2, 3), stride=2, padding=1),
    ):
        (layer,) = trace(model, (5, 5, 3)).layers
        assert (layer.kind, layer.output_shape) == ("transposed conv", (10, 10, 8))
        # Every cell meets every tap, including cropped borders.
        assert layer.multiply_adds == 5 * 5 * 3 * 16 * 8
        assert [field.jump for field in layer.fields] == [1 / 2, 1 / 2]


def test_groups_and_depthwise_convolutions_count_their_products():
    def grouped(groups, x):
        kernel = jnp.ones((3, 3, 8 // groups, 16))
        return lax.conv_general_dilated(
            x, kernel, (1, 1), "VALID", dimension_numbers=IMAGE, feature_group_count=groups
        )

    for groups, kind in ((1, "conv"), (2, "conv"), (8, "depthwise conv")):
        (layer,) = trace(partial(grouped, groups), (6, 6, 8)).layers
        assert (layer.kind, layer.groups) == (kind, groups)
        assert layer.multiply_adds == 4 * 4 * 9 * (8 // groups) * 16


class Net(nnx.Module):
    """One layer of every kind that learns."""

    def __init__(self, rngs):
        self.first = nnx.Conv(3, 8, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.layers = nnx.List([nnx.Conv(8, 8, (3, 3), 2, use_bias=False, rngs=rngs)])
        self.group = nnx.GroupNorm(8, num_groups=2, rngs=rngs)
        self.head = nnx.Linear(8, 10, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.drop(self.norm(self.first(x))))
        for layer in self.layers:
            x = nnx.gelu(self.group(layer(x)))
        return self.head(x.mean((1, 2)))


def test_layers_of_a_module_are_named_by_their_paths():
    layers = trace(Net(nnx.Rngs(0)), (8, 8, 3)).layers
    assert [layer.name for layer in layers] == [
        "first",
        "norm",
        "layers.0",
        "group",
        "global_average_pool1",
        "head",
    ]
    assert [layer.bias for layer in layers] == [True, True, False, True, False, True]


def test_every_learnt_number_of_a_module_is_counted_once():
    net = Net(nnx.Rngs(0))
    learnt = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(net, nnx.Param)))
    assert sum(layer.parameters for layer in trace(net, (8, 8, 3)).layers) == learnt


def test_a_layer_used_twice_is_two_layers_with_one_set_of_weights():
    class Twice(nnx.Module):
        def __init__(self):
            self.conv = nnx.Conv(8, 8, (3, 3), rngs=nnx.Rngs(0))

        def __call__(self, x):
            return self.conv(nnx.relu(self.conv(x)))

    first, second = trace(Twice(), (8, 8, 8)).layers
    assert (first.name, second.name) == ("conv", "conv#2")
    assert (first.parameters, second.parameters) == (3 * 3 * 8 * 8 + 8, 0)
    assert first.multiply_adds == second.multiply_adds


def test_tracing_changes_nothing_of_a_module():
    net = Net(nnx.Rngs(0))
    before = jax.tree.map(jnp.copy, nnx.state(net, nnx.Param, nnx.BatchStat))
    trace(net, (8, 8, 3))
    assert not net.drop.deterministic
    assert not net.norm.use_running_average
    after = nnx.state(net, nnx.Param, nnx.BatchStat)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), before, after))


def test_a_module_of_shapes_without_numbers_is_traced_alike():
    shapes = nnx.eval_shape(lambda: Net(nnx.Rngs(0)))
    assert summary(shapes, (8, 8, 3)) == summary(Net(nnx.Rngs(0)), (8, 8, 3))


@jax.tree_util.register_pytree_node_class
class Callable:
    """A model that is a pytree, as in Equinox."""

    def __init__(self, kernel, bias):
        self.kernel, self.bias = kernel, bias

    def tree_flatten(self):
        return (self.kernel, self.bias), None

    @classmethod
    def tree_unflatten(cls, _, leaves):
        return cls(*leaves)

    def __call__(self, x):
        return conv(x[None], self.kernel)[0] + self.bias[None, None]


def test_arrays_of_a_pytree_and_arrays_that_a_function_closes_over_are_weights():
    bias = jnp.zeros(8)
    models = (Callable(KERNEL, bias), lambda x: conv(x) + bias[None, None, None])
    shapes = [summary(m, (8, 8, 3)) for m in models]
    assert shapes[0] == shapes[1]
    assert shapes[0][0][-1] == KERNEL.size + 8


def test_fields_of_a_generator_are_relative_to_its_first_map():
    weights, kernel = jnp.ones((7, 4 * 4 * 6)), jnp.ones((4, 4, 6, 3))

    def generator(z):
        x = (z @ weights).reshape(-1, 4, 4, 6)
        return lax.conv_transpose(x, kernel, (2, 2), "SAME", dimension_numbers=IMAGE)

    network = trace(generator, (7,))
    assert (network.spatial, network.origin.sizes) == ((), (4, 4))
    assert [layer.kind for layer in network.layers] == ["dense", "transposed conv"]
    assert [field.size for field in network.layers[1].fields] == [2, 2]


def test_normalisations_that_subtract_each_channels_mean_cancel_the_bias_before():
    def net(norm):
        class Normed(nnx.Module):
            def __init__(self):
                self.conv = nnx.Conv(3, 8, (3, 3), rngs=nnx.Rngs(0))
                self.norm = norm

            def __call__(self, x):
                return self.norm(self.conv(x))

        return trace(Normed(), (8, 8, 3)).layers[1]

    rngs = nnx.Rngs(0)
    cancelling = [
        nnx.BatchNorm(8, rngs=rngs),
        nnx.InstanceNorm(8, rngs=rngs),
        nnx.GroupNorm(8, num_groups=8, rngs=rngs),
    ]
    others = [
        nnx.GroupNorm(8, num_groups=2, rngs=rngs),
        nnx.LayerNorm(8, rngs=rngs),
        nnx.RMSNorm(8, rngs=rngs),
    ]
    assert [net(norm).kind for norm in cancelling + others] == ["norm"] * 6
    assert [net(norm).cancels is not None for norm in cancelling + others] == [True] * 3 + [
        False
    ] * 3


def test_a_bias_before_an_activation_is_not_cancelled():
    scale = jnp.ones(8)

    def net(x):
        each = scale[None, None, None]
        y = jax.nn.relu(conv(x) + each)
        return (y - each) * lax.rsqrt(each + 1e-5)

    assert [layer.cancels for layer in trace(net, (8, 8, 3)).layers] == [None, None]


def test_a_model_that_does_not_take_the_input_shape_is_refused_with_its_reasons():
    with pytest.raises(InputError, match=r"given \(1, 8, 8, 4\), .*given \(8, 8, 4\), "):
        trace(conv, (8, 8, 4))
    with pytest.raises(InputError, match="cannot be called"):
        trace(3, (8, 8, 3))
    with pytest.raises(InputError, match="input_shape must be an integer >= 1, got 0"):
        trace(conv, (0, 8, 3))


def test_a_kernel_larger_than_its_padded_input_is_refused_and_named():
    rngs = nnx.Rngs(0)
    valid = {"kernel_size": (5, 5), "padding": "VALID", "rngs": rngs}
    net = nnx.Sequential(nnx.Conv(1, 4, **valid), nnx.Conv(4, 4, **valid))
    assert len(trace(net, (9, 9, 1)).layers) == 2
    with pytest.raises(InputError, match=r"layers\.1.* \(1, 0, 0, 4\) for \(1, 4, 4, 4\).*use a"):
        trace(net, (8, 8, 1))
    with pytest.raises(InputError, match=r"reduce_window_max \(test_trace\.py:.*use a larger"):
        trace(
            lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 5, 1), (1, 1, 1), "VALID"), (4, 3)
        )


def test_a_normalisation_over_a_named_axis_is_a_normalisation():
    bias, scale = jnp.zeros(8), jnp.ones(8)

    def normalised(x):
        mean = lax.pmean(x.mean((0, 1), keepdims=True), "batch")
        variance = lax.pmean(jnp.square(x - mean).mean((0, 1), keepdims=True), "batch")
        return (x - mean) / jnp.sqrt(variance + 1e-5) * scale[None, None]

    def net(x):
        return jax.vmap(normalised, axis_name="batch")(conv(x) + bias[None, None, None])

    convolution, norm = trace(net, (8, 8, 3)).layers
    assert norm.kind == "norm"
    assert norm.cancels is convolution


class Images(nnx.Module):
    """Layers over images with any number of batch axes."""

    def __init__(self, words):
        rngs, self.words = nnx.Rngs(0), words
        self.convs = nnx.List([nnx.Conv(3, 3, (3, 3), 2, rngs=rngs) for _ in words])
        self.norms = nnx.List([nnx.BatchNorm(3, rngs=rngs) for _ in words])

    def __call__(self, x):
        x = x.reshape(-1, *x.shape[-3:])
        for word, conv, norm in zip(self.words, self.convs, self.norms, strict=True):
            x = {"conv": conv, "norm": norm, "pool": lambda x: nnx.max_pool(x, (2, 2))}[word](x)
        return x


@given(
    st.lists(st.sampled_from(["conv", "norm", "pool"]), min_size=1, max_size=4), st.integers(2, 9)
)
def test_a_batch_axis_in_the_input_shape_multiplies_multiply_adds_and_changes_no_layer(
    words, batch
):
    net = nnx.eval_shape(lambda: Images((*words, "conv", "norm")))
    many, one = (plan_of(net, shape).rows for shape in ((batch, 40, 40, 3), (40, 40, 3)))
    assert [replace(row, multiply_adds=0) for row in many] == [
        replace(row, multiply_adds=0) for row in one
    ]
    assert [row.multiply_adds for row in many] == [batch * row.multiply_adds for row in one]
    found = (lint(net, shape).findings for shape in ((batch, 40, 40, 3), (40, 40, 3)))
    assert next(found) == next(found)
