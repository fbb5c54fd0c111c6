"""The base class of layers with a kernel: options, initialisation, promotion, activation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxcnn.errors import InputError
from jaxcnn.geometry.check import integer
from jaxcnn.nn._options import ConvOptions, flag, function
from jaxcnn.nn.activations import find_activation
from jaxcnn.shapes.checks import require_groups, require_mask

if TYPE_CHECKING:
    import numpy as np
    from jax.nn.initializers import Initializer

ActivationLike = str | Callable[[Any], Any]
"""An activation's name, or a function of an array."""


class Mask(nnx.Variable):
    """A kernel's mask: saved with the layer, not trained."""


class ConvBase(nnx.Module):
    """A layer that computes activation(a convolution of x with its parameters).

    Helpers are private because nnx.tabulate compiles every public method as a call on arrays.

    Attributes:
      options: the checked options; read-only, because a compiled program depends on them.
      activation: the name or function that the layer was built with.
    """

    options: ConvOptions
    activation: ActivationLike

    @property
    def kernel_size(self) -> tuple[int, ...]:
        return self.options.kernel_size

    @property
    def stride(self) -> tuple[int, ...]:
        return self.options.stride

    @property
    def padding(self) -> str | tuple[tuple[int, int], ...]:
        return self.options.padding

    @property
    def dilation(self) -> tuple[int, ...]:
        return self.options.dilation

    @property
    def groups(self) -> int:
        return self.options.groups

    @property
    def rounding(self) -> str:
        return self.options.rounding

    @property
    def padding_mode(self) -> str:
        return self.options.padding_mode

    @property
    def dtype(self) -> np.dtype | None:
        return self.options.dtype

    @property
    def param_dtype(self) -> np.dtype:
        return self.options.param_dtype

    def _promote(self, *values: jax.Array | nnx.Param | None) -> tuple[Any, ...]:
        """The values as arrays of one dtype."""
        arrays = tuple(value[...] if isinstance(value, nnx.Param) else value for value in values)
        return self.options.promote_dtype(arrays, dtype=self.options.dtype)

    def _in_dtype_of_result(self, bias: jax.Array | None) -> jax.Array | None:
        """The bias in ``preferred_element_type``, if the layer has one."""
        dtype = self.options.preferred_element_type
        return bias if bias is None or dtype is None else bias.astype(dtype)

    def _activate(self, y: jax.Array) -> jax.Array:
        """The activation of every entry of y."""
        return find_activation(self.activation).function(y)


@dataclass(frozen=True, kw_only=True)
class ParameterOptions:
    """How a layer's parameters are initialised; used when the layer is built, not stored."""

    rngs: nnx.Rngs
    use_bias: bool
    activation: ActivationLike
    kernel_init: Initializer | None
    bias_init: Initializer
    param_dtype: Any
    kernel_metadata: Mapping[str, Any]
    bias_metadata: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.rngs, nnx.Rngs):
            raise TypeError(f"rngs must be flax.nnx.Rngs, as in nnx.Rngs(0), got {self.rngs!r}")
        if not hasattr(self.rngs, "params"):
            raise InputError(
                "rngs has no stream for parameters; use nnx.Rngs(0), or nnx.Rngs(params=0, ...)"
            )
        find_activation(self.activation)
        flag("use_bias", self.use_bias)
        function("bias_init", self.bias_init)
        if self.kernel_init is not None:
            function("kernel_init", self.kernel_init)
        elif not jnp.issubdtype(self.param_dtype, jnp.inexact):
            raise InputError(
                f"param_dtype {self.param_dtype} cannot hold the fractions of an initial kernel; "
                f"use a floating dtype, or give kernel_init"
            )
        for name in ("kernel_metadata", "bias_metadata"):
            if not isinstance(getattr(self, name), Mapping):
                raise TypeError(f"{name} must be a mapping, got {getattr(self, name)!r}")

    def kernel(
        self, shape: tuple[int, ...], *, fan_in: float, gain: float | None = None
    ) -> nnx.Param:
        """A kernel drawn by ``kernel_init``, or a truncated normal of variance gain/fan_in.

        fan_in is the mean number of products summed for one output. ``gain`` defaults to the
        activation's.
        """
        init = self.kernel_init
        if init is None:
            gain = find_activation(self.activation).gain if gain is None else gain
            # variance_scaling divides by prod(shape[:-1]), which is fan_in only for a plain kernel.
            scale = gain * math.prod(shape[:-1]) / fan_in
            init = nnx.initializers.variance_scaling(scale, "fan_in", "truncated_normal")
        value = init(self.rngs.params(), shape, self.param_dtype)
        return nnx.Param(value, **self.kernel_metadata)

    def bias(self, shape: tuple[int, ...]) -> nnx.Param | None:
        """A bias drawn by ``bias_init``; None for a layer without one."""
        if not self.use_bias:
            return None
        value = self.bias_init(self.rngs.params(), shape, self.param_dtype)
        return nnx.Param(value, **self.bias_metadata)


def check_channels(in_channels: int, out_channels: int, groups: int) -> tuple[int, int, int]:
    """The three arguments as Python ints, if ``groups`` divides both numbers of channels."""
    groups = integer("groups", groups, least=1)
    in_channels = integer("in_channels", in_channels, least=1)
    out_channels = integer("out_channels", out_channels, least=1)
    require_groups(groups, in_channels, out_channels)
    return in_channels, out_channels, groups


def checked_mask(mask: jax.typing.ArrayLike | None, kernel: tuple[int, ...]) -> Mask | None:
    """The mask as a variable, if its shape fits that of the kernel."""
    if mask is None:
        return None
    try:
        array = jnp.asarray(mask)
    except TypeError:
        raise TypeError(f"mask must be an array of numbers or bools, got {mask!r}") from None
    require_mask(array.shape, kernel)
    return Mask(array)
