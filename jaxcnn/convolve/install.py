"""The choice for every convolution and pool that is compiled in this process, whoever asks for it.

lax's own primitives keep their derivatives and their batching; what changes is how they are lowered
for CPUs. The gradients that lax's rules emit (base dilation, batch groups, exchanged dimensions)
are the same canonical problems and get their own choice.
"""

from __future__ import annotations

from functools import partial
from types import TracebackType
from typing import Any

import jax
from jax.extend.core import Primitive
from jax.interpreters import mlir

from jaxcnn.convolve import pool_lowerings
from jaxcnn.convolve.lower import LAX_RULES, lower_on
from jaxcnn.convolve.primitive import LAX

_RULES: dict[Primitive, Any] = {LAX: partial(lower_on, "cpu"), **pool_lowerings.RULES}
_BEFORE: dict[Primitive, Any] = {LAX: LAX_RULES["cpu"], **pool_lowerings.LAX_RULES}
_in_place = _BEFORE


class Installed:
    """What :func:`install` returns: a context manager that leaves what it found."""

    def __init__(self, before: dict[Primitive, Any]) -> None:
        self._before = before

    def __enter__(self) -> Installed:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _register(self._before)


def install() -> Installed:
    """From now on every convolution compiled for a CPU goes by the algorithm that fits.

    Whoever asks for it: Flax, Equinox, Haiku, Keras, or ``lax.conv_general_dilated`` itself, and
    their gradients. What JAX has compiled already is forgotten (:func:`jax.clear_caches`), so that
    it is compiled anew. Other platforms keep lax's lowering. Importing jaxcnn installs nothing.

    Returns:
      A context manager; leaving it uninstalls, unless it was installed before.

    >>> import jax.numpy as jnp
    >>> with install():
    ...     y = jax.lax.conv(jnp.ones((1, 3, 7, 7)), jnp.ones((6, 3, 3, 3)), (1, 1), "VALID")
    >>> y.shape
    (1, 6, 5, 5)
    """
    return Installed(_register(_RULES))


def uninstall() -> None:
    """lax's own lowering again; nothing happens where nothing is installed."""
    _register(_BEFORE)


def _register(rules: dict[Primitive, Any]) -> dict[Primitive, Any]:
    """Puts these rules in place; returns those that were."""
    global _in_place
    before, _in_place = _in_place, rules
    for primitive, rule in rules.items():
        mlir.register_lowering(primitive, rule, platform="cpu")
    jax.clear_caches()
    return before
