"""The definition in float64, to compare functions with, and its terms' magnitudes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxcnn.testing.problems import Arrays, Problem

# Each program runs two or three times, on small arrays: it is not worth optimising.
_COMPILER = {"xla_backend_optimization_level": 0}


class Definition:
    """A reference with the arguments of one problem, compiled once for every dtype and seed."""

    def __init__(self, problem: Problem, reference: Callable[..., jax.Array] | None) -> None:
        self._problem = problem
        call = partial(problem.call, reference or problem.reference)

        def pull_back(arrays: Arrays, cotangent: jax.Array) -> Arrays:
            return jax.vjp(call, *arrays)[1](cotangent)

        self._values = jax.jit(lambda arrays: call(*arrays), compiler_options=_COMPILER)
        self._gradients = jax.jit(pull_back, compiler_options=_COMPILER)

    def values(self, arrays: Arrays) -> tuple[np.ndarray, np.ndarray]:
        """The output for these arrays, and the sums of the terms' magnitudes."""
        with jax.enable_x64(True):
            exact = _as_float64(arrays)
            want = self._values(exact)
            magnitude = self._values(self._problem.magnitude_inputs(*exact))
            return np.asarray(want), np.asarray(magnitude)

    def gradients(self, arrays: Arrays, cotangent: jax.Array) -> tuple[tuple[Any, ...], ...]:
        """The gradients for this cotangent, and the sums of their terms' magnitudes.

        Both are tuples with an entry for each array, which is None if the array is None.
        """
        with jax.enable_x64(True):
            exact, cotangent = _as_float64((arrays, cotangent))
            want = self._gradients(exact, cotangent)
            magnitudes = self._gradients(self._problem.magnitude_inputs(*exact), abs(cotangent))
            return jax.tree.map(np.asarray, (want, magnitudes))


def _as_float64(arrays: Any) -> Any:
    """The same tree of arrays in float64; 64 bits must be enabled."""
    return jax.tree.map(lambda a: jnp.asarray(np.asarray(a, np.float64)), arrays)
