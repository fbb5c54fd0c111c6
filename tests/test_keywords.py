"""A word of another library is answered with ours, in every function and every layer."""

import inspect
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn import nn, ops, reference
from jaxcnn.keywords import OURS
from tests.cases import many

PUBLIC = [
    getattr(room, name)
    for room in (ops, reference, nn)
    for name in room.__all__
    if name not in ("parse", "plan")
]


def _arguments(target):
    called = target.__init__ if isinstance(target, type) else target
    return [name for name in inspect.signature(called).parameters if name != "self"]


@many
@given(
    st.sampled_from(PUBLIC),
    st.sampled_from(sorted(OURS)) | st.from_regex(r"[a-z_]{3,12}", fullmatch=True),
)
def test_a_foreign_keyword_is_answered_with_one_that_there_is(target, word):
    arguments = _arguments(target)
    if word in arguments:
        return
    with pytest.raises(TypeError, match=rf"^{target.__name__} has no argument {word}; ") as caught:
        target(**{word: 2})
    told = str(caught.value)
    if used := re.search(r"; use (\w+)", told):
        assert used[1] in arguments
    else:
        assert told.endswith(f"there are {', '.join(arguments)}")


# What people who come from elsewhere type, and what they mean.
MEANT = [
    (nn.Conv, "kernel_size", "kernel_size"),
    (nn.Conv, "strides", "stride"),
    (nn.Conv, "features", "channels"),
    (nn.Conv, "in_features", "in_channels"),
    (nn.Conv, "feature_group_count", "groups"),
    (nn.Conv, "kernel_dilation", "dilation"),
    (nn.Conv, "padding_mode", "padding_mode"),
    (nn.Conv, "bias", "use_bias"),
    (nn.DepthwiseConv, "in_channels", "channels"),
    (nn.MaxPool, "window_shape", "window"),
    (nn.MaxPool, "ceil_mode", "rounding"),
    (nn.PoolSpec, "kernel_size", "window"),
    (ops.conv, "kernel_size", "kernel"),
    (ops.conv, "rhs_dilation", "dilation"),
    (ops.conv, "use_bias", "bias"),
    (ops.conv, "weight", "kernel"),
    (ops.conv, "dimension_numbers", "x"),
    (ops.max_pool, "kernel_size", "window"),
    (ops.max_pool, "strides", "stride"),
    (ops.pixel_shuffle, "upscale_factor", "factor"),
    (ops.lp_pool, "norm_type", "p"),
]


@pytest.mark.parametrize(("target", "word", "ours"), MEANT)
def test_the_word_that_is_meant_is_named(target, word, ours):
    with pytest.raises(TypeError, match=rf"has no argument {word}; use {ours}\b"):
        target(**{word: 2})


def test_several_are_answered_at_once():
    with pytest.raises(TypeError, match=r"strides; use stride; and none rhs_dilation; use dil"):
        ops.conv(strides=2, rhs_dilation=2)


@pytest.mark.parametrize("target", PUBLIC)
def test_signature_and_name_stay(target):
    assert "args" not in _arguments(target)
    assert getattr(inspect.getmodule(target), target.__name__) is target
