"""The convolution as a JAX primitive of our own.

The primitive has the parameters of lax's primitive, with the same meaning. Its rules (shapes, both
transposes, batching, Taylor mode) run lax's rule for the same call and bind jaxcnn's primitive for
every convolution in it. So derivatives of every order and mode are convolutions whose algorithm is
chosen when they are compiled (:mod:`jaxcnn.convolve.lower`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
from jax import lax
from jax.experimental import jet
from jax.extend.core import Literal, Primitive

from jaxcnn.convolve.jax_internals import (
    check_nans,
    compile_eagerly,
    define_batching_by_axis,
    define_bilinear,
    lax_batching,
    lax_transpose,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jax.extend.core import ClosedJaxpr

LAX = lax.conv_general_dilated_p

conv_p = Primitive("jaxcnn_conv")
"""A convolution by the algorithm that is chosen when it is compiled."""

direct_p = Primitive("jaxcnn_direct_conv")
"""A convolution by lax, whatever is installed; for use in algorithms, so without derivatives."""


def evaluate(jaxpr: ClosedJaxpr, algorithm: str | None, arrays: Sequence[Any]) -> list[Any]:
    """The results of a program, with :data:`conv_p` in place of lax's convolutions."""
    values = dict(zip(jaxpr.jaxpr.constvars, jaxpr.consts, strict=True))
    values |= zip(jaxpr.jaxpr.invars, arrays, strict=True)

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else values[atom]

    for equation in jaxpr.jaxpr.eqns:
        primitive, params = equation.primitive, equation.params
        if primitive is LAX:
            primitive, params = conv_p, {**params, "algorithm": algorithm}
        results = primitive.bind(*map(read, equation.invars), **params)
        if not primitive.multiple_results:
            results = [results]
        values |= zip(equation.outvars, results, strict=True)
    return list(map(read, jaxpr.jaxpr.outvars))


def _with_ours(function: Callable[..., Any], algorithm: str | None, *arrays: Any) -> Any:
    """``function(*arrays)`` with :data:`conv_p` in place of lax's convolutions."""
    return evaluate(jax.make_jaxpr(function)(*arrays), algorithm, arrays)[0]


def _output_type(x: Any, kernel: Any, *, algorithm: str | None = None, **params: Any) -> Any:
    del algorithm
    aval, _ = LAX.abstract_eval(x, kernel, **params)
    return aval


def _transpose(
    which: int, g: jax.Array, x: Any, kernel: Any, *, algorithm: str | None, **params: Any
) -> jax.Array:
    """The cotangent of operand ``which``, of which only the type is given."""
    operands = [x, kernel]
    cotangent = partial(lax_transpose, LAX, which, operands[which].aval, **params)
    return _with_ours(cotangent, algorithm, g, operands[1 - which])


def _batch(
    axis: Any,
    arrays: Sequence[Any],
    dims: Sequence[int | None],
    *,
    algorithm: str | None,
    **params: Any,
) -> tuple[jax.Array, Any]:
    out_dims: list[Any] = []

    def apply(*arrays: jax.Array) -> jax.Array:
        y, dim = lax_batching(LAX)(axis, arrays, dims, **params)
        out_dims.append(dim)
        return y

    return _with_ours(apply, algorithm, *arrays), out_dims[0]


def _taylor(primals: Sequence[Any], series: Sequence[Any], **params: Any) -> tuple[Any, list[Any]]:
    """The product rule of power series: term k sums the convolutions of terms j and k - j."""
    x, kernel = ([primal, *terms] for primal, terms in zip(primals, series, strict=True))
    terms = [
        sum(conv_p.bind(x[j], kernel[k - j], **params) for j in range(k + 1)) for k in range(len(x))
    ]
    return terms[0], terms[1:]


for _primitive in (conv_p, direct_p):
    compile_eagerly(_primitive)
    _primitive.def_abstract_eval(_output_type)
define_bilinear(conv_p, partial(_transpose, 0), partial(_transpose, 1))
define_batching_by_axis(conv_p, _batch)
jet.jet_rules[conv_p] = _taylor
check_nans(conv_p)
