"""What all layers with filters share: parameters and how they start, dtypes, the activation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxcnn.activations import activation as activation_named
from jaxcnn.errors import InputError
from jaxcnn.geometry.check import integer, is_sequence
from jaxcnn.nn._options import option
from jaxcnn.shapes.checks import require_floor_or_exact


class Mask(nnx.Variable):
    """What a kernel is multiplied by: saved with the layer, not trained."""


class Filtering(nnx.Module):
    """A layer that computes activation(some convolution of x with its parameters).

    What it shares with others is private: nnx.tabulate takes each public method for a layer's call
    on arrays, and compiles it.

    Args:
      activation, dtype, param_dtype: as in :class:`jaxcnn.nn.Conv`.
      axes: how many spatial axes there are.
      arguments: the convolution's own, kept as attributes and handed on by ``_arguments``.
    """

    def __init__(
        self,
        activation: str,
        dtype: DTypeLike | None,
        param_dtype: DTypeLike,
        axes: int,
        **arguments: Any,
    ) -> None:
        activation_named(activation)
        self.activation = activation
        self.dtype = None if dtype is None else option("dtype", dtype)
        self.param_dtype = option("param_dtype", param_dtype)
        require_floor_or_exact(arguments.get("rounding", "exact"))
        self._handed_on = tuple(arguments)
        for name, value in arguments.items():
            setattr(self, name, option(name, value, axes))

    @property
    def _arguments(self) -> dict[str, Any]:
        """What the layer says to its convolution besides the arrays."""
        return {name: getattr(self, name) for name in self._handed_on}

    def _draw(
        self,
        rngs: nnx.Rngs,
        shape: tuple[int, ...],
        *,
        fan_in: float,
        gain: float | None = None,
    ) -> nnx.Param:
        """A truncated normal of variance gain/fan_in; the gain is the activation's, if not given.

        fan_in is the number of products summed for one output, on average.
        """
        gain = activation_named(self.activation).gain if gain is None else gain
        # variance_scaling divides by prod(shape[:-1]), which is fan_in for a plain kernel only.
        init = nnx.initializers.variance_scaling(
            gain * math.prod(shape[:-1]) / fan_in, "fan_in", "truncated_normal"
        )
        return nnx.Param(init(rngs.params(), shape, self.param_dtype))

    def _zeros(self, shape: tuple[int, ...]) -> nnx.Param:
        """A bias as it starts."""
        return nnx.Param(jnp.zeros(shape, self.param_dtype))

    def _in_one_dtype(self, *values: jax.Array | nnx.Param | None) -> tuple[Any, ...]:
        """The values as arrays of the layer's dtype, or of the one that suits them all."""
        arrays = [value[...] if isinstance(value, nnx.Param) else value for value in values]
        # To take them together is what the layer is for, also where JAX is told to promote nothing.
        with jax.numpy_dtype_promotion("standard"):
            suits = jnp.result_type(*(array for array in arrays if array is not None))
        dtype = self.dtype or suits
        return tuple(None if array is None else jnp.asarray(array, dtype) for array in arrays)

    def _activate(self, y: jax.Array) -> jax.Array:
        """The activation of every entry of y."""
        return activation_named(self.activation).function(y)


def check_filter(kernel_size: Sequence[int]) -> tuple[int, ...]:
    """The filter's size on each axis, or an error that says how to list it."""
    if not is_sequence(kernel_size):
        raise TypeError(
            f"kernel_size must list one size for each spatial axis, got {kernel_size!r}; for images use "
            f"({kernel_size!r}, {kernel_size!r})"
        )
    return option("kernel_size", kernel_size)


def check_channels(in_channels: int, channels: int, groups: int) -> tuple[int, int, int]:
    """The three as Python ints, if both numbers of channels can be divided by ``groups``."""
    groups = integer("groups", groups, least=1)
    in_channels = integer("in_channels", in_channels, least=1)
    channels = integer("channels", channels, least=1)
    for name, number in (("in_channels", in_channels), ("channels", channels)):
        if number % groups:
            raise InputError(
                f"groups {groups} does not divide {name} {number}; use {name} "
                f"{number - number % groups or groups} or {number + groups - number % groups}"
            )
    return in_channels, channels, groups
