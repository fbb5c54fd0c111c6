"""Every function and layer answers other libraries' argument names with jaxcnn's."""

import inspect
import re

import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn import nn, ops, reference
from jaxcnn.keywords import ANSWERS
from tests.cases import many

PUBLIC = [getattr(room, name) for room in (ops, reference, nn) for name in room.__all__]


def _arguments(target):
    called = target.__init__ if isinstance(target, type) else target
    return [name for name in inspect.signature(called).parameters if name != "self"]


@many
@given(
    st.sampled_from(PUBLIC),
    st.sampled_from(sorted(ANSWERS)) | st.from_regex(r"[a-z_]{3,12}", fullmatch=True),
)
def test_an_unknown_keyword_is_answered_with_arguments_that_exist(target, word):
    arguments = _arguments(target)
    if word in arguments:
        return
    with pytest.raises(TypeError, match=rf"^{target.__name__} has no argument {word}; ") as caught:
        target(**{word: 2})
    message = str(caught.value)
    if used := re.search(r"; use (\w+)", message):
        assert used[1] in arguments
    else:
        assert message.endswith(f"there are {', '.join(arguments)}")


# The arguments of other libraries whose name differs from jaxcnn's, and jaxcnn's name.
FOREIGN = {
    "flax.nnx.Conv": (
        nn.Conv,
        "in_features=in_channels out_features=out_channels strides=stride kernel_dilation=dilation "
        "feature_group_count=groups input_dilation=stride conv_general_dilated=algorithm",
    ),
    "flax.nnx.ConvTranspose": (
        nn.ConvTranspose,
        "in_features=in_channels out_features=out_channels strides=stride kernel_dilation=dilation",
    ),
    "flax.nnx.max_pool": (ops.max_pool, "inputs=x window_shape=kernel_size strides=stride"),
    "torch.nn.Conv2d": (nn.Conv, "bias=use_bias"),
    "torch.nn.ConvTranspose2d": (nn.ConvTranspose, "bias=use_bias"),
    "torch.nn.BatchNorm2d": (nn.BatchNorm, "num_features=channels eps=epsilon"),
    "torch.nn.LayerNorm": (nn.LayerNorm, "normalized_shape=channels eps=epsilon"),
    "torch.nn.MaxPool2d": (nn.MaxPool, "ceil_mode=rounding"),
    "torch.nn.functional.conv2d": (ops.conv, "input=x weight=kernel"),
    "torch.nn.functional.max_pool2d": (
        ops.max_pool,
        "input=x ceil_mode=rounding return_indices=x",
    ),
    "torch.nn.functional.lp_pool2d": (ops.lp_pool, "input=x norm_type=p ceil_mode=rounding"),
    "torch.nn.functional.pixel_shuffle": (ops.pixel_shuffle, "input=x upscale_factor=factor"),
    "keras.layers.Conv2D": (
        nn.Conv,
        "filters=out_channels strides=stride dilation_rate=dilation "
        "kernel_initializer=kernel_init bias_initializer=bias_init",
    ),
    "keras.layers.DepthwiseConv2D": (
        nn.DepthwiseConv,
        "strides=stride dilation_rate=dilation",
    ),
    "keras.layers.MaxPooling2D": (nn.MaxPool, "pool_size=kernel_size strides=stride"),
    "equinox.nn.Conv": (nn.Conv, "num_spatial_dims=kernel_size key=rngs"),
    "haiku.Conv2D": (
        nn.Conv,
        "output_channels=out_channels kernel_shape=kernel_size rate=dilation with_bias=use_bias "
        "feature_group_count=groups",
    ),
    "haiku.DepthwiseConv2D": (nn.DepthwiseConv, "channel_multiplier=depth_multiplier"),
    "haiku.max_pool": (ops.max_pool, "value=x window_shape=kernel_size strides=stride"),
    "lax.conv_general_dilated": (
        ops.conv,
        "lhs=x rhs=kernel window_strides=stride lhs_dilation=stride rhs_dilation=dilation "
        "dimension_numbers=x feature_group_count=groups",
    ),
    "lax.conv_transpose": (
        ops.conv_transpose,
        "lhs=x rhs=kernel strides=stride rhs_dilation=dilation transpose_kernel=kernel",
    ),
    "lax.reduce_window": (
        ops.max_pool,
        "operand=x window_dimensions=kernel_size window_strides=stride window_dilation=dilation",
    ),
    "ONNX's Conv": (
        ops.conv,
        "X=x W=kernel B=bias auto_pad=padding dilations=dilation group=groups kernel_shape=kernel "
        "pads=padding strides=stride",
    ),
    "ONNX's ConvTranspose": (ops.conv_transpose, "output_shape=output_size"),
    "ONNX's MaxPool": (
        ops.max_pool,
        "X=x ceil_mode=rounding kernel_shape=kernel_size pads=padding",
    ),
    "torch.nn.Upsample": (
        nn.Upsample,
        "size=output_size mode=method align_corners=coordinates",
    ),
    "keras.layers.UpSampling2D": (nn.Upsample, "size=output_size interpolation=method"),
    "ONNX's Resize": (
        ops.upsample,
        "X=x scales=scale_factor sizes=output_size mode=method nearest_mode=method "
        "coordinate_transformation_mode=coordinates",
    ),
    "ONNX's DepthToSpace": (ops.pixel_shuffle, "input=x blocksize=factor mode=order"),
    "other words in layers": (
        nn.Conv,
        "filter=kernel_size window=kernel_size boundary=padding_mode channels=out_channels",
    ),
    "other words in functions": (
        ops.conv,
        "filter=kernel window=kernel kernel_size=kernel boundary=padding_mode features=kernel "
        "in_channels=kernel use_bias=bias",
    ),
    "other words in depthwise layers": (
        nn.DepthwiseConv,
        "multiplier=depth_multiplier in_features=in_channels",
    ),
}
PAIRS = [
    pytest.param(target, *pair.split("="), id=f"{library}: {pair}")
    for library, (target, pairs) in FOREIGN.items()
    for pair in pairs.split()
]


@pytest.mark.parametrize(("target", "word", "ours"), PAIRS)
def test_another_librarys_argument_is_answered_with_its_name_here(target, word, ours):
    with pytest.raises(TypeError, match=rf"has no argument {word}; use {ours}\b"):
        target(**{word: 2})


@pytest.mark.parametrize(
    ("target", "library"),
    [(nn.Conv, nnx.Conv), (nn.ConvTranspose, nnx.ConvTranspose), (ops.max_pool, nnx.max_pool)],
)
def test_every_argument_of_flax_is_known_or_answered_without_guessing(target, library):
    names = _arguments(library)
    assert {"strides", "padding"} <= set(names)
    assert set(names) <= {*_arguments(target), *ANSWERS}


def test_an_argument_without_a_counterpart_is_not_answered_with_a_similar_name():
    with pytest.raises(TypeError, match="no argument kernel_constraint; there are in_channels, "):
        nn.Conv(kernel_constraint=None)


def test_all_unknown_keywords_are_answered_at_once():
    with pytest.raises(TypeError, match=r"strides; use stride; and none rhs_dilation; use dil"):
        ops.conv(strides=2, rhs_dilation=2)


@pytest.mark.parametrize("target", PUBLIC)
def test_a_decorated_target_keeps_its_signature_and_name(target):
    assert "args" not in _arguments(target)
    assert getattr(inspect.getmodule(target), target.__name__) is target


@pytest.mark.parametrize("function", [ops.conv, ops.depthwise_conv, ops.max_pool])
def test_an_activation_of_a_function_is_answered_with_a_function_of_its_result(function):
    with pytest.raises(TypeError, match=r"no argument activation; use x, and a function of the"):
        function(None, None, activation="relu")


def test_too_many_arguments_by_position_are_answered_with_those_that_are_taken():
    words = "takes in_channels, out_channels, kernel_size by position; use keywords for the others"
    with pytest.raises(TypeError, match=f"Conv {words}, as in stride="):
        nn.Conv(4, 6, (3,), 2, rngs=None)
    with pytest.raises(TypeError, match=r"kernel_from_torch takes weight by position$"):
        ops.kernel_from_torch(None, None)
