"""The law of transposed convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.shapes import conv_transpose_shapes
from jaxcnn.testing.problems import ConvProblem
from jaxcnn.testing.report import stating
from jaxcnn.testing.tolerance import assert_sums_close

_OUTPUT = 40  # stream of the problem's seed


def assert_adjoint(fn: Callable[..., jax.Array], problem: ConvProblem) -> None:
    """<conv(x), y> = <x, fn(y)> for every x: ``fn`` is the adjoint of the problem's convolution.

    A bias is left out: with one, no convolution is linear.

    Args:
      fn: called as ``fn(y, kernel, stride=..., padding=..., dilation=...)``, y of the shape of the
        convolution's output; with ``groups=...`` too where there are several, and with
        ``output_size=...``, the sizes of x, where they are not those that a transposed convolution
        gives of itself: the smallest, and outputs times stride where the padding is a SAME.
      problem: any convolution.

    Raises:
      AssertionError: with the problem, and the shapes or numbers that differ.

    >>> import jaxcnn
    >>> from jaxcnn.testing import ConvProblem
    >>> assert_adjoint(jaxcnn.conv_transpose, ConvProblem(size=(7,), kernel_size=(3,), stride=(2,)))
    """
    with stating("fn is the adjoint of conv", problem):
        with problem.x64():
            x, kernel, _ = problem.arrays()
            y = problem.draw(problem.output_shape, _OUTPUT)
            got = np.asarray(fn(y, kernel, **_arguments(problem)))
        assert got.shape == x.shape, f"fn(y) has shape {got.shape}, the convolution's x {x.shape}"
        with jax.enable_x64(True):
            wide = [jnp.asarray(np.asarray(a, np.float64)) for a in (x, kernel, y)]
            want = _pull_back(problem, *wide)
            magnitude = _pull_back(problem, *(jnp.abs(a) for a in wide))
        roundings = problem.gradient_roundings[0]
        assert_sums_close(got, want, magnitude, roundings=roundings, what="fn(y)")


def _arguments(problem: ConvProblem) -> dict[str, Any]:
    """The keyword arguments of the transposed convolution."""
    kwargs = {key: problem.kwargs[key] for key in ("stride", "padding", "dilation")}
    if problem.groups != 1:
        kwargs["groups"] = problem.groups
    back = conv_transpose_shapes(problem.output_shape, problem.kernel_shape, **kwargs)
    if back.input != problem.x_shape:
        kwargs["output_size"] = problem.size
    return kwargs


def _pull_back(problem: ConvProblem, x: jax.Array, kernel: jax.Array, y: jax.Array) -> np.ndarray:
    _, pull_back = jax.vjp(lambda x: problem.call(problem.reference, x, kernel, None), x)
    return np.asarray(pull_back(y)[0])
