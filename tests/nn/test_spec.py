"""The text form of layers: what is written is read back, and nothing else is."""

import pytest
from hypothesis import given

from jaxcnn.errors import InputError
from jaxcnn.nn import ConvSpec, PoolSpec, parse
from tests.cases import many
from tests.nn.drawn import conv_specs, pool_specs


@many
@given(conv_specs | pool_specs)
def test_a_description_is_read_back_from_how_it_is_written(spec):
    assert parse(str(spec)) == spec


@pytest.mark.parametrize(
    ("word", "spec"),
    [
        ("conv:32:k4:s2:p1:relu", ConvSpec(32, 4, stride=2, padding=1, activation="relu")),
        ("conv:8:relu:k3x5", ConvSpec(8, (3, 5), activation="relu")),
        ("conv:8:k3:p1-2", ConvSpec(8, 3, padding=((1, 2),))),
        ("conv:8:k3:p1x2-0", ConvSpec(8, 3, padding=((1, 1), (2, 0)))),
        ("conv:8:k3:same:g2:nobias", ConvSpec(8, 3, padding="SAME", groups=2, use_bias=False)),
        ("conv:8:k3:s2:floor", ConvSpec(8, 3, stride=2, rounding="floor")),
        ("max:k2", PoolSpec("max", 2)),
        ("avg:k3:s2x1:d2", PoolSpec("avg", 3, stride=(2, 1), dilation=2)),
    ],
)
def test_words_mean_what_the_guide_says(word, spec):
    assert parse(word) == spec


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("", "'' is no kind of layer"),
        ("dense:10", "'dense' is no kind of layer"),
        ("conv", "does not say the channels"),
        ("conv:k3", "does not say the channels"),
        ("conv:32", "does not say the kernel_size"),
        ("max", "does not say the window"),
        ("conv:32:k3:k5", "'f5' sets kernel_size a second time"),
        ("conv:32:k3:same:p1", "'p1' sets padding a second time"),
        ("conv:32:k3:relu:tanh", "'tanh' sets activation a second time"),
        ("conv:32:k3:rleu", "'rleu' is not understood"),
        ("conv:32:k3:s-1", "'s-1' is not understood"),
        ("conv:32:k3.5", "'f3.5' is not understood"),
        ("conv:32:k3:", "'' is not understood"),
        ("max:k2:relu", "'relu' is not understood"),
        ("max:k2:g2", "'g2' is not understood"),
        ("max:8:k2", "'8' is not understood"),
        ("conv:k3:32", "'32' is not understood"),
    ],
)
def test_a_bad_word_is_refused_with_the_reason_and_the_form(word, why):
    with pytest.raises(InputError) as caught:
        parse(word)
    message = str(caught.value)
    assert message.startswith(f"layer {word!r}: ")
    assert why in message
    assert "write it as conv:32:k3:s1:p1:relu" in message
