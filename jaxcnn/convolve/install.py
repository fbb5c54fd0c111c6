"""Applies the choice to every convolution and pool that this process compiles.

lax's own primitives keep their derivative and batching rules; only their lowering is replaced: for
CPUs by the choice, for other platforms by lax's own without XLA's known faults. The gradients that
lax's rules emit (base dilation, batch groups, exchanged dimensions) are canonical problems too, and
each gets its own choice.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax

from jaxcnn.convolve import lower, pool_lowerings
from jaxcnn.convolve.jax_internals import register_lowering
from jaxcnn.convolve.primitive import LAX

if TYPE_CHECKING:
    from types import TracebackType

    from jax.extend.core import Primitive

    Rules = dict[tuple[Primitive, str | None], Any]

_OURS: Rules = {(LAX, name): partial(lower.lower_lax, r) for name, r in lower.LAX_RULES.items()}
_OURS[LAX, "cpu"] = partial(lower.lower_conv, "cpu")
_OURS |= {(primitive, "cpu"): rule for primitive, rule in pool_lowerings.RULES.items()}
_LAXS: Rules = {(LAX, name): rule for name, rule in lower.LAX_RULES.items()}
_LAXS |= {(primitive, "cpu"): rule for primitive, rule in pool_lowerings.LAX_RULES.items()}
_in_place = _LAXS


class Installed:
    """The result of :func:`install`: a context manager that restores the previous lowerings."""

    def __init__(self, before: Rules) -> None:
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
    """Use the chosen algorithm for every convolution that is compiled for a CPU.

    This includes the convolutions of Flax, Equinox, Haiku and Keras, ``lax.conv_general_dilated``
    itself, and their gradients. JAX discards all programs that it has compiled before
    (:func:`jax.clear_caches`) and compiles them again. Other platforms keep lax's algorithm;
    there, too, XLA's faults in programs that several devices share are avoided. Importing jaxcnn
    does not install.

    Returns:
      A context manager that restores the previous state on exit.

    >>> import jax.numpy as jnp
    >>> with install():
    ...     y = jax.lax.conv(jnp.ones((1, 3, 7, 7)), jnp.ones((6, 3, 3, 3)), (1, 1), "VALID")
    >>> y.shape
    (1, 6, 5, 5)
    """
    return Installed(_register(_OURS))


def uninstall() -> None:
    """Restore lax's own lowering; does nothing if nothing is installed."""
    _register(_LAXS)


def _register(rules: Rules) -> Rules:
    """Register these rules and return the previous ones."""
    global _in_place
    before, _in_place = _in_place, rules
    for (primitive, platform), rule in rules.items():
        register_lowering(primitive, rule, platform=platform)
    jax.clear_caches()
    return before
