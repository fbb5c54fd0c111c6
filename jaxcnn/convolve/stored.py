"""What is read once for each tap of a window is computed once and stored, on CPUs.

Left to itself, XLA computes it as often as it is read, back to the last convolution before it.
"""

from __future__ import annotations

from functools import partial

import jax
from jax import lax
from jax.experimental import jet
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxcnn.convolve.lower import lowered
from jaxcnn.convolve.rules import run_alone

whole_p = Primitive("jaxcnn_whole")


def whole(x: jax.Array) -> jax.Array:
    """x, which on CPUs is computed once and stored."""
    return whole_p.bind(x, stored=True)


def whole_when_back(x: jax.Array) -> jax.Array:
    """x; on the way back the cotangent, which on CPUs is computed once and stored."""
    return whole_p.bind(x, stored=False)


def _stored_on_cpu(x: jax.Array, *, stored: bool) -> jax.Array:
    if not stored:
        return x
    # XLA:CPU drops barriers before it fuses, but fuses nothing into a call that stays one.
    with set_xla_metadata(inlineable="false"):
        return jax.jit(lax.optimization_barrier)(x)


run_alone(whole_p)
whole_p.def_abstract_eval(lambda x, *, stored: x)
ad.deflinear2(whole_p, lambda g, x, *, stored: [whole_p.bind(g, stored=not stored)])
batching.defvectorized(whole_p)
jet.deflinear(whole_p)
mlir.register_lowering(whole_p, lambda context, x, *, stored: [x])
mlir.register_lowering(
    whole_p, lambda context, x, **how: lowered(partial(_stored_on_cpu, **how), context, x), "cpu"
)
