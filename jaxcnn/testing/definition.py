"""The definition a function is held against, evaluated in float64, with its terms' magnitudes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.testing.problems import Arrays, Problem

# What is compiled here runs two or three times, on small arrays.
_COMPILER = {"xla_backend_optimization_level": 0}


class Definition:
    """A reference with the arguments of one problem; its shapes serve every dtype and seed."""

    def __init__(self, problem: Problem, reference: Callable[..., jax.Array] | None) -> None:
        self._problem = problem
        call = partial(problem.call, reference or problem.reference)

        def pull_back(arrays: Arrays, cotangent: jax.Array) -> Arrays:
            return jax.vjp(call, *arrays)[1](cotangent)

        self._values = jax.jit(lambda arrays: call(*arrays), compiler_options=_COMPILER)
        self._gradients = jax.jit(pull_back, compiler_options=_COMPILER)

    def values(self, arrays: Arrays) -> tuple[np.ndarray, np.ndarray]:
        """The outputs for these very numbers, and the sums of their terms' magnitudes."""
        with jax.enable_x64(True):
            exact = _widened(arrays)
            want, largest = self._values(exact), self._values(self._problem.majorant(*exact))
            return np.asarray(want), np.asarray(largest)

    def gradients(self, arrays: Arrays, cotangent: jax.Array) -> tuple[Arrays, Arrays]:
        """The gradients for this cotangent, and the sums of their terms' magnitudes."""
        with jax.enable_x64(True):
            exact, cotangent = _widened(arrays), _wide(cotangent)
            want = self._gradients(exact, cotangent)
            largest = self._gradients(self._problem.majorant(*exact), abs(cotangent))
            return jax.tree.map(np.asarray, (want, largest))


def _widened(arrays: Arrays) -> Arrays:
    return jax.tree.map(_wide, arrays)


def _wide(array: jax.Array) -> jax.Array:
    return jnp.asarray(np.asarray(array, np.float64))
