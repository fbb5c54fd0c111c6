"""Answers other libraries' argument names with a TypeError that names jaxcnn's argument."""

from __future__ import annotations

import functools
import inspect
import math
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Target = TypeVar("Target", bound="Callable[..., Any]")

_CHANNELS_LAST = "x, with channels last"

# Each row has the answers, best first, and the words that they answer. An answer begins with the
# name of an argument.
_TABLE: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("kernel_size", "kernel, whose shape gives the kernel's size"),
        "kernel_size kernel_shape filter filter_shape filter_size ksize pool_size window "
        "window_dimensions window_shape window_size",
    ),
    (
        ("kernel_size, with one entry for each spatial axis", "rank"),
        "num_spatial_dims spatial_dims ndim",
    ),
    (("stride",), "strides subsample window_strides"),
    (
        ("stride, in jaxcnn.conv_transpose or jaxcnn.nn.ConvTranspose",),
        "lhs_dilation input_dilation base_dilation",
    ),
    (("x, and a function of the result, as in jax.nn.relu(...)",), "activation act"),
    (("padding",), "auto_pad pad pads"),
    (
        ("dilation",),
        "atrous_rate dilation_rate dilations kernel_dilation rate rhs_dilation window_dilation",
    ),
    (("groups",), "feature_group_count group num_groups"),
    (("padding_mode", "order", "method"), "boundary boundary_mode mode pad_mode"),
    (("method",), "interpolation nearest_mode"),
    (('coordinates="align_corners"',), "align_corners"),
    (('coordinates="half_pixel"',), "half_pixel_centers"),
    (("coordinates",), "coordinate_transformation_mode"),
    (("scale_factor",), "scale scales"),
    (('rounding="ceil"',), "ceil_mode"),
    (
        ("in_channels", "input_shape", "kernel, whose shape gives C_in"),
        "in_channels in_features input_channels",
    ),
    (
        ("out_channels", "in_channels", "kernel, whose shape gives C_out"),
        "channels features filters num_filters out_channels out_features output_channels",
    ),
    (
        ("depth_multiplier", "kernel, of shape (*F, C, depth_multiplier)"),
        "channel_multiplier depth_multiplier multiplier",
    ),
    (("use_bias", "bias, an array or None"), "add_bias use_bias with_bias"),
    (("bias", "use_bias"), "b B bias bias_term"),
    (
        ("x", "values", "patches", "input_shape"),
        "X data image images input inputs lhs operand tensor value xs",
    ),
    (("kernel",), "W rhs w weight weights"),
    (("depthwise_kernel",), "depthwise_filter depthwise_weight"),
    (("pointwise_kernel",), "pointwise_filter pointwise_weight"),
    ((_CHANNELS_LAST,), "channel_axis channels_last data_format dimension_numbers"),
    (("x, in jaxcnn.max_pool_with_indices",), "return_indices"),
    (
        (
            "kernel.swapaxes(-2, -1)",
            "in_channels, which is the last axis of a transposed convolution's kernel",
        ),
        "transpose_kernel",
    ),
    (("kernel_init",), "kernel_init kernel_initializer w_init weight_init"),
    (("bias_init",), "b_init bias_init bias_initializer"),
    (("algorithm",), "conv_general_dilated"),
    (("p",), "norm_type"),
    (("output_size",), "output_shape size sizes target_shape"),
    (("index_order",), "storage_order"),
    (("input_shape",), "image_shape in_shape"),
    (("epsilon",), "eps"),
    (("channels", "in_channels", "in_features"), "normalized_shape num_features"),
    (("classes",), "n_classes nclass num_classes num_labels"),
    (("epochs",), "epoch max_epochs n_epochs nb_epoch num_epochs num_train_epochs"),
    (("batch_size",), "batch bs"),
    (("learning_rate",), "lr max_lr peak_lr"),
    (("weight_decay",), "l2 wd"),
    (("accumulate",), "accumulate_grad_batches gradient_accumulation_steps"),
    (("clip",), "clip_grad clip_norm clipnorm gradient_clip_val max_grad_norm"),
    (("image_size",), "img_size resolution"),
    (("workers",), "num_workers"),
    (
        ("factor", "output_size"),
        "block_size blocksize downscale_factor scale_factor upscale_factor",
    ),
    (("keepdims",), "keep_dims keepdim"),
    (("rngs=nnx.Rngs(0)",), "key rng seed"),
    # Words without a counterpart: the answer lists all arguments instead of a similar name.
    (
        (),
        "batch_group_count bias_constraint bias_metadata bias_regularizer divisor_override "
        "kernel_constraint kernel_metadata kernel_regularizer preferred_element_type",
    ),
)

ANSWERS = {word: answers for answers, words in _TABLE for word in words.split()}
"""The answers to each word of another library, best first."""


def suggest_keywords(target: Target) -> Target:
    """Decorates a function or a class to answer an unknown keyword with the right one.

    >>> @suggest_keywords
    ... def slide(x, *, stride=1):
    ...     return x
    >>> slide(3, strides=2)
    Traceback (most recent call last):
    TypeError: slide has no argument strides; use stride
    """
    return _checked_class(target) if isinstance(target, type) else _checked(target, target.__name__)


def _checked_class(kind: Any) -> Any:
    kind.__init__ = _checked(kind.__init__, kind.__name__)
    return kind


def _checked(function: Any, name: str) -> Any:
    parameters = inspect.signature(function).parameters
    arguments = tuple(p for p in parameters if p != "self")
    names = frozenset(arguments)
    kinds = {argument: parameters[argument].kind for argument in arguments}
    by_position = [p for p in arguments if kinds[p] is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    by_keyword = [p for p in arguments if kinds[p] is inspect.Parameter.KEYWORD_ONLY]
    required = [p for p in by_keyword if parameters[p].default is inspect.Parameter.empty]
    any_number = inspect.Parameter.VAR_POSITIONAL in kinds.values()
    most = math.inf if any_number else len(by_position) + ("self" in parameters)

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if not names.issuperset(kwargs):
            answers = (answer(word, arguments) for word in kwargs if word not in names)
            raise TypeError(f"{name} has no argument {'; and none '.join(answers)}")
        if len(args) > most:
            others = (
                f"; use keywords for the others, as in {by_keyword[0]}=..." if by_keyword else ""
            )
            raise TypeError(f"{name} takes {', '.join(by_position)} by position{others}")
        for needed in required:
            if needed not in kwargs:
                example = "rngs=nnx.Rngs(0)" if needed == "rngs" else f"{needed}=..."
                raise TypeError(f"{name} needs {needed}, as in {example}")
        return function(*args, **kwargs)

    return checked


def answer(word: str, arguments: tuple[str, ...]) -> str:
    """``word`` and what to use instead, given the arguments that a function has.

    >>> answer("pool_size", ("x", "kernel_size")), answer("strid", ("x", "stride"))
    ('pool_size; use kernel_size', 'strid; use stride')
    """
    for use in ANSWERS.get(word, ()):
        if re.split(r"\W", use, maxsplit=1)[0] in arguments:
            return f"{word}; use {use}"
    near = [] if word in ANSWERS else get_close_matches(word, arguments, n=1, cutoff=0.75)
    return f"{word}; use {near[0]}" if near else f"{word}; there are {', '.join(arguments)}"
