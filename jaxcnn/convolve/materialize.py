"""Arrays that CPUs compute once and store, although each tap of a window reads them.

Otherwise XLA computes such an array again for each read, back to the preceding convolution.
"""

from __future__ import annotations

from functools import partial

import jax
from jax import lax
from jax.experimental import jet
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import Primitive

from jaxcnn.convolve.jax_internals import (
    compile_eagerly,
    define_elementwise_batching,
    define_linear,
    lower_program,
    register_lowering,
)

materialize_p = Primitive("jaxcnn_materialize")


def materialize(x: jax.Array) -> jax.Array:
    """x, computed once and stored on CPUs."""
    return materialize_p.bind(x, stored=True)


def materialize_cotangent(x: jax.Array) -> jax.Array:
    """x, whose cotangent is computed once and stored on CPUs."""
    return materialize_p.bind(x, stored=False)


def _store_on_cpu(x: jax.Array, *, stored: bool) -> jax.Array:
    if not stored:
        return x
    # XLA:CPU drops barriers before it fuses, but does not fuse into a call that is not inlined.
    with set_xla_metadata(inlineable="false"):
        return jax.jit(lax.optimization_barrier)(x)


compile_eagerly(materialize_p)
materialize_p.def_abstract_eval(lambda x, **_: x)
define_linear(materialize_p, lambda g, _, *, stored: [materialize_p.bind(g, stored=not stored)])
define_elementwise_batching(materialize_p)
jet.deflinear(materialize_p)
register_lowering(materialize_p, lambda _context, x, **_: [x])
register_lowering(
    materialize_p,
    lambda context, x, **params: lower_program(partial(_store_on_cpu, **params), context, x),
    "cpu",
)
