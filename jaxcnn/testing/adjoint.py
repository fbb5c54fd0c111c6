"""The law of transposed convolutions."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.testing.problems import ConvProblem
from jaxcnn.testing.report import stating
from jaxcnn.testing.tolerance import assert_sums_close

_OUTPUT = 40  # stream of the problem's seed


def assert_adjoint(fn: Callable[..., jax.Array], problem: ConvProblem) -> None:
    """<conv(x), y> = <x, fn(y)> for every x: ``fn`` is the adjoint of the problem's convolution.

    Args:
      fn: called as ``fn(y, kernel, stride=..., padding=..., dilation=...)``, y of the shape of the
        convolution's output.
      problem: a convolution without groups or bias, with a batch axis and an exact layout.

    Raises:
      AssertionError: with the problem, and the shapes or numbers that differ.

    >>> import jaxcnn
    >>> from jaxcnn.testing import ConvProblem
    >>> assert_adjoint(jaxcnn.conv_transpose, ConvProblem(size=(7,), filter=(3,), stride=(2,)))
    """
    with stating("fn is the adjoint of conv", problem):
        with problem.x64():
            x, kernel, _ = problem.arrays()
            y = problem.draw(problem.output_shape, _OUTPUT)
            kwargs = {key: problem.kwargs[key] for key in ("stride", "padding", "dilation")}
            got = np.asarray(fn(y, kernel, **kwargs))
        assert got.shape == x.shape, f"fn(y) has shape {got.shape}, the convolution's x {x.shape}"
        with jax.enable_x64(True):
            wide = [jnp.asarray(np.asarray(a, np.float64)) for a in (x, kernel, y)]
            want = _pull_back(problem, *wide)
            magnitude = _pull_back(problem, *(jnp.abs(a) for a in wide))
        roundings = problem.gradient_roundings[0]
        assert_sums_close(got, want, magnitude, roundings=roundings, what="fn(y)")


def _pull_back(problem: ConvProblem, x: jax.Array, kernel: jax.Array, y: jax.Array) -> np.ndarray:
    _, pull_back = jax.vjp(lambda x: problem.call(problem.reference, x, kernel, None), x)
    return np.asarray(pull_back(y)[0])
