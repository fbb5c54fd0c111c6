"""The law of transposed convolutions: they are adjoints of convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import chex
import numpy as np

from jaxcnn.shapes import conv_transpose_shapes
from jaxcnn.testing.definition import Definition
from jaxcnn.testing.failure import checking
from jaxcnn.testing.tolerance import assert_sums_close

if TYPE_CHECKING:
    from collections.abc import Callable

    import jax

    from jaxcnn.testing.problems import ConvProblem

_OUTPUT = 40  # the stream of the problem's seed for y


def assert_adjoint(fn: Callable[..., jax.Array], problem: ConvProblem) -> None:
    """Checks <conv(x), y> = <x, fn(y)> for every x: ``fn`` is the adjoint of the convolution.

    The problem's bias is left out: a convolution with a bias is not linear.

    Args:
      fn: called as ``fn(y, kernel, stride=..., padding=..., dilation=...)``, where y has the shape
        of the convolution's output; also with ``groups=...`` if there are several, and with
        ``output_size=...``, the sizes of x, if they are not the default of
        :func:`jaxcnn.conv_transpose` (the smallest, or outputs times stride for a SAME padding).
      problem: any convolution.

    Raises:
      AssertionError: with the problem and the shapes or numbers that differ.

    >>> import jaxcnn
    >>> from jaxcnn.testing import ConvProblem
    >>> assert_adjoint(jaxcnn.conv_transpose, ConvProblem(size=(7,), kernel_size=(3,), stride=(2,)))
    """
    with checking("fn is the adjoint of conv", problem):
        with problem.x64():
            x, kernel, _ = problem.arrays()
            y = problem.random_array(problem.output_shape, _OUTPUT)
            got = np.asarray(fn(y, kernel, **_arguments(problem)))
        chex.assert_shape(got, x.shape, custom_message="fn(y), expected the shape of x")
        gradients, magnitudes = Definition(problem, None).gradients((x, kernel, None), y)
        roundings = problem.gradient_roundings[0]
        assert_sums_close(got, gradients[0], magnitudes[0], roundings=roundings, what="fn(y)")


def _arguments(problem: ConvProblem) -> dict[str, Any]:
    """The keyword arguments of the transposed convolution."""
    kwargs = {key: problem.kwargs[key] for key in ("stride", "padding", "dilation")}
    if problem.groups != 1:
        kwargs["groups"] = problem.groups
    back = conv_transpose_shapes(problem.output_shape, problem.kernel_shape, **kwargs)
    if back.input != problem.x_shape:
        kwargs["output_size"] = problem.size
    return kwargs
