"""Options of layers: checked when a layer is built, and stored in one form; Flax's names."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import assume, given
from hypothesis import strategies as st

from jaxcnn import nn
from jaxcnn.errors import InputError
from jaxcnn.nn._conv_base import ConvBase
from jaxcnn.nn.pool import Pool
from tests.cases import many, scaled
from tests.nn.layers import ELSEWHERE

LAYERS = {
    "AdaptiveAvgPool": ("output_size",),
    "AdaptiveMaxPool": ("output_size",),
    "AvgPool": ("kernel_size",),
    "BlurPool": ("kernel_size",),
    "CausalConv": ("in_channels", "out_channels", "kernel_size"),
    "Conv": ("in_channels", "out_channels", "kernel_size"),
    "ConvTranspose": ("in_channels", "out_channels", "kernel_size"),
    "DeformConv": ("in_channels", "out_channels", "kernel_size"),
    "DepthwiseConv": ("in_channels", "kernel_size"),
    "GlobalAvgPool": (),
    "GlobalLpPool": (),
    "GlobalMaxPool": (),
    "LocalConv": ("input_shape", "out_channels", "kernel_size"),
    "LpPool": ("kernel_size",),
    "MaxPool": ("kernel_size",),
    "MaxPoolWithIndices": ("kernel_size",),
    "MaxUnpool": ("kernel_size",),
    "MinPool": ("kernel_size",),
    "PixelShuffle": ("factor",),
    "PixelUnshuffle": ("factor",),
    "SeparableConv": ("in_channels", "out_channels", "kernel_size"),
    "Upsample": ("scale_factor",),
}
"""The layers with options of a window or a size, with their required arguments."""


def _build(name, axes=2, **options):
    given = {
        "in_channels": 4,
        "out_channels": 6,
        "kernel_size": 3 if name == "CausalConv" else (3,) * axes,
        "input_shape": (*(9,) * axes, 4),
        "output_size": (3,) * axes,
        "factor": 2,
        "scale_factor": 2,
    }
    needed = {argument: given[argument] for argument in LAYERS[name]}
    if "rngs" in _arguments(name):
        needed["rngs"] = nnx.Rngs(0)
    if name == "Upsample" and "output_size" in options:
        needed["scale_factor"] = None
    return getattr(nn, name)(**{**needed, **options})


def _arguments(name):
    return [p for p in inspect.signature(getattr(nn, name).__init__).parameters if p != "self"]


def _some(wrong, axes):
    """One wrong entry for all axes, or among valid entries."""
    places = st.integers(0, axes - 1)
    among = places.map(lambda at: tuple(wrong if i == at else 1 for i in range(axes)))
    return st.just(wrong) | among | among.map(list)


def _sizes(least, axes):
    """Values that sizes of at least ``least`` cannot have, one for all axes or for each."""
    below, fractions = st.integers(least - 9, least - 1), st.sampled_from([0.5, 1.0, 2.5])
    other = st.sampled_from([None, "2", b"2", 2j, True, {}, np.array([1.5, 2.5]), jnp.ones(2)])
    return (below | fractions | other).flatmap(lambda wrong: _some(wrong, axes))


def _too_many(axes):
    return st.lists(st.just(1), min_size=axes + 1, max_size=axes + 3)


def _no_padding(axes):
    whole = ["SAEM", "HALF", "CIRCULAR", "", None, 0.5, 1j, {}]
    return (
        st.sampled_from(whole)
        | _too_many(axes)
        | st.sampled_from([None, (1, 2, 3), (0.5, 1), "SAME"]).map(lambda wrong: (wrong,) * axes)
    )


def _negative_padding(axes):
    wrong = st.integers(-3, -1)
    return wrong | wrong.map(lambda n: (n,) * axes) | wrong.map(lambda n: ((0, n),) * axes)


def _other_names(*known):
    return st.text(max_size=9).filter(lambda name: name not in known) | st.integers() | st.none()


NO_FUNCTION = st.sampled_from([3, "zeros", (), np.ones(2)])
NO_INTEGER = st.integers(-9, 0) | st.sampled_from([None, 0.5, 2.0, "2", (2,), True])
NO_MAPPING = st.sampled_from([None, 3, "sharding", ("a",)])
WRONG_FOR_AXES = {
    "kernel_size": lambda axes: _sizes(1, axes) | st.just(()),
    "stride": lambda axes: _sizes(1, axes) | _too_many(axes),
    "dilation": lambda axes: _sizes(1, axes) | _too_many(axes),
    "output_padding": lambda axes: _sizes(0, axes) | _too_many(axes) | st.integers(1, 5),
    "padding": _no_padding,
    "output_size": lambda axes: _sizes(1, axes) | st.just(()),
    "factor": lambda axes: _sizes(1, axes) | st.just(()),
    "input_shape": lambda axes: st.sampled_from(
        [(), (4,), (9,) * (axes + 2), (*(9,) * axes, 0), (0.5, *(9,) * axes), 9, "999", None]
    ),
    "mask": lambda axes: st.sampled_from(["all", np.ones(3), np.ones((2,) * axes + (1, 1)), {}]),
}
WRONG = {
    "in_channels": NO_INTEGER,
    "out_channels": NO_INTEGER,
    "groups": NO_INTEGER | st.sampled_from([3, 4, 12]),
    "depth_multiplier": NO_INTEGER,
    "rounding": _other_names("exact", "floor", "ceil"),
    "padding_mode": _other_names("zeros", "reflect", "replicate", "circular", "partial"),
    "activation": _other_names("linear", "relu", "gelu", "silu", "elu", "selu", "tanh"),
    "algorithm": st.sampled_from(["im2col", "", 3, ("taps",)]),
    "use_bias": st.sampled_from([None, "no", 0, 1, np.ones(2)]),
    "count_include_pad": st.sampled_from([None, "no", 0, 1]),
    "kernel_init": NO_FUNCTION,
    "bias_init": NO_FUNCTION | st.none(),
    "promote_dtype": NO_FUNCTION | st.none(),
    "dtype": st.sampled_from(["float33", "bool", "S3", 3, object]),
    "preferred_element_type": st.sampled_from(["float33", "bool", 3]),
    "param_dtype": st.sampled_from(["float33", "bool", "int8", 3, None]),
    "precision": st.sampled_from(["low", 3, ("high",), np.ones(2), {}]),
    "kernel_metadata": NO_MAPPING,
    "bias_metadata": NO_MAPPING,
    "p": st.sampled_from([0, -1, 0.5, "2", None, 1j]),
    "rank": st.integers(-9, 0) | st.sampled_from([0.5, 2.0, "2", (2,), True]),
    "keepdims": st.sampled_from([None, "no", 0, 1]),
    "order": _other_names("CRD", "DCR"),
    "method": _other_names("nearest", "linear", "floor", "ceil", "round_prefer_floor"),
    "coordinates": _other_names("half_pixel", "align_corners", "asymmetric"),
    "scale_factor": st.sampled_from([None, 0, -1, math.nan, math.inf, "2", 1j, (2, 0), (), True]),
    "rngs": st.sampled_from([None, 0, jax.random.key(0)]),
}
# Values that are valid only for pools.
OF_POOLS = {"stride": None, "rounding": "ceil"}


def test_every_layer_has_a_case_of_options():
    classes = {name for name in nn.__all__ if inspect.isclass(getattr(nn, name))}
    assert set(LAYERS) == classes - set(ELSEWHERE)


@pytest.mark.parametrize("name", LAYERS)
def test_every_argument_of_every_layer_has_a_test_of_refused_values(name):
    assert set(_arguments(name)) <= {*WRONG, *WRONG_FOR_AXES}


@many
@given(st.data(), st.sampled_from(sorted(LAYERS)), st.integers(1, 3))
def test_an_impossible_option_is_refused_when_the_layer_is_built(data, name, axes):
    option = data.draw(st.sampled_from(_arguments(name)))
    axes = 1 if name == "CausalConv" else axes
    values = WRONG[option] if option in WRONG else WRONG_FOR_AXES[option](axes)
    if option == "padding" and name != "ConvTranspose":
        values |= _negative_padding(axes)
    wrong = data.draw(values)
    pool = issubclass(getattr(nn, name), Pool)
    assume(not (pool and option in OF_POOLS and wrong is OF_POOLS[option]))
    with pytest.raises((InputError, TypeError)) as caught:
        _build(name, axes, **{option: wrong})
    message = str(caught.value)
    assert re.match(rf"{name}: .*\b{option}\b", message, re.DOTALL), message


@pytest.mark.parametrize(
    ("layer", "sizes", "arguments", "words"),
    [
        (nn.Conv, (4, 6, (3, 3)), {"mask": np.ones((3, 3))}, ["mask[..., None, None]"]),
        (nn.Conv, (4, 6, 3), {}, ["kernel_size", "(3, 3) for images", "(3,) for one axis"]),
        (
            nn.Conv,
            (4, 6, (3,)),
            {"groups": 4},
            ["out_channels 6", "groups=1 or 2", "out_channels=4 or 8"],
        ),
        (nn.ConvTranspose, (6, 4, (3,)), {"groups": 3}, ["out_channels 4", "=3 or 6"]),
        (nn.Conv, (4, 6, (3,)), {"activation": "rleu"}, ['activation="relu"']),
        (nn.Conv, (4, 6, (3,)), {"activation": "none"}, ['activation="linear"']),
        (nn.Conv, (4, 6, (3,)), {"activation": "relu6"}, ["activation=jax.nn.relu6"]),
        (nn.Conv, (4, 6, (3,)), {"activation": "Swish"}, ["activation=jax.nn.swish"]),
        (nn.Conv, (4, 6, (3,)), {"padding_mode": "constant"}, ['padding_mode="zeros"']),
        (nn.Conv, (4, 6, (3,)), {"padding_mode": "wrap"}, ['padding_mode="circular"']),
        (nn.Conv, (4, 6, "3x3"), {}, ["kernel_size must be an integer"]),
        (nn.Conv, (4, 6, (3,)), {"dtype": "int32"}, ["int32", "jnp.float32"]),
        (
            nn.Conv,
            (4, 6, (3,)),
            {"dtype": "float32", "preferred_element_type": "bfloat16"},
            ["preferred_element_type bfloat16", "jnp.float32"],
        ),
        (nn.Conv, (4, 6, (3,)), {"padding": "SAEM"}, ["padding", "'SAEM'", 'padding="SAME"']),
        (nn.Conv, (4, 6, (3,)), {"padding": "CIRCULAR"}, ['padding_mode="circular"']),
        (nn.Conv, (4, 6, (3,)), {"rounding": "ceil"}, ['rounding "ceil" is for pooling']),
        (nn.Conv, (4, 6, (3,)), {"param_dtype": "int8"}, ["fractions", "kernel_init"]),
        (nn.ConvTranspose, (4, 6, (3,)), {"groups": 3}, ["groups 3", "in_channels 4"]),
        (nn.ConvTranspose, (4, 6, (3,)), {"stride": (1, 2)}, ["stride (1, 2)", "2 entries"]),
        (nn.ConvTranspose, (4, 6, (3,)), {"output_padding": 1}, ["stride (1,)", "=(0,)"]),
        (nn.DepthwiseConv, (4, (3,)), {"activation": "step"}, ["activation", "step", "relu"]),
        (nn.LocalConv, ((7, 4), 6, (3, 3)), {}, ["(7, 4)", "(3, 3)", "(28, 28, 1)"]),
        (nn.LocalConv, ((7, 4), 6, (3,)), {"stride": 3}, ["length 7", "2.333..."]),
        (nn.CausalConv, (4, 6, (3,)), {}, ["kernel_size", "(3,)"]),
    ],
)
def test_the_error_of_an_impossible_option_says_what_to_type(layer, sizes, arguments, words):
    with pytest.raises((ValueError, TypeError)) as caught:
        layer(*sizes, **arguments, rngs=nnx.Rngs(0))
    message = str(caught.value)
    assert message.startswith(f"{layer.__name__}: ")
    for word in words:
        assert word in message


def test_the_error_of_an_impossible_option_names_the_subclass():
    class Stem(nn.Conv):
        pass

    with pytest.raises(InputError, match=r"^Stem: stride"):
        Stem(1, 6, (3, 3), stride=0, rngs=nnx.Rngs(0))


def _spellings(value):
    """Other spellings of a number, or of numbers for each axis."""
    if isinstance(value, tuple):
        entries = st.tuples(*map(_spellings, value))
        return st.just(np.array(value)) | st.just(jnp.array(value)) | entries | entries.map(list)
    return st.sampled_from([value, np.int8(value), np.array(value), jnp.asarray(value)])


@st.composite
def spelled(draw, name):
    """An option of the layer, its value in Python numbers, and another spelling of the value."""
    axes = 1 if name == "CausalConv" else 2
    cells = st.integers(0, 2)

    def each(numbers):
        return numbers | st.tuples(*[numbers] * axes)

    known = {
        "kernel_size": st.tuples(*[st.integers(1, 3)] * axes),
        "stride": each(st.integers(1, 3)),
        "dilation": each(st.integers(1, 2)),
        "padding": cells | st.tuples(*[st.tuples(cells, cells) | cells] * axes),
        "output_padding": each(st.just(0)),
        "groups": st.sampled_from([1, 2]),
        "depth_multiplier": st.sampled_from([1, 2]),
        "output_size": each(st.integers(1, 9)),
        "factor": each(st.just(1)),
        "scale_factor": each(st.integers(1, 3)),
        "rank": st.sampled_from([2, 3]),
    }
    if name == "CausalConv":
        known = {key: st.sampled_from([1, 2]) for key in ("stride", "dilation", "groups")}
    option = draw(st.sampled_from(sorted(known.keys() & set(_arguments(name)))))
    value = draw(known[option])
    if option == "padding" and isinstance(value, tuple) and len(set(map(type, value))) > 1:
        other = draw(st.tuples(*map(_spellings, value)))  # ragged: no array
    elif isinstance(value, int) and option in ("stride", "dilation"):
        whole = name != "CausalConv"
        other = draw(
            _spellings(value) | _spellings((value,) * axes) if whole else _spellings(value)
        )
    else:
        other = draw(_spellings(value))
    return option, value, other


def _outcome(call, layer, x):
    """The shape and dtype of the result, or the reason for an error."""
    graph, state = nnx.split(layer)
    try:
        return jax.eval_shape(lambda state: call(nnx.merge(graph, state), x), state)
    except InputError as error:
        return str(error)


@scaled(10)
@given(st.data(), st.sampled_from(sorted(set(LAYERS) - {"DeformConv", "MaxUnpool"})))
def test_layers_with_equal_options_in_other_spellings_are_one_program(data, name):
    option, value, other = data.draw(spelled(name))
    rounding = {"rounding": "floor"} if "rounding" in _arguments(name) else {}
    plain, again = (
        nnx.eval_shape(lambda v=v: _build(name, **{option: v}, **rounding)) for v in (value, other)
    )
    graphs = [nnx.graphdef(layer) for layer in (plain, again)]
    assert graphs[0] == graphs[1]
    assert hash(graphs[0]) == hash(graphs[1])
    x = jnp.ones((2, 9, 4) if name == "CausalConv" else (2, 9, 9, 4))
    assert _outcome(nnx.jit(lambda layer, x: layer(x)), again, x) == _outcome(
        lambda layer, x: layer(x), plain, x
    )


@pytest.mark.parametrize("name", [name for name in LAYERS if "stride" in _arguments(name)])
def test_options_of_a_layer_can_be_read_but_not_changed(name):
    layer = _build(name, stride=1)
    assert layer.stride in ((1,), (1, 1))
    assert layer.rounding == "exact"
    with pytest.raises(AttributeError):
        layer.stride = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        layer.options.stride = 0


@pytest.mark.parametrize("name", ["Conv", "ConvTranspose"])
def test_every_argument_of_a_flax_layer_is_ours_or_answered_with_ours(name):
    ours = inspect.signature(getattr(nn, name).__init__).parameters
    flax = inspect.signature(getattr(nnx, name).__init__).parameters
    assert len(flax) > 15
    for argument in flax:
        if argument in ours:
            continue
        with pytest.raises(TypeError, match=f"{name} has no argument {argument}; use ") as caught:
            getattr(nn, name)(**{argument: 1})
        assert re.search(r"; use (\w+)", str(caught.value))[1] in ours


def test_the_call_of_a_layer_has_the_arguments_of_flaxs():
    flax = set(inspect.signature(nnx.Conv.__call__).parameters) - {"inputs"}
    for name in LAYERS:
        ours = inspect.signature(getattr(nn, name).__call__).parameters
        assert not issubclass(getattr(nn, name), ConvBase) or flax <= set(ours)


@pytest.mark.parametrize("option", ["stride", "padding", "dilation"])
def test_an_option_of_a_pool_that_lists_nothing_is_named(option):
    with pytest.raises(InputError, match=rf"MaxPool: {option} \(\)"):
        nn.MaxPool(2, **{option: ()})


def test_a_layer_asks_for_what_its_parameters_are_drawn_from():
    with pytest.raises(TypeError, match=r"Conv needs rngs, as in rngs=nnx\.Rngs\(0\)"):
        nn.Conv(4, 6, (3,))
    with pytest.raises(InputError, match=r"Conv: rngs has no stream .*params=0"):
        nn.Conv(4, 6, (3,), rngs=nnx.Rngs(dropout=0))
