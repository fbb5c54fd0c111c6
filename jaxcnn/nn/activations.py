"""Activations by name, each with the variance that weights before it start with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
from jax import nn

from jaxcnn.geometry.check import choice

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Activation:
    """A function of an array, and the variance that weights before it should start with.

    Attributes:
      function: applied to every entry.
      gain: the factor on 1/fan_in that keeps the size of activations from layer to layer.
    """

    function: Callable[[jax.Array], jax.Array]
    gain: float


# 2 for rectifiers: He et al., arXiv:1502.01852, eq. 10; 1 where the function is about the identity
# at zero or normalises itself: LeCun et al., "Efficient BackProp", 1998, and Klambauer et al.,
# arXiv:1706.02515. The smooth rectifiers gelu and silu take the rectifier's.
ACTIVATIONS = {
    "linear": Activation(lambda x: x, 1.0),
    "relu": Activation(nn.relu, 2.0),
    "leaky_relu": Activation(nn.leaky_relu, 2.0 / (1 + 0.01**2)),
    "gelu": Activation(nn.gelu, 2.0),
    "silu": Activation(nn.silu, 2.0),
    "elu": Activation(nn.elu, 1.0),
    "selu": Activation(nn.selu, 1.0),
    "sigmoid": Activation(nn.sigmoid, 1.0),
    "tanh": Activation(nn.tanh, 1.0),
}


def find_activation(activation: str | Callable[[Any], Any]) -> Activation:
    """The activation of that name; for a function, that function with its gain, 1 if not known.

    Raises:
      InputError: for another name; TypeError for what is neither a name nor a function.

    >>> find_activation("relu").gain, find_activation(jax.nn.relu).gain
    (2.0, 2.0)
    >>> find_activation(jax.nn.hard_tanh).gain
    1.0
    """
    if isinstance(activation, str):
        return ACTIVATIONS[choice("activation", activation, tuple(ACTIVATIONS))]
    if not callable(activation):
        raise TypeError(
            f"activation must be a name ({', '.join(ACTIVATIONS)}) or a function of an array, such "
            f"as jax.nn.relu, got {activation!r}"
        )
    for known in ACTIVATIONS.values():
        if known.function is activation:
            return known
    return Activation(activation, 1.0)
