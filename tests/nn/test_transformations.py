"""Every layer through Flax's transformations, whatever kind of number its options are given as."""

from __future__ import annotations

import copy
import inspect
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn import nn
from jaxcnn.errors import InputError
from jaxcnn.nn import ConvSpec, PoolSpec
from tests.cases import scaled

IMAGE = jnp.linspace(-1, 1, 2 * 6 * 8 * 4).reshape(2, 6, 8, 4)
SOUND = jnp.linspace(-1, 1, 2 * 9 * 4).reshape(2, 9, 4)
LAYERS = {
    "AvgPool": (lambda rngs, **o: nn.AvgPool(o.pop("window", (2, 2)), **o), IMAGE),
    "CausalConv": (lambda rngs, **o: nn.CausalConv(4, 6, 3, rngs=rngs, **o), SOUND),
    "Conv": (
        lambda rngs, **o: nn.Conv(
            4, 6, o.pop("kernel_size", (3, 3)), mask=np.ones((1, 1, 1, 1)), rngs=rngs, **o
        ),
        IMAGE,
    ),
    "ConvTranspose": (
        lambda rngs, **o: nn.ConvTranspose(4, 6, o.pop("kernel_size", (3, 3)), rngs=rngs, **o),
        IMAGE,
    ),
    "DepthwiseConv": (
        lambda rngs, **o: nn.DepthwiseConv(4, o.pop("kernel_size", (3, 3)), rngs=rngs, **o),
        IMAGE,
    ),
    "LocalConv": (
        lambda rngs, **o: nn.LocalConv((6, 8, 4), 6, o.pop("kernel_size", (3, 3)), rngs=rngs, **o),
        IMAGE,
    ),
    "MaxPool": (lambda rngs, **o: nn.MaxPool(o.pop("window", (2, 2)), **o), IMAGE),
    "SeparableConv": (
        lambda rngs, **o: nn.SeparableConv(4, 6, o.pop("kernel_size", (3, 3)), rngs=rngs, **o),
        IMAGE,
    ),
    "Stack": (
        lambda rngs, **o: nn.Stack(
            (6, 8, 4),
            [
                ConvSpec(6, o.pop("kernel_size", 3), **o),
                PoolSpec("max", np.array([1, 1])),
            ],
            rngs=rngs,
        ),
        IMAGE,
    ),
}
EACH = pytest.mark.parametrize("name", LAYERS)


def _layer(name, **options):
    return LAYERS[name][0](nnx.Rngs(0), **options)


def _options(name):
    """The names of all that can be said to the layer when it is built."""
    return inspect.signature(ConvSpec if name == "Stack" else getattr(nn, name).__init__).parameters


def _call(layer, x):
    return layer(x)


def test_every_layer_is_walked():
    modules = [name for name in nn.__all__ if inspect.isclass(getattr(nn, name))]
    assert {name for name in modules if issubclass(getattr(nn, name), nnx.Module)} == set(LAYERS)


@EACH
def test_a_layer_is_tabulated_and_works_on(name):
    layer, x = _layer(name), LAYERS[name][1]
    want = layer(x)
    table = nnx.tabulate(layer, x, console_kwargs={"width": 300})
    assert name in table
    assert ",".join(map(str, want.shape)) in table
    np.testing.assert_array_equal(layer(x), want)


def test_chunks_are_tabulated_too():
    layer = nn.CausalConv(4, 6, 3, rngs=nnx.Rngs(0))
    state = layer.state(batch=2)
    assert "stream" in nnx.tabulate(layer, SOUND, state, method="stream")
    assert layer.stream(SOUND, state)[0].shape == (2, 9, 6)


@EACH
def test_a_layer_is_itself_through_every_transformation(name):
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


def _spellings(value):
    """The ways in which a person may write a number, or numbers for each axis."""
    if isinstance(value, tuple):
        entries = st.tuples(*map(_spellings, value))
        return st.just(np.array(value)) | st.just(jnp.array(value)) | entries | entries.map(list)
    return st.sampled_from([value, np.int8(value), np.array(value), jnp.asarray(value)])


def _one_or_each(numbers, axes):
    return numbers | st.tuples(*[numbers] * axes)


@st.composite
def options(draw, name):
    """An option of the layer and its value, in Python's numbers."""
    axes = 1 if name == "CausalConv" else 2
    cells = st.integers(0, 2)
    pairs = st.tuples(*[st.tuples(cells, cells) | cells] * axes)
    known = {
        "kernel_size": st.tuples(*[st.integers(1, 3)] * axes),
        "window": _one_or_each(st.integers(1, 3), axes),
        "stride": _one_or_each(st.integers(1, 3), axes),
        "dilation": _one_or_each(st.integers(1, 2), axes),
        "padding": cells | pairs,
        "output_padding": _one_or_each(st.just(0), axes),
        "groups": st.sampled_from([1, 2]),
        "multiplier": st.sampled_from([1, 2]),
    }
    if name == "CausalConv":
        known = {key: st.sampled_from([1, 2]) for key in ("stride", "dilation", "groups")}
    option = draw(st.sampled_from(sorted(known.keys() & _options(name))))
    value = draw(known[option])
    if option == "padding" and isinstance(value, tuple) and len(set(map(type, value))) > 1:
        spelled = draw(st.tuples(*map(_spellings, value)))  # ragged: no array
    else:
        spelled = draw(_spellings(value))
    return option, value, spelled


def _outcome(call, layer, x):
    """The shape and the dtype of what is returned, or why nothing is."""
    graph, state = nnx.split(layer)
    try:
        return jax.eval_shape(lambda state: call(nnx.merge(graph, state), x), state)
    except InputError as error:
        return str(error)


@scaled(10)
@given(st.data(), st.sampled_from(sorted(LAYERS)))
def test_whatever_kind_of_number_an_option_is_the_layer_is_one_program(data, name):
    option, value, spelled = data.draw(options(name))
    rounding = {} if name == "ConvTranspose" else {"rounding": "floor"}
    plain, other = (
        nnx.eval_shape(lambda v=v: _layer(name, **{option: v}, **rounding))
        for v in (value, spelled)
    )
    graphs = [nnx.graphdef(layer) for layer in (plain, other)]
    assert graphs[0] == graphs[1]
    assert hash(graphs[0]) == hash(graphs[1])
    x = LAYERS[name][1]
    assert _outcome(nnx.jit(_call), other, x) == _outcome(_call, plain, x)


WRONG = {
    "stride": [0, (1, 0), 1.5, np.array([1.0, 2.0]), (1, 2, 3), None],
    "dilation": [0, (1, 0), "2", (1, 2, 3)],
    "padding": [-1, "HALF", (1, 2, 3), ((1, 2, 3), 1), None, 0.5],
    "output_padding": [-1, (1, 2, 3)],
    "window": [0, (2, 0), 2.5],
    "kernel_size": [(0, 1), (1.5, 2)],
    "groups": [0, 3, 1.5],
    "multiplier": [0, 1.5],
    "rounding": ["down"],
    "padding_mode": ["mirror"],
    "activation": ["step"],
    "dtype": ["float33"],
    "param_dtype": ["float33"],
}
REFUSED = [
    (name, option, wrong)
    for name in LAYERS
    for option in WRONG
    for wrong in WRONG[option]
    if name != "Stack" and option in _options(name)
    if not (name in ("AvgPool", "MaxPool") and option == "stride" and wrong is None)
    if not (name == "CausalConv" and option == "kernel_size")
]


@pytest.mark.parametrize(("name", "option", "wrong"), REFUSED)
def test_what_an_option_cannot_be_is_refused_when_the_layer_is_built(name, option, wrong):
    with pytest.raises((ValueError, TypeError), match=f"^{name}: .*{option.split('_')[-1]}"):
        _layer(name, **{option: wrong})


@pytest.mark.parametrize("option", ["stride", "dilation", "padding", "kernel_size", "rounding"])
def test_a_description_is_refused_when_it_is_made(option):
    for wrong in WRONG[option]:
        if (
            str(wrong) == "(1, 2, 3)"
        ):  # which may be right: how many axes there are, it does not know
            continue
        with pytest.raises((ValueError, TypeError), match=option):
            ConvSpec(6, **{"kernel_size": 3, option: wrong})
