"""Convolution by Fourier transform: for large kernels and few channels, only by name.

Correlation is a product of spectra, one conjugated; a length of at least the padded input keeps
wrapped-around terms out of the outputs. The error is that of the transforms: of the order of
eps*log2(length) times the norms of the arrays, not of each output's own terms. One NaN in an image
makes all its outputs NaN, one huge cell affects all of them, and zeros far from the data become
small numbers of either sign. So this algorithm is never chosen by default.
Source: M. Mathieu, M. Henaff, Y. LeCun, "Fast training of convolutional networks through FFTs",
arXiv:1312.5851; error: N. J. Higham, "Accuracy and Stability", 2nd ed., theorem 24.2.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve import tuning
from jaxcnn.convolve.algorithms.protocol import Kernel, Work
from jaxcnn.convolve.algorithms.shared import (
    dilate_input,
    large_temporary_reason,
    traffic,
    unusual_reason,
)
from jaxcnn.convolve.layout import split_groups

if TYPE_CHECKING:
    from jaxcnn.convolve.problem import Problem


def unsupported_reason(problem: Problem) -> str | None:
    """Not supported: few taps, more than three axes, 16-bit numbers, precision HIGHEST."""
    reason = unusual_reason(problem)
    if reason is None and problem.taps < tuning.FFT_FEWEST_TAPS:
        reason = f"fewer than {tuning.FFT_FEWEST_TAPS} taps"
    if reason is None and problem.dtype not in ("float32", "float64"):
        reason = f"dtype {problem.dtype}"
    if reason is None and problem.axes > 3:
        reason = "more than three axes"
    if reason is None and lax.Precision.HIGHEST in (problem.precision or ()):
        reason = "precision HIGHEST"
    return reason or large_temporary_reason(problem, 2 * problem.itemsize * _spectra(problem))


def _spectra(problem: Problem) -> int:
    """Numbers in the spectra of x, kernel and output."""
    c, _ = problem.group_channels
    images = problem.batch * (problem.in_channels + problem.out_channels)
    return (images + c * problem.out_channels) * math.prod(_lengths(problem))


def _lengths(problem: Problem) -> tuple[int, ...]:
    return tuple(
        _fast_length(max(size + lo + hi, extent))
        for size, (lo, hi), extent in zip(
            problem.dilated_size, problem.padding, problem.extent, strict=True
        )
    )


def _fast_length(least: int) -> int:
    """The next length with no prime factors except 2, 3 and 5."""

    def rest(n: int) -> int:
        for prime in (2, 3, 5):
            while n % prime == 0:
                n //= prime
        return n

    return next(n for n in range(least, 2 * least + 1) if rest(n) == 1)


def run(problem: Problem, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Every stride-th entry of the inverse transform of the product of the spectra."""
    axes, lengths = problem.axes, _lengths(problem)
    last = tuple(range(-axes, 0))
    gaps = [*((0, 0, d - 1) for d in problem.dilation), (0, 0, 0), (0, 0, 0)]
    x = dilate_input(problem, x)
    kernel = lax.pad(kernel, jnp.zeros((), x.dtype), gaps)
    x = jnp.moveaxis(x.reshape(*x.shape[:-1], problem.groups, -1), range(1, axes + 1), last)
    kernel = jnp.moveaxis(split_groups(kernel, problem.groups), range(axes), last)
    of_x = jnp.fft.rfftn(x, lengths, last)  # (N, groups, c, *spectrum)
    of_kernel = jnp.conj(jnp.fft.rfftn(kernel, lengths, last))  # (c, groups, filters, *spectrum)
    of_y = jnp.einsum("ngc...,cgo...->ngo...", of_x, of_kernel)
    y = jnp.fft.irfftn(of_y, lengths, last)
    steps = zip(problem.output, problem.stride, strict=True)
    y = y[(..., *(slice(0, (k - 1) * s + 1, s) for k, s in steps))]
    y = jnp.moveaxis(y, last, range(1, axes + 1))
    return y.reshape(problem.output_shape).astype(problem.dtype)


def work(problem: Problem) -> Work:
    """2.5 L log2 L for a real transform of L cells; a complex product for every pair of spectra."""
    cells, c = math.prod(_lengths(problem)), problem.group_channels[0]
    numbers = _spectra(problem)
    transforms = 2.5 * numbers * math.log2(max(2, cells))
    products = 2 * problem.batch * problem.out_channels * c * cells
    return Work(transforms + products, 4 * problem.itemsize * numbers + traffic(problem))


FFT = Kernel("fft", unsupported_reason, work, run, local=False)
