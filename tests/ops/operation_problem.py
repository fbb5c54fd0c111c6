"""A problem for any operation that is linear in each of its arrays, as jaxcnn.testing takes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxcnn.geometry.padding_mode import PADDING_MODES, check_padding_mode
from jaxcnn.testing.problems import Arrays, BaseProblem, ConvProblem

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxcnn.shapes import ConvShapes

DTYPES = ("float64", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class OperationProblem(BaseProblem):
    """Arrays of these shapes, drawn from a seed, for an operation with these arguments."""

    array_shapes: tuple[tuple[int, ...] | None, ...]
    output_shape: tuple[int, ...]
    roundings: int
    gradient_roundings: tuple[int, ...]
    reference: Callable[..., jax.Array]
    kwargs: dict[str, Any] = field(default_factory=dict)
    dtype: str = "float32"
    seed: int = 0

    def arrays(self) -> Arrays:
        return tuple(
            None if shape is None else self.random_array(shape, stream)
            for stream, shape in enumerate(self.array_shapes)
        )

    def call(self, fn: Callable[..., jax.Array], *arrays: jax.Array | None) -> jax.Array:
        return fn(*arrays, **self.kwargs)

    @property
    def tangent_roundings(self) -> int:
        return self.roundings + 2

    def magnitude_inputs(self, *arrays: jax.Array | None) -> Arrays:
        return jax.tree.map(jnp.abs, arrays)


def with_kwargs(
    problem: ConvProblem,
    reference: Callable[..., jax.Array],
    *,
    array_shapes: tuple[tuple[int, ...] | None, ...] | None = None,
    extra_roundings: int = 0,
    **kwargs: Any,
) -> OperationProblem:
    """A convolution's problem, with other arguments and, where given, other arrays."""
    bias = (problem.out_channels,) if problem.use_bias else None
    return OperationProblem(
        array_shapes=array_shapes or (problem.x_shape, problem.kernel_shape, bias),
        output_shape=problem.output_shape,
        roundings=problem.roundings + extra_roundings,
        gradient_roundings=tuple(n + extra_roundings for n in problem.gradient_roundings),
        reference=reference,
        kwargs=kwargs,
        dtype=problem.dtype,
        seed=problem.seed,
    )


def boundaries_for(shapes: ConvShapes) -> list[str]:
    """The padding modes that can fill the padding of these windows."""

    def allowed(padding_mode: str) -> bool:
        try:
            check_padding_mode(padding_mode, shapes.windows, "exact")
        except ValueError:
            return False
        return True

    return [padding_mode for padding_mode in PADDING_MODES if allowed(padding_mode)]


def boundary_roundings(problem: ConvProblem) -> int:
    """The most roundings that a padding mode adds to a value or to a gradient.

    The share of real cells adds two: it is rounded, and so is its product. The gradient of x adds
    a cell and its copies in the padding, which are fewer than all padding cells.
    """
    padded = 1
    for window in problem.shapes().windows:
        padded *= 1 + sum(window.padding)
    return 2 + padded
