"""What every primitive of ours needs beside its mathematics: it runs alone, and a NaN is found.

Shapes, derivatives, batching and lowering stand where the primitive is defined.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module

from jax.extend.core import Primitive
from jax.interpreters import xla


def run_alone(primitive: Primitive) -> None:
    """Outside of any program the primitive is compiled as a program of its own.

    That holds under :func:`jax.disable_jit` too, as for JAX's own primitives.
    """
    primitive.def_impl(partial(xla.apply_primitive, primitive))


def report_nans(primitive: Primitive) -> None:
    """``checkify`` with float checks says where the primitive made a NaN.

    JAX gives the table of these rules no public name. Where a version keeps it elsewhere, a NaN is
    reported by the operation that reads it next.
    """
    try:
        checkify = import_module("jax._src.checkify")
        checkify.error_checks[primitive] = partial(checkify.nan_error_check, primitive)
    except (ImportError, AttributeError):
        pass
