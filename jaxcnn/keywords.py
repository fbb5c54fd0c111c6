"""What other libraries call our arguments, so that their words are answered with ours."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, TypeVar

Target = TypeVar("Target", bound=Callable[..., Any])

_SIZE = ("kernel_size", "kernel, whose shape says the filter's size")
_CHANNELS = ("out_channels", "channels", "kernel, whose last axis says how many filters there are")
_DILATION = ("dilation",)
_FACTOR = ("factor", "output_size")
OURS = {
    "kernel_size": _SIZE,
    "filter": _SIZE,
    "window": _SIZE,
    "filter_size": _SIZE,
    "pool_size": _SIZE,
    "window_shape": _SIZE,
    "window_dimensions": _SIZE,
    "filter_shape": _SIZE,
    "strides": ("stride",),
    "window_strides": ("stride",),
    "subsample": ("stride",),
    "pads": ("padding",),
    "pad": ("padding",),
    "features": _CHANNELS,
    "filters": _CHANNELS,
    "out_features": _CHANNELS,
    "out_channels": _CHANNELS,
    "output_channels": _CHANNELS,
    "in_features": ("in_channels", "channels"),
    "in_channels": ("channels",),
    "feature_group_count": ("groups",),
    "num_groups": ("groups",),
    "group": ("groups",),
    "rhs_dilation": _DILATION,
    "kernel_dilation": _DILATION,
    "window_dilation": _DILATION,
    "dilations": _DILATION,
    "dilation_rate": _DILATION,
    "rate": _DILATION,
    "use_bias": ("bias, an array or None",),
    "with_bias": ("use_bias", "bias, an array or None"),
    "bias": ("use_bias",),
    "boundary": ("padding_mode",),
    "mode": ("padding_mode",),
    "ceil_mode": ('rounding="ceil"',),
    "lhs": ("x",),
    "input": ("x",),
    "inputs": ("x",),
    "image": ("x",),
    "operand": ("x",),
    "rhs": ("kernel",),
    "weight": ("kernel",),
    "weights": ("kernel",),
    "depthwise_filter": ("depthwise_kernel",),
    "pointwise_filter": ("pointwise_kernel",),
    "dimension_numbers": ("x, with channels last",),
    "data_format": ("x, with channels last",),
    "depth_multiplier": ("multiplier", "kernel, of shape (*F, C, multiplier)"),
    "channel_multiplier": ("multiplier", "kernel, of shape (*F, C, multiplier)"),
    "norm_type": ("p",),
    "output_shape": ("output_size",),
    "target_shape": ("output_size",),
    "scale_factor": _FACTOR,
    "upscale_factor": _FACTOR,
    "downscale_factor": _FACTOR,
    "block_size": _FACTOR,
    "keep_dims": ("keepdims",),
    "key": ("rngs=nnx.Rngs(0)",),
    "rng": ("rngs=nnx.Rngs(0)",),
}
"""For each foreign word what to use, best first; each begins with the name of an argument."""


def suggest_keywords(target: Target) -> Target:
    """``target``, a function or a class, which answers keywords it does not know with ours.

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
    known = tuple(p for p in inspect.signature(function).parameters if p != "self")
    names = frozenset(known)

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if not names.issuperset(kwargs):
            answers = (answer(word, known) for word in kwargs if word not in names)
            raise TypeError(f"{name} has no argument {'; and none '.join(answers)}")
        return function(*args, **kwargs)

    return checked


def answer(word: str, known: tuple[str, ...]) -> str:
    """What to use for ``word`` among the arguments that are known.

    >>> answer("pool_size", ("x", "kernel_size")), answer("strid", ("x", "stride"))
    ('pool_size; use kernel_size', 'strid; use stride')
    """
    for ours in OURS.get(word, ()):
        if re.split(r"\W", ours, maxsplit=1)[0] in known:
            return f"{word}; use {ours}"
    near = get_close_matches(word, known, n=1)
    return f"{word}; use {near[0]}" if near else f"{word}; there are {', '.join(known)}"
