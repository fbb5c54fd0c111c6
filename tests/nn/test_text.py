"""The text form of layers: a word means what its guide says, and other words are refused."""

import pytest
from flax import nnx
from hypothesis import given

from jaxcnn.errors import InputError
from jaxcnn.nn import AvgPool, Conv, MaxPool
from jaxcnn.nn.text import parse
from tests.cases import many
from tests.nn.drawn import words


@many
@given(words())
def test_the_parts_of_a_word_are_read_in_any_order(drawn):
    word, kind, options = drawn
    found = parse(word)
    assert (found.kind, found.options) == (kind, options)


RNGS = nnx.Rngs(0)


@pytest.mark.parametrize(
    ("word", "layer"),
    [
        (
            "conv:32:k4:s2:p1:relu",
            Conv(6, 32, (4, 4), stride=2, padding=1, activation="relu", rngs=RNGS),
        ),
        ("conv:8:relu:k3x5", Conv(6, 8, (3, 5), activation="relu", rngs=RNGS)),
        ("conv:8:k3:p1-2", Conv(6, 8, (3, 3), padding=((1, 2), (1, 2)), rngs=RNGS)),
        ("conv:8:k3:p1x2-0", Conv(6, 8, (3, 3), padding=((1, 1), (2, 0)), rngs=RNGS)),
        (
            "conv:8:k3:same:g2:nobias",
            Conv(6, 8, (3, 3), padding="SAME", groups=2, use_bias=False, rngs=RNGS),
        ),
        ("conv:8:k3:s2:floor", Conv(6, 8, (3, 3), stride=2, rounding="floor", rngs=RNGS)),
        ("max:k2", MaxPool((2, 2))),
        ("max:k2:ceil", MaxPool((2, 2), rounding="ceil")),
        ("avg:k3:s2x1:d2", AvgPool((3, 3), stride=(2, 1), dilation=2)),
    ],
)
def test_a_word_builds_the_layer_that_the_guide_says(word, layer):
    settings = {"rngs": nnx.Rngs(0)}
    assert nnx.graphdef(parse(word).build((28, 28, 6), **settings)) == nnx.graphdef(layer)


def test_the_layer_of_a_word_has_the_channels_and_axes_of_the_input():
    layer = parse("conv:8:k3").build((7, 7, 7, 5), rngs=nnx.Rngs(0), dtype="bfloat16")
    assert layer.kernel.shape == (3, 3, 3, 5, 8)
    assert layer.dtype == "bfloat16"
    with pytest.raises(InputError, match=r"\(\*spatial, channels\).* got \(7,\)"):
        parse("max:k2").build((7,))
    with pytest.raises(InputError, match=r"kernel_size .* has 2 entries for 1 spatial axis"):
        parse("max:k2x2").build((7, 1))


@pytest.mark.parametrize(
    ("word", "options"),
    [
        ("dense:128", {"out_features": 128}),
        ("dense:8:relu:nobias", {"out_features": 8, "activation": "relu", "use_bias": False}),
        ("dropout:0.5", {"rate": 0.5}),
        ("dropout:0", {"rate": 0.0}),
        *((word, {}) for word in ("batchnorm", "flatten", "global_avg", "global_max", "silu")),
    ],
)
def test_a_word_of_another_kind_has_its_options(word, options):
    found = parse(word)
    assert (found.kind, found.options) == (word.partition(":")[0], options)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("dense", "out_features is missing; write it as dense:128:relu"),
        ("dense:relu", "out_features is missing; write it as dense:128:relu"),
        ("dense:8:k3", "'k3' is not understood; write it as dense:128:relu"),
        ("dense:8:relu:tanh", "'tanh' sets activation a second time; write it as dense:128"),
        ("dropout", "its rate is missing; write it as dropout:0.5"),
        ("dropout:1", "rate 1 must be below 1, the share set to zero; write it as dropout:0.5"),
        ("dropout:-1", "its rate is -1; write it as dropout:0.5"),
        ("dropout:0.5:0.5", "its rate is 0.5:0.5; write it as dropout:0.5"),
        ("batchnorm:8", "'8' is not understood; write it as batchnorm alone"),
        ("relu:6", "'6' is not understood; write it as relu alone"),
        ("linear", "'linear' is not a kind of layer; the kinds are conv, max, avg, dense"),
    ],
)
def test_a_wrong_word_of_another_kind_is_refused_with_its_form(word, message):
    with pytest.raises(InputError) as caught:
        parse(word)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("", "'' is not a kind of layer"),
        ("linear:10", "'linear' is not a kind of layer"),
        ("conv", "out_channels is missing"),
        ("conv:k3", "out_channels is missing"),
        ("conv:32", "kernel_size is missing"),
        ("max", "kernel_size is missing"),
        ("conv:32:k3:k5", "'k5' sets kernel_size a second time"),
        ("conv:32:k3:same:p1", "'p1' sets padding a second time"),
        ("conv:32:k3:relu:tanh", "'tanh' sets activation a second time"),
        ("conv:32:k3:rleu", "'rleu' is not understood"),
        ("conv:32:k3:s-1", "'s-1' is not understood"),
        ("conv:32:k3.5", "'k3.5' is not understood"),
        ("conv:32:k3:", "'' is not understood"),
        ("max:k2:relu", "'relu' is not understood"),
        ("max:k2:g2", "'g2' is not understood"),
        ("max:8:k2", "'8' is not understood"),
        ("conv:k3:32", "'32' is not understood"),
        ("conv:8:k3:ceil", "'ceil' is not understood"),
        ("conv:8:k3:p1-2-3", "'1-2-3' is not understood"),
    ],
)
def test_an_unreadable_word_is_refused_with_the_reason_and_the_form(word, why):
    with pytest.raises(InputError) as caught:
        parse(word)
    message = str(caught.value)
    assert why in message
    assert "write it as conv:32:k3:s1:p1:relu" in message or "write 1 for every side" in message
