"""Networks of the package for tests: as shapes, with zeros, and with weights from a formula.

The formula gives a weight from its name in the other library and its place, so that two libraries,
or a library and a record of another, have the same weights without a file of them.
"""

from __future__ import annotations

import math
import zlib
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxcnn.models.registry import NETWORKS
from jaxcnn.models.weights.names import from_torch, to_torch, torch_name, variables

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxcnn.models.published import Rules

CLASSES = 10

HIDDEN = 64
"""The outputs of VGG's dense layers. With 4096, its 0.1e9 weights take most of the time and memory;
that number is in the published number of parameters."""

UNET, UNET_3D, DCGAN = (4, 8, 16, 32, 64), (8, 16, 32, 64), (64, 32, 16, 8)
"""A sixteenth or an eighth of the channels of these networks, which are slow in float64."""

NARROW = (
    ("vgg", "HIDDEN", HIDDEN),
    ("unet", "WIDTHS", UNET),
    ("unet", "WIDTHS_3D", UNET_3D),
    ("dcgan", "WIDTHS", DCGAN),
)


def narrow(replace: Callable[[Any, str, Any], None]) -> None:
    """Gives wide networks fewer channels, by ``setattr`` or that of a monkeypatch."""
    for module, name, value in NARROW:
        # A function has the module's name in the package.
        replace(import_module(f"jaxcnn.models.{module}"), name, value)


@lru_cache(maxsize=2)
def published_model(name: str) -> nnx.Module:
    """The network for its published input and classes, as shapes; nothing is computed."""
    network = NETWORKS[name]
    return nnx.eval_shape(
        lambda: network.build(network.input_shape, network.classes, rngs=nnx.Rngs(0))
    )


def empty(build: Callable[[], nnx.Module]) -> nnx.Module:
    """The model with zeros for weights and statistics, which takes no time to draw."""
    kinds = (nnx.Param, nnx.BatchStat)
    graph, weights, _ = nnx.split(nnx.eval_shape(build), kinds, ...)
    rest = jax.jit(lambda: nnx.split(build(), kinds, ...)[2])()
    weights = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), weights)
    return nnx.merge(graph, weights, rest)


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of mean zero and variance one in [-1.74, 1.74], the same everywhere.

    The place of a number, and a checksum of the name, go through the mixing steps of MurmurHash3.
    """
    bits = np.arange(math.prod(shape), dtype=np.uint32) + np.uint32(zlib.crc32(name.encode()))
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        bits = (bits ^ (bits >> np.uint32(shift))) * np.uint32(factor)
    return (bits.reshape(shape) / 2.0**31 - 1) * 3**0.5


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A weight or statistic of PyTorch, so large that no layer's values explode or vanish."""
    vector = max(shape[1:], default=1) == 1
    if vector and name.endswith(("weight", "running_var")):
        return 0.75 + 0.14 * drawn(name, shape)
    return drawn(name, shape) * (0.1 if vector else (2 / math.prod(shape[1:])) ** 0.5)


def fill(model: nnx.Module, rules: Rules) -> None:
    """Gives all weights and statistics of the model the values of :func:`weight`, in float64."""
    for path, variable in variables(model).items():
        shape = to_torch(np.broadcast_to(0.0, variable.shape), path).shape
        value = weight(torch_name(path, rules), shape)
        variable.set_value(jnp.asarray(from_torch(value, path, variable.shape)))
