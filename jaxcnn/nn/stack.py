"""Layers one after another, whose sizes are checked when the stack is built."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxcnn.geometry.check import integer
from jaxcnn.geometry.text import for_axes
from jaxcnn.inspect import Plan
from jaxcnn.keywords import suggest_keywords
from jaxcnn.nn.layers import AvgPool, Conv, MaxPool
from jaxcnn.nn.spec import ConvSpec, Spec, plan


@suggest_keywords
class Stack(nnx.Module):
    """A chain of convolutions and pools over inputs of one known size.

        x: (N, *input) or input, with input = (*spatial, C)
        returns (N, *output) or output, with output the last row of the plan

    Args:
      input: the input's shape without the batch axis, (*spatial, C).
      layers: what to lay over it, first to last.
      dtype, param_dtype, rngs: as in :class:`jaxcnn.nn.Conv`.

    Raises:
      InputError: (a ValueError) when it is built, where a layer does not fit, naming the layer.

    >>> stack = Stack((7, 7, 1), [ConvSpec(6, 3), ConvSpec(10, 3)], rngs=nnx.Rngs(0))
    >>> stack(jnp.ones((2, 7, 7, 1))).shape
    (2, 3, 3, 10)
    """

    def __init__(
        self,
        input: Sequence[int],
        layers: Sequence[Spec],
        *,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        self.input = tuple(integer("input", size, least=1) for size in input)
        self.specs = tuple(layers)
        shapes = [self.input, *(row.output for row in self.plan().rows)]
        self.layers = nnx.List(
            _build(spec, shape, dtype=dtype, param_dtype=param_dtype, rngs=rngs)
            for spec, shape in zip(self.specs, shapes, strict=False)
        )

    def plan(self) -> Plan:
        """What each layer makes of the size and what it costs; prints as a table."""
        return plan(self.input, self.specs)

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers:
            x = layer(x)
        return x


def _build(
    spec: Spec,
    input: tuple[int, ...],
    *,
    dtype: DTypeLike | None,
    param_dtype: DTypeLike,
    rngs: nnx.Rngs,
) -> Conv | MaxPool | AvgPool:
    axes = len(input) - 1
    if isinstance(spec, ConvSpec):
        return Conv(
            input[-1],
            spec.channels,
            spec.filters(axes),
            stride=spec.stride,
            padding=for_axes(spec.padding, axes),
            dilation=spec.dilation,
            groups=spec.groups,
            rounding=spec.rounding,
            use_bias=spec.use_bias,
            activation=spec.activation,
            dtype=dtype,
            param_dtype=param_dtype,
            rngs=rngs,
        )
    pool = MaxPool if spec.kind == "max" else AvgPool
    return pool(
        spec.windows(axes),
        stride=spec.stride,
        padding=for_axes(spec.padding, axes),
        dilation=spec.dilation,
        rounding=spec.rounding,
    )
