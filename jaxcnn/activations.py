"""Activations by name, each with the initialisation that suits it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
from jax import nn

from jaxcnn.geometry.check import choice


@dataclass(frozen=True)
class Activation:
    """A function of one number, and the variance that weights before it should start with.

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


def activation(name: str) -> Activation:
    """The activation of that name.

    >>> activation("relu").gain
    2.0
    """
    return ACTIVATIONS[choice("activation", name, tuple(ACTIVATIONS))]
