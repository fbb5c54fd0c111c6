"""Why two layers differ: their options in the same words, and their weights."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcnn.geometry import effective_kernel_size, resolve_padding
from jaxcnn.geometry.check import is_sequence, per_axis
from jaxcnn.geometry.conventions import pytorch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "kernel_size": ("kernel_size",),
    "stride": ("stride", "strides"),
    "padding": ("padding",),
    "dilation": ("dilation", "kernel_dilation"),
    "groups": ("groups", "feature_group_count"),
    "rounding": ("rounding",),
    "padding_mode": ("padding_mode",),
    "count_include_pad": ("count_include_pad",),
    "epsilon": ("epsilon", "eps"),
    "method": ("method",),
    "coordinates": ("coordinates",),
}
"""The attributes of layers with each option, in jaxcnn.nn, flax.nnx and torch.nn."""

CONVERSIONS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "ConvTranspose": pytorch.conv_transpose,
    "Conv": pytorch.conv,
    "MaxPool": pytorch.max_pool,
    "AvgPool": pytorch.avg_pool,
    "Upsample": pytorch.upsample,
}
"""For a part of the name of a PyTorch layer, its arguments in the words of this package."""


def option_reasons(ours: Any, theirs: Any, sizes: tuple[int, ...]) -> list[str]:
    """The options in which two layers differ, for an input of these spatial sizes.

    Padding that no window reads is left out on both sides.

    Args:
      ours: a layer of jaxcnn.nn or flax.nnx.
      theirs: a layer of torch.nn, or of timm.
      sizes: the input's.

    >>> import jaxcnn.nn
    >>> from flax import nnx
    >>> class Conv2d:
    ...     kernel_size, stride, dilation, groups = (3, 3), (2, 2), (1, 1), 1
    ...     padding, padding_mode = (0, 0), "zeros"
    >>> ours = jaxcnn.nn.Conv(3, 8, (3, 3), stride=2, padding=1, rngs=nnx.Rngs(0))
    >>> option_reasons(ours, Conv2d(), (7, 7))
    ['padding (1, 1) here, (0, 0) there']
    """
    attributes = {
        word: value
        for word, names in OPTIONS.items()
        for value in [next((getattr(ours, n) for n in names if hasattr(ours, n)), None)]
        if value is not None
    }
    transposed = "Transpose" in type(theirs).__name__
    here = _in_numbers(attributes, sizes)
    there = _in_numbers(_of_torch(theirs, len(sizes)), sizes)
    words = [word for word in OPTIONS if word in here and word in there]
    if not transposed and "kernel_size" in words and _read(here, sizes) == _read(there, sizes):
        words.remove("padding")
    return [
        f"{word} {_text(here[word])} here, {_text(there[word])} there"
        for word in words
        if here[word] != there[word]
    ]


def _of_torch(layer: Any, axes: int) -> dict[str, Any]:
    """The options of a PyTorch layer in the words of this package."""
    kind = type(layer).__name__
    found = {
        word: getattr(layer, name)
        for word, name in (("epsilon", "eps"), ("padding_mode", "padding_mode"))
        if hasattr(layer, name)
    }
    convert = next((function for part, function in CONVERSIONS.items() if part in kind), None)
    if convert is None or kind.startswith("Adaptive"):
        return found
    names = inspect.signature(convert).parameters
    given = {name: getattr(layer, name) for name in names if hasattr(layer, name)}
    if "kernel_size" in given:
        given["kernel_size"] = found["kernel_size"] = per_axis(
            "kernel_size", given["kernel_size"], axes, least=1
        )
    found |= convert(**given)
    # Layers of timm that pad as TensorFlow does have the padding 0.
    return found | ({"padding": "SAME"} if "Same" in kind else {})


def _in_numbers(found: dict[str, Any], sizes: tuple[int, ...]) -> dict[str, Any]:
    """The options with a number for each axis."""
    if "kernel_size" not in found:
        return found
    axes = len(sizes)
    each = {
        word: per_axis(word, found.get(word) or 1, axes, least=1)
        for word in ("kernel_size", "stride", "dilation")
    }
    rounding = "ceil" if found.get("rounding") == "ceil" else "floor"
    found = found | each | {"rounding": rounding}
    kernel_size, stride, dilation = each.values()
    padding = resolve_padding(
        found["padding"], sizes, kernel_size, stride=stride, dilation=dilation, least=None
    )
    return found | {"padding": padding}


def _read(options: Mapping[str, Any], sizes: tuple[int, ...]) -> list[tuple[int, int]]:
    """The padding without the cells at the end that no window reads."""
    words = ("padding", "kernel_size", "stride", "dilation")
    found = []
    for size, (low, high), kernel_size, stride, dilation in zip(
        sizes, *(options[word] for word in words), strict=True
    ):
        rest = (size + low + high - effective_kernel_size(kernel_size, dilation)) % stride
        found.append((low, high - min(rest, max(high, 0))))
    return found


def _text(value: Any) -> str:
    """One number or pair for all axes, if they have the same."""
    same = is_sequence(value) and len(set(value)) == 1
    return str(value[0] if same else value)


def weight_reasons(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> list[str]:
    """The weights in which two layers differ, by the names of theirs.

    >>> weight_reasons({"bias": np.ones(4)}, {"weight": np.ones(4), "bias": np.array([1, 1, 1, 2])})
    ['no weight here', 'other values of bias: they differ by 0.38 of its norm']
    """
    reasons = [f"no {name} here" for name in theirs if name not in ours]
    reasons += [f"no {name} there" for name in ours if name not in theirs]
    for name in (each for each in ours if each in theirs):
        here, there = ours[name], theirs[name]
        if here.shape != there.shape:
            reasons.append(f"{name} has the shape {here.shape} here, {there.shape} there")
        elif (share := distance(here, there)) > 0:
            reasons.append(f"other values of {name}: they differ by {share:.2g} of its norm")
    return reasons


def distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The norm of the difference, relative to the norm of theirs; infinite for other shapes.

    >>> distance(np.array([3.0, 4.0]), np.array([3.0, 3.0])).__round__(3)
    0.236
    """
    if ours.shape != theirs.shape:
        return float("inf")
    if np.array_equal(ours, theirs, equal_nan=True):
        return 0.0
    size = float(np.linalg.norm(theirs.astype(np.float64)))
    gap = float(np.linalg.norm(ours.astype(np.float64) - theirs))
    return gap / size if size and np.isfinite(gap) else float("inf")
