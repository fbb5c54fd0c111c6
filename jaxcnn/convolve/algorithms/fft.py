"""By the Fourier transform: for large filters and few channels, where it is asked for by name.

Correlation is a product of spectra, one conjugated; a length of at least the padded input keeps
wrapped-around terms out of the outputs. The error is that of the transforms: of the order of
eps*log2(length) times the norms of what is transformed, not of each entry's own terms. One NaN in
an image makes NaN of every output of it, one huge cell is seen in all of them, and zeros far from
the data come out as small numbers of either sign. So it is never taken by default.
Source: M. Mathieu, M. Henaff, Y. LeCun, "Fast training of convolutional networks through FFTs",
arXiv:1312.5851; error: N. J. Higham, "Accuracy and Stability", 2nd ed., theorem 24.2.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve.algorithms.algorithm import (
    Algorithm,
    Solve,
    Work,
    refuse_temporary,
    refuse_unusual,
    traffic,
)
from jaxcnn.convolve.layout import split_groups
from jaxcnn.convolve.problem import Problem

FEWEST_TAPS = 25
"""Below, other ways are as fast, and add up a few terms with less error than a transform has."""


def unsupported_reason(problem: Problem) -> str | None:
    """Few taps, more than three axes, 16-bit numbers, and precision HIGHEST."""
    reason = refuse_unusual(problem)
    if reason is None and problem.taps < FEWEST_TAPS:
        reason = f"fewer than {FEWEST_TAPS} taps"
    if reason is None and problem.dtype not in ("float32", "float64"):
        reason = f"dtype {problem.dtype}"
    if reason is None and problem.axes > 3:
        reason = "more than three axes"
    if reason is None and lax.Precision.HIGHEST in (problem.precision or ()):
        reason = "precision HIGHEST"
    return reason or refuse_temporary(problem, 2 * problem.itemsize * _spectra(problem))


def _spectra(problem: Problem) -> int:
    """How many numbers the spectra of x, kernel and output are."""
    c, _ = problem.group_channels
    images = problem.batch * (problem.in_channels + problem.out_channels)
    return (images + c * problem.out_channels) * math.prod(_lengths(problem))


def _lengths(problem: Problem) -> tuple[int, ...]:
    return tuple(
        _fast_length(max(size + lo + hi, extent))
        for size, (lo, hi), extent in zip(
            problem.spread, problem.padding, problem.extent, strict=True
        )
    )


def _fast_length(least: int) -> int:
    """The next length whose prime factors are 2, 3 and 5."""

    def rest(n: int) -> int:
        for prime in (2, 3, 5):
            while n % prime == 0:
                n //= prime
        return n

    return next(n for n in range(least, 2 * least + 1) if rest(n) == 1)


def run(problem: Problem, x: jax.Array, kernel: jax.Array, solve: Solve) -> jax.Array:
    """The inverse transform of the product of the spectra, every stride-th entry of it."""
    del solve
    axes, lengths = problem.axes, _lengths(problem)
    last = tuple(range(-axes, 0))
    spread = [(0, 0, b - 1) for b in problem.base_dilation]
    around = [
        (lo, hi, inner) for (lo, hi), (_, _, inner) in zip(problem.padding, spread, strict=True)
    ]
    zero = jnp.zeros((), x.dtype)
    x = lax.pad(x, zero, [(0, 0, 0), *around, (0, 0, 0)])
    kernel = lax.pad(
        kernel, zero, [*((0, 0, d - 1) for d in problem.dilation), (0, 0, 0), (0, 0, 0)]
    )
    x = jnp.moveaxis(x.reshape(*x.shape[:-1], problem.groups, -1), range(1, axes + 1), last)
    kernel = jnp.moveaxis(split_groups(kernel, problem.groups), range(axes), last)
    of_x = jnp.fft.rfftn(x, lengths, last)  # (N, groups, c, *spectrum)
    of_kernel = jnp.conj(jnp.fft.rfftn(kernel, lengths, last))  # (c, groups, filters, *spectrum)
    of_y = jnp.einsum("ngc...,cgo...->ngo...", of_x, of_kernel)
    y = jnp.fft.irfftn(of_y, lengths, last)
    y = y[
        (
            ...,
            *(
                slice(0, (k - 1) * s + 1, s)
                for k, s in zip(problem.output, problem.stride, strict=True)
            ),
        )
    ]
    y = jnp.moveaxis(y, last, range(1, axes + 1))
    return y.reshape(problem.output_shape).astype(problem.dtype)


def work(problem: Problem) -> Work:
    """2.5 L log2 L a real transform of L cells, and a complex product of every pair of spectra."""
    cells, c = math.prod(_lengths(problem)), problem.group_channels[0]
    numbers = _spectra(problem)
    transforms = 2.5 * numbers * math.log2(max(2, cells))
    products = 2 * problem.batch * problem.out_channels * c * cells
    return Work(transforms + products, 4 * problem.itemsize * numbers + traffic(problem))


ALGORITHM = Algorithm("fft", unsupported_reason, work, run, local=False)
