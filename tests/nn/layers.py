"""Every layer with the data of its tests: how to build it, its operation, an input, its fan-in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn import nn, ops

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGE = jnp.linspace(-1, 1, 2 * 5 * 7 * 4).reshape(2, 5, 7, 4)
SOUND = jnp.linspace(-1, 1, 2 * 9 * 4).reshape(2, 9, 4)
PADDED = {
    "stride": (2, 1),
    "padding": [(1, 1), (0, 2)],
    "dilation": (1, 2),
    "padding_mode": "reflect",
}
TRANSPOSED = {"stride": (2, 3), "padding": 1, "groups": 2, "output_padding": (1, 0)}
MASK = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 0]])[..., None, None]


ELSEWHERE = ("BatchNorm", "ConvNorm", "Dense", "LayerNorm", "Residual", "SqueezeExcite", "Stack")
"""Chains, blocks and norms, whose values and options have tests in other files."""


class Case(NamedTuple):
    """A layer with a kernel.

    Attributes:
      build: a function from further keywords to the layer.
      operation, arguments: the layer's operation, and the arguments that the case sets.
      x: a batch of inputs.
      fan_in: for each kernel, the number of products summed for one output.
    """

    build: Callable[..., Any]
    operation: Callable[..., jax.Array]
    arguments: dict[str, Any]
    x: jax.Array
    fan_in: dict[str, float]


DEFORMED = {"stride": (2, 1), "padding": [(1, 1), (0, 2)], "dilation": (1, 2)}


def offsets(x):
    """Offsets for kernels of 3x3 on x, as DEFORMED places them, in two groups of channels."""
    numbers = jnp.arange(3 * 5 * 36, dtype=x.dtype).reshape(3, 5, 36) % 7 / 4 - 0.75
    return jnp.broadcast_to(numbers, (*x.shape[:-3], *numbers.shape))


class DeformConv(nn.DeformConv):
    """The layer, which computes its offsets from the shape of x."""

    def __call__(self, x, **kwargs):
        return super().__call__(x, offsets(x), **kwargs)


CONVOLUTIONS = {
    "Conv": Case(
        lambda **kw: nn.Conv(4, 6, (3, 3), groups=2, mask=MASK, **PADDED, **kw),
        ops.conv,
        {"groups": 2, "mask": MASK, **PADDED},
        IMAGE,
        {"kernel": 9 * 2},
    ),
    "ConvTranspose": Case(
        lambda **kw: nn.ConvTranspose(4, 6, (4, 3), **TRANSPOSED, **kw),
        ops.conv_transpose,
        TRANSPOSED,
        IMAGE,
        {"kernel": 12 * 2 / 6},
    ),
    "DeformConv": Case(
        lambda **kw: DeformConv(4, 6, (3, 3), groups=2, **DEFORMED, **kw),
        lambda x, *parameters, **kw: ops.deform_conv(x, offsets(x), *parameters, **kw),
        {"groups": 2, **DEFORMED},
        IMAGE,
        {"kernel": 9 * 2},
    ),
    "DepthwiseConv": Case(
        lambda **kw: nn.DepthwiseConv(4, (3, 3), depth_multiplier=2, **PADDED, **kw),
        ops.depthwise_conv,
        PADDED,
        IMAGE,
        {"kernel": 9},
    ),
    "SeparableConv": Case(
        lambda **kw: nn.SeparableConv(4, 6, (3, 3), depth_multiplier=2, **PADDED, **kw),
        ops.separable_conv,
        PADDED,
        IMAGE,
        {"depthwise_kernel": 9, "pointwise_kernel": 8},
    ),
    "LocalConv": Case(
        lambda **kw: nn.LocalConv((5, 7, 4), 6, (3, 3), **PADDED, **kw),
        ops.local_conv,
        PADDED,
        IMAGE,
        {"kernel": 9 * 4},
    ),
    "CausalConv": Case(
        lambda **kw: nn.CausalConv(4, 6, 3, stride=2, dilation=2, groups=2, **kw),
        ops.causal_conv,
        {"stride": 2, "dilation": 2, "groups": 2},
        SOUND,
        {"kernel": 3 * 2},
    ),
}
