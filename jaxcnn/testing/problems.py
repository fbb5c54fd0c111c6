"""Test problems: a convolution or a pool as numbers, with arrays drawn from a seed.

A problem prints as the call that creates it. Its constructor checks nothing, so impossible problems
can be created too; :meth:`ConvProblem.shapes` checks them with the geometry.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn import reference
from jaxcnn.shapes import ConvShapes, PoolShapes, conv_shapes, pool_shapes

if TYPE_CHECKING:
    from collections.abc import Callable

Arrays = tuple[jax.Array | None, ...]


class BaseProblem:
    """Random arrays of one dtype, from one seed."""

    dtype: str
    seed: int

    def x64(self) -> AbstractContextManager:
        """A context that enables 64 bits if the problem's dtype is float64."""
        return jax.enable_x64(True) if self.dtype == "float64" else nullcontext()

    def random_array(self, shape: tuple[int, ...], stream: int) -> jax.Array:
        """An array of the problem's dtype, drawn from its seed; each stream gives another array.

        Numbers have either sign and magnitudes from 1/8 to 1; their products neither overflow nor
        underflow.
        """
        draws = np.random.default_rng((self.seed, stream))
        signed = draws.choice((-1.0, 1.0), shape) * draws.uniform(0.125, 1, shape)
        return self._as_array(signed)

    def _as_array(self, values: np.ndarray) -> jax.Array:
        with self.x64():
            return jnp.asarray(values.astype(jnp.dtype(self.dtype)))


@dataclass(frozen=True)
class ConvProblem(BaseProblem):
    """A convolution, with the arguments of :func:`jaxcnn.conv`.

    Attributes:
      batch: N, or None for one example without a batch axis.
      size: the input's size, one integer for each spatial axis.
      kernel_size, stride, dilation: one integer for each spatial axis; an empty stride or dilation
        means 1 on every axis.
      in_channels, out_channels, groups: of the whole convolution, not of one group.
      padding: a name, or a pair (before, after) for each axis.
      rounding: ``"exact"`` or ``"floor"``.
      use_bias: whether there is a bias.
      dtype: the name of the arrays' dtype.
      seed: the seed of the arrays.

    >>> problem = ConvProblem(size=(7, 7), kernel_size=(3, 3), out_channels=6, batch=None)
    >>> problem.output_shape
    (5, 5, 6)
    >>> problem.call(reference.conv, *problem.arrays()).shape
    (5, 5, 6)
    >>> eval(repr(problem)) == problem
    True
    """

    batch: int | None = 1
    size: tuple[int, ...] = (3,)
    kernel_size: tuple[int, ...] = (2,)
    in_channels: int = 1
    out_channels: int = 1
    groups: int = 1
    stride: tuple[int, ...] = ()
    padding: str | tuple[tuple[int, int], ...] = "VALID"
    dilation: tuple[int, ...] = ()
    rounding: str = "exact"
    use_bias: bool = False
    dtype: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        _fill(self, stride=1, dilation=1)

    @property
    def x_shape(self) -> tuple[int, ...]:
        return (*_batch_axis(self.batch), *self.size, self.in_channels)

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        return (*self.kernel_size, self.in_channels // self.groups, self.out_channels)

    @property
    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments for a function like :func:`jaxcnn.conv`."""
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
            "rounding": self.rounding,
        }

    def shapes(self) -> ConvShapes:
        """The shapes that the geometry gives; raises InputError for an impossible problem."""
        bias = (self.out_channels,) if self.use_bias else None
        return conv_shapes(self.x_shape, self.kernel_shape, bias, **self.kwargs)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output, by the formula."""
        return self.shapes().output

    def arrays(self) -> tuple[jax.Array, jax.Array, jax.Array | None]:
        """(x, kernel, bias or None)."""
        bias = self.random_array((self.out_channels,), 2) if self.use_bias else None
        return self.random_array(self.x_shape, 0), self.random_array(self.kernel_shape, 1), bias

    def call(self, fn: Callable[..., jax.Array], *arrays: jax.Array | None) -> jax.Array:
        """``fn`` on x, kernel and bias, with this problem's keyword arguments."""
        return fn(*arrays, **self.kwargs)

    @property
    def reference(self) -> Callable[..., jax.Array]:
        return reference.conv

    @property
    def roundings(self) -> int:
        """The most roundings that a term of an output goes through.

        One for its product, one for each addition of another term or of the bias, and one for the
        conversion of the sum from the accumulator's dtype to the output's.
        """
        return math.prod(self.kernel_shape[:-1]) + 2

    @property
    def gradient_roundings(self) -> tuple[int, int, int]:
        """The same for the gradients of x, kernel and bias.

        The gradient of a cell of x adds each tap of each output channel of its group at most once.
        The gradient of a weight or a bias adds each output of its feature map.
        """
        per_cell = math.prod(self.kernel_size) * (self.out_channels // self.groups)
        per_map = (1 if self.batch is None else self.batch) * math.prod(self.shapes().spatial)
        return per_cell + 2, per_map + 2, per_map + 2

    @property
    def tangent_roundings(self) -> int:
        """The same for a directional derivative: the sum of three sums."""
        return self.roundings + 2

    def magnitude_inputs(self, *arrays: jax.Array | None) -> Arrays:
        """Arrays whose outputs and derivatives are the sums of their terms' magnitudes."""
        return jax.tree.map(jnp.abs, arrays)


@dataclass(frozen=True)
class PoolProblem(BaseProblem):
    """A pool, with the arguments of :func:`jaxcnn.max_pool`.

    Attributes:
      kind: ``"max"`` or ``"avg"``, the default definition of the assertions.
      batch, size, kernel_size, stride, padding, dilation, dtype, seed: as in :class:`ConvProblem`.
      channels: C.
      rounding: ``"exact"``, ``"floor"`` or ``"ceil"``.
      ties: whether cells have few different values, so that several are often the maximum;
        otherwise all cells differ (as far as the dtype allows).

    >>> PoolProblem(size=(4, 4), kernel_size=(2, 2), stride=(2, 2)).output_shape
    (1, 2, 2, 1)
    """

    kind: str = "max"
    batch: int | None = 1
    size: tuple[int, ...] = (2,)
    kernel_size: tuple[int, ...] = (2,)
    channels: int = 1
    stride: tuple[int, ...] = ()
    padding: str | tuple[tuple[int, int], ...] = "VALID"
    dilation: tuple[int, ...] = ()
    rounding: str = "exact"
    ties: bool = False
    dtype: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        _fill(self, stride=1, dilation=1)

    @property
    def x_shape(self) -> tuple[int, ...]:
        return (*_batch_axis(self.batch), *self.size, self.channels)

    @property
    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments for a function like :func:`jaxcnn.max_pool`."""
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "rounding": self.rounding,
        }

    def shapes(self) -> PoolShapes:
        """The shapes that the geometry gives; raises InputError for an impossible problem."""
        return pool_shapes(self.x_shape, self.kernel_size, **self.kwargs)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output, by the formula."""
        return self.shapes().output

    def arrays(self) -> Arrays:
        """(x,)."""
        draws = np.random.default_rng((self.seed, 0))
        count = math.prod(self.x_shape)
        magnitudes = np.linspace(0.125, 1, 3 if self.ties else max(1, count))
        chosen = draws.choice(magnitudes, count) if self.ties else draws.permutation(magnitudes)
        signed = draws.choice((-1.0, 1.0), count) * chosen[:count]
        return (self._as_array(signed.reshape(self.x_shape)),)

    @property
    def gap(self) -> float:
        """The least distance between two cells, if there are no ties."""
        return 0.875 / max(1, math.prod(self.x_shape) - 1)

    def call(self, fn: Callable[..., jax.Array], *arrays: jax.Array | None) -> jax.Array:
        """``fn`` on x and this problem's kernel size, with its keyword arguments."""
        return fn(*arrays, self.kernel_size, **self.kwargs)

    @property
    def reference(self) -> Callable[..., jax.Array]:
        return {"max": reference.max_pool, "avg": reference.avg_pool}[self.kind]

    @property
    def roundings(self) -> int:
        """The most roundings that a cell goes through; none for a maximum, which is a cell."""
        return 0 if self.kind == "max" else math.prod(self.kernel_size) + 1

    @property
    def gradient_roundings(self) -> tuple[int]:
        """The same for the gradient of a cell, a sum over the windows that read it."""
        return (math.prod(self.kernel_size) + 1,)

    @property
    def tangent_roundings(self) -> int:
        """The same for a directional derivative, a pool of the tangents."""
        return self.roundings

    def magnitude_inputs(self, *arrays: jax.Array | None) -> Arrays:
        """Arrays whose outputs and derivatives are the sums of their terms' magnitudes.

        This is |x| for a mean, and x for a maximum, which must come from the same cell.
        """
        return arrays if self.kind == "max" else jax.tree.map(jnp.abs, arrays)


Problem = ConvProblem | PoolProblem


def _fill(problem: Problem, **defaults: int) -> None:
    """Replaces an empty attribute with its default on every spatial axis."""
    for name, value in defaults.items():
        if not getattr(problem, name):
            object.__setattr__(problem, name, (value,) * len(problem.size))


def _batch_axis(batch: int | None) -> tuple[int, ...]:
    return () if batch is None else (batch,)
