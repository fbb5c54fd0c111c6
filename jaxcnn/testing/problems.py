"""One convolution or pool to put to somebody's function: numbers, and arrays drawn from a seed.

A problem prints as the call that makes it. It is not checked when it is made, so that impossible
ones can be asked too; :meth:`shapes` lets the geometry judge.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn import reference
from jaxcnn.shapes import ConvShapes, PoolShapes, conv_shapes, pool_shapes

Arrays = tuple[jax.Array | None, ...]


class _Problem:
    """What both kinds of problem share."""

    dtype: str
    seed: int

    def x64(self) -> AbstractContextManager:
        """Where this problem's arrays can live: 64 bits switched on, if it is of float64."""
        return jax.enable_x64(True) if self.dtype == "float64" else nullcontext()

    def draw(self, shape: tuple[int, ...], stream: int) -> jax.Array:
        """An array of the problem's dtype, drawn from its seed; each stream is another array.

        Either sign, magnitudes from 1/8 to 1: products neither overflow nor underflow.
        """
        draws = np.random.default_rng((self.seed, stream))
        signed = draws.choice((-1.0, 1.0), shape) * draws.uniform(0.125, 1, shape)
        return self._array(signed)

    def _array(self, values: np.ndarray) -> jax.Array:
        with self.x64():
            return jnp.asarray(values.astype(jnp.dtype(self.dtype)))


@dataclass(frozen=True)
class ConvProblem(_Problem):
    """A convolution, with the arguments of :func:`jaxcnn.conv`.

    Attributes:
      batch: N, or None for one example without a batch axis.
      size, filter, stride, dilation: one integer for each spatial axis; strides and dilations that
        are not given are 1.
      in_channels, out_channels, groups: of the whole, not of one group.
      padding: a name, or a pair (before, after) for each axis.
      rounding: ``"exact"`` or ``"floor"``.
      use_bias: whether there is one.
      dtype: the arrays', by name.
      seed: where they are drawn from.

    >>> problem = ConvProblem(size=(7, 7), kernel_size=(3, 3), in_channels=3, out_channels=6, batch=None)
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
        """What the geometry makes of it; an error, where it is impossible."""
        bias = (self.out_channels,) if self.use_bias else None
        return conv_shapes(self.x_shape, self.kernel_shape, bias, **self.kwargs)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The output's shape, by the formula."""
        return self.shapes().output

    def arrays(self) -> tuple[jax.Array, jax.Array, jax.Array | None]:
        """(x, kernel, bias or None)."""
        bias = self.draw((self.out_channels,), 2) if self.use_bias else None
        return self.draw(self.x_shape, 0), self.draw(self.kernel_shape, 1), bias

    def call(self, fn: Callable[..., jax.Array], *arrays: jax.Array | None) -> jax.Array:
        """``fn`` on x, kernel and bias, with this problem's keyword arguments."""
        return fn(*arrays, **self.kwargs)

    @property
    def reference(self) -> Callable[..., jax.Array]:
        return reference.conv

    @property
    def roundings(self) -> int:
        """Through how many roundings a term of the sum goes, at most.

        One for its product, one for each addition of another term or of the bias, and one when the
        sum is brought from the accumulator's dtype to the output's.
        """
        return math.prod(self.kernel_shape[:-1]) + 2

    @property
    def gradient_roundings(self) -> tuple[int, int, int]:
        """The same for the sums that are the gradients of x, kernel and bias.

        A cell of x meets every tap of every filter of its group at most once; a weight, and a bias,
        every output of its feature map.
        """
        per_cell = math.prod(self.kernel_size) * (self.out_channels // self.groups)
        per_map = (1 if self.batch is None else self.batch) * math.prod(self.shapes().spatial)
        return per_cell + 2, per_map + 2, per_map + 2

    @property
    def tangent_roundings(self) -> int:
        """The same for a directional derivative: three sums, added to one another."""
        return self.roundings + 2

    def majorant(self, *arrays: jax.Array | None) -> Arrays:
        """Arrays on which the sums, and the sums that are derivatives, are sums of magnitudes."""
        return jax.tree.map(jnp.abs, arrays)


@dataclass(frozen=True)
class PoolProblem(_Problem):
    """A pool, with the arguments of :func:`jaxcnn.max_pool`.

    Attributes:
      kind: ``"max"`` or ``"avg"``: which definition is meant, unless an assertion is given one.
      batch, size, stride, padding, dilation, dtype, seed: as in :class:`ConvProblem`.
      kernel_size: its size on each axis.
      channels: C.
      rounding: ``"exact"``, ``"floor"`` or ``"ceil"``.
      ties: whether cells are drawn from few values, so that maxima are often shared; otherwise
        all of them differ (as far as the dtype can tell).

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
        """What the geometry makes of it; an error, where it is impossible."""
        return pool_shapes(self.x_shape, self.kernel_size, **self.kwargs)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The output's shape, by the formula."""
        return self.shapes().output

    def arrays(self) -> Arrays:
        """(x,)."""
        draws = np.random.default_rng((self.seed, 0))
        count = math.prod(self.x_shape)
        magnitudes = np.linspace(0.125, 1, 3 if self.ties else max(1, count))
        chosen = draws.choice(magnitudes, count) if self.ties else draws.permutation(magnitudes)
        signed = draws.choice((-1.0, 1.0), count) * chosen[:count]
        return (self._array(signed.reshape(self.x_shape)),)

    @property
    def gap(self) -> float:
        """The least distance between two cells, where there are no ties."""
        return 0.875 / max(1, math.prod(self.x_shape) - 1)

    def call(self, fn: Callable[..., jax.Array], *arrays: jax.Array | None) -> jax.Array:
        """``fn`` on x and this problem's window, with its keyword arguments."""
        return fn(*arrays, self.kernel_size, **self.kwargs)

    @property
    def reference(self) -> Callable[..., jax.Array]:
        return {"max": reference.max_pool, "avg": reference.avg_pool}[self.kind]

    @property
    def roundings(self) -> int:
        """Through how many roundings a cell goes: none for a maximum, which is one of them."""
        return 0 if self.kind == "max" else math.prod(self.kernel_size) + 1

    @property
    def gradient_roundings(self) -> tuple[int]:
        """The same for the gradient, a sum over the windows that a cell lies under."""
        return (math.prod(self.kernel_size) + 1,)

    @property
    def tangent_roundings(self) -> int:
        """The same for a directional derivative, a pool of the tangents."""
        return self.roundings

    def majorant(self, *arrays: jax.Array | None) -> Arrays:
        """Arrays on which the sums, and the sums that are derivatives, are sums of magnitudes.

        A mean's are those of |x|. A maximum picks, and must pick the same.
        """
        return arrays if self.kind == "max" else jax.tree.map(jnp.abs, arrays)


Problem = ConvProblem | PoolProblem


def _fill(problem: Problem, **defaults: int) -> None:
    """Puts one entry for each spatial axis where none were given."""
    for name, value in defaults.items():
        if not getattr(problem, name):
            object.__setattr__(problem, name, (value,) * len(problem.size))


def _batch_axis(batch: int | None) -> tuple[int, ...]:
    return () if batch is None else (batch,)
