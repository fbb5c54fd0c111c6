"""A network has the same number of parameters in the plans of every framework."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

from jaxcnn.inspect import plan_of
from tests.inspect.programs import IMAGE


class Linen(nn.Module):
    channels: int
    kernel_size: int

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(self.channels, (self.kernel_size, self.kernel_size))(x)
        x = nn.BatchNorm(use_running_average=True)(x)
        return nn.Dense(10)(x.mean((1, 2)))


class NNX(nnx.Module):
    def __init__(self, channels, kernel_size):
        rngs = nnx.Rngs(0)
        self.conv = nnx.Conv(3, channels, (kernel_size, kernel_size), rngs=rngs)
        self.norm = nnx.BatchNorm(channels, rngs=rngs)
        self.head = nnx.Linear(channels, 10, rngs=rngs)

    def __call__(self, x):
        return self.head(self.norm(self.conv(x)).mean((1, 2)))


def applied(params, state, x, divide=True):
    """The same network in plain JAX, with the signature of Haiku's transformed functions."""
    x = lax.conv_general_dilated(x, params["k"], (1, 1), "SAME", dimension_numbers=IMAGE)
    x = x + row(params["kb"])
    if divide:
        x = (x - row(state["mean"])) / jnp.sqrt(row(state["var"]) + 1e-5) * row(params["scale"])
    else:
        scale = lax.rsqrt(state["var"] + 1e-5) * params["scale"]
        x = (x - row(state["mean"])) * row(scale)
    x = (x + row(params["shift"])).mean((1, 2))
    return x @ params["w"] + params["wb"][None]


def row(channels):
    return channels.reshape(1, 1, 1, -1)


@jax.tree_util.register_pytree_node_class
class Tree:
    """A model that is a pytree and stores its statistics among its arrays, as in Equinox."""

    def __init__(self, params, state):
        self.params_, self.state = params, state

    def tree_flatten(self):
        return (list(self.params_.values()), self.state), tuple(self.params_)

    @classmethod
    def tree_unflatten(cls, names, leaves):
        return cls(dict(zip(names, leaves[0], strict=True)), leaves[1])

    def __call__(self, x):
        return applied(self.params_, self.state, x)


def plain(channels, kernel_size):
    shapes = {
        "k": (kernel_size, kernel_size, 3, channels),
        "kb": (channels,),
        "scale": (channels,),
        "shift": (channels,),
        "w": (channels, 10),
        "wb": (10,),
    }
    params = {name: jnp.ones(shape) for name, shape in shapes.items()}
    return params, {"mean": jnp.zeros(channels), "var": jnp.ones(channels)}


def linen(channels, kernel_size):
    module = Linen(channels, kernel_size)
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.ones((1, 4, 4, 3)))
    return module, jax.tree.map(lambda each: jnp.zeros(each.shape), shapes)


def collections(channels, kernel_size):
    module, variables = linen(channels, kernel_size)
    return lambda x: module.apply(variables, x)


def in_partial(channels, kernel_size):
    module, variables = linen(channels, kernel_size)
    return partial(module.apply, variables)


def apart(channels, kernel_size):
    params, state = plain(channels, kernel_size)
    return lambda x: applied(params, state, x, divide=False)


WAYS = {
    "NNX": lambda *how: nnx.eval_shape(lambda: NNX(*how)),
    "Linen, closed over": collections,
    "Linen, partial": in_partial,
    "parameters and state apart": apart,
    "a partial of them": lambda *how: partial(applied, *plain(*how)),
    "a pytree": lambda *how: Tree(*plain(*how)),
}
SURE = ("NNX", "Linen, closed over", "Linen, partial")


@pytest.mark.parametrize("way", WAYS)
@given(st.integers(1, 9), st.integers(1, 3))
def test_parameters_are_the_learnt_numbers_whatever_the_framework(way, channels, kernel_size):
    plan = plan_of(WAYS[way](channels, kernel_size), (4, 4, 3))
    learnt = 3 * kernel_size**2 * channels + channels + 2 * channels + 10 * channels + 10
    assert plan.parameters == learnt
    assert bool(plan.notes) == (way not in SURE)
    if plan.notes:
        assert f"{2 * channels} numbers of running means and variances" in plan.notes[0]


class Chain(nnx.Module):
    """Learnt arrays that are added, subtracted, multiplied by, divided by, and convolved with."""

    def __init__(self, words, channels):
        shape = {"conv": (1, 1, channels, channels)}
        made = [(word, jnp.ones(shape.get(word, (channels,)))) for word in words]
        self.words = words
        self.arrays = nnx.List([nnx.Param(array) for _, array in made])

    def __call__(self, x):
        return chained(self.words, [array[...] for array in self.arrays], x)


CHAINED = {
    "add": lambda x, a: x + row(a),
    "sub": lambda x, a: x - row(a),
    "mul": lambda x, a: x * row(a),
    "div": lambda x, a: x / row(a),
    "conv": lambda x, a: lax.conv_general_dilated(x, a, (1, 1), "SAME", dimension_numbers=IMAGE),
}


def chained(words, arrays, x):
    for word, array in zip(words, arrays, strict=True):
        x = CHAINED[word](x, array)
    return x


@given(
    st.lists(st.sampled_from(list(CHAINED)), min_size=1, max_size=5),
    st.integers(1, 4),
    st.booleans(),
)
def test_learnt_arrays_are_counted_or_noted_wherever_they_are_used(words, channels, module):
    net = Chain(tuple(words), channels)
    arrays = [array[...] for array in net.arrays]
    plan = plan_of(net if module else partial(chained, words, arrays), (4, 4, channels))
    learnt = sum(array.size for array in arrays)
    assert plan.parameters == (learnt if "conv" in words else 0)
    left = f"{learnt} number{'' if learnt == 1 else 's'} in arrays that belong to no layer"
    assert any(left in note for note in plan.notes) == ("conv" not in words)
