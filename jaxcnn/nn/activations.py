"""Activations by name, each with the gain for the initial weights before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
from jax import nn

from jaxcnn.errors import InputError
from jaxcnn.geometry.check import choice

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Activation:
    """A function of an array, and the gain for the initial weights of the layer before it.

    Attributes:
      function: applied to every entry.
      gain: the factor on 1/fan_in that keeps the size of activations from layer to layer.
    """

    function: Callable[[jax.Array], jax.Array]
    gain: float


# The gain is 2 for rectifiers (He et al., arXiv:1502.01852, eq. 10), and 1 for functions that are
# close to the identity at zero or normalise themselves (LeCun et al., "Efficient BackProp", 1998;
# Klambauer et al., arXiv:1706.02515). The smooth rectifiers gelu and silu have the rectifier's.
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


SYNONYMS = {
    "NONE": "linear",
    "IDENTITY": "linear",
    "LRELU": "leaky_relu",
    "LEAKYRELU": "leaky_relu",
}
"""Other libraries' names of activations, and ours."""


def find_activation(activation: str | Callable[[Any], Any]) -> Activation:
    """The activation with this name; for a function, the function with its gain (1 if unknown).

    Raises:
      InputError: for an unknown name; TypeError for a value that is neither name nor function.

    >>> find_activation("relu").gain, find_activation(jax.nn.relu).gain
    (2.0, 2.0)
    >>> find_activation(jax.nn.hard_tanh).gain
    1.0
    """
    if isinstance(activation, str):
        function = activation.lower()
        if activation not in ACTIVATIONS and callable(getattr(nn, function, None)):
            raise InputError(
                f"activation {activation!r} is not one of {', '.join(ACTIVATIONS)}; use the "
                f"function, activation=jax.nn.{function}"
            )
        name = choice("activation", activation, tuple(ACTIVATIONS), SYNONYMS)
        return ACTIVATIONS[name]
    if not callable(activation):
        raise TypeError(
            f"activation must be a name ({', '.join(ACTIVATIONS)}) or a function of an array, such "
            f"as jax.nn.relu, got {activation!r}"
        )
    for known in ACTIVATIONS.values():
        if known.function is activation:
            return known
    return Activation(activation, 1.0)
