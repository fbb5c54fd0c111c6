"""The convolution as a JAX primitive of our own, and the drop-in for lax's function.

It has the parameters of lax's primitive and means the same by them. Its rules (shapes, both
transposes, batching, Taylor mode) are lax's, played again on our primitive: whatever lax's rule for
a call computes by convolutions, ours computes by ours. So derivatives of every order and in every
mode are convolutions that are chosen for when they are compiled (:mod:`jaxcnn.convolve.lower`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.experimental import jet
from jax.extend.core import ClosedJaxpr, Literal, Primitive
from jax.interpreters import ad, batching
from jax.typing import DTypeLike

from jaxcnn.convolve.rules import report_nans, run_alone

LAX = lax.conv_general_dilated_p

conv_p = Primitive("jaxcnn_conv")
"""Computed by the algorithm that is chosen where it is compiled."""

direct_p = Primitive("jaxcnn_direct_conv")
"""Computed by lax, whatever is installed: what algorithms are made of, so it has no derivative."""


def conv_general_dilated(
    lhs: jax.Array,
    rhs: jax.Array,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: DTypeLike | None = None,
    out_sharding: Any = None,
    *,
    algorithm: str | None = None,
) -> jax.Array:
    """:func:`jax.lax.conv_general_dilated`, computed by the algorithm that fits.

    Takes the same arguments, means the same by them, refuses the same, and can be differentiated,
    batched, exported and sharded in the same ways. The kernel is called rhs here, as lax has it.

    Args:
      lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation, dimension_numbers,
        feature_group_count, batch_group_count, precision, preferred_element_type, out_sharding: as
        in :func:`jax.lax.conv_general_dilated`.
      algorithm: None chooses; a name of :data:`jaxcnn.convolve.ALGORITHMS` asks for that one, where
        it supports the case, in this direction and in the gradients.

    Raises:
      ValueError, TypeError: as lax does; ValueError for an unknown algorithm.

    >>> import jax.numpy as jnp
    >>> x, kernel = jnp.ones((1, 3, 7, 7)), jnp.ones((6, 3, 3, 3))
    >>> conv_general_dilated(x, kernel, (1, 1), "VALID").shape
    (1, 6, 5, 5)
    """
    if algorithm is not None:
        from jaxcnn.convolve.choose import check_name  # which is made of these primitives

        check_name(algorithm)
    traced = _lax.trace(
        lhs,
        rhs,
        window_strides=_frozen(window_strides),
        padding=_frozen(padding),
        lhs_dilation=_frozen(lhs_dilation),
        rhs_dilation=_frozen(rhs_dilation),
        dimension_numbers=_frozen(dimension_numbers),
        feature_group_count=feature_group_count,
        batch_group_count=batch_group_count,
        precision=_frozen(precision),
        preferred_element_type=preferred_element_type,
        out_sharding=out_sharding,
    )
    return _evaluated(traced.jaxpr, algorithm, (lhs, rhs))[0]


# Traced by way of jit, which remembers: a call from Python need not trace lax's function anew.
_lax = jax.jit(
    lax.conv_general_dilated,
    static_argnames=(
        "window_strides",
        "padding",
        "lhs_dilation",
        "rhs_dilation",
        "dimension_numbers",
        "feature_group_count",
        "batch_group_count",
        "precision",
        "preferred_element_type",
        "out_sharding",
    ),
)


def _frozen(argument: Any) -> Any:
    """Lists as tuples, all the way down, so that the argument can be looked up."""
    if type(argument) in (list, tuple, np.ndarray):
        return tuple(map(_frozen, argument))
    return argument


def _played_again(function: Callable[..., Any], algorithm: str | None, *arrays: Any) -> Any:
    """``function(*arrays)`` with every convolution of lax's bound as one of ours."""
    return _evaluated(jax.make_jaxpr(function)(*arrays), algorithm, arrays)[0]


def _evaluated(jaxpr: ClosedJaxpr, algorithm: str | None, arrays: Sequence[Any]) -> list[Any]:
    """What the program computes, every convolution of lax's in it bound as one of ours."""
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


def _type_of(x: Any, kernel: Any, *, algorithm: str | None = None, **params: Any) -> Any:
    aval, _ = LAX.abstract_eval(x, kernel, **params)
    return aval


def _transposed(
    which: int, g: jax.Array, x: Any, kernel: Any, *, algorithm: str | None, **params: Any
) -> jax.Array | ad.Zero:
    rule = ad.primitive_transposes[LAX]
    operands = [x, kernel]
    unknown = operands[which].aval

    def cotangent(g: jax.Array, known: jax.Array) -> jax.Array:
        given: list[Any] = [known, known]
        given[which] = ad.UndefinedPrimal(unknown)
        return ad.instantiate_zeros(rule(g, *given, **params)[which])

    return _played_again(cotangent, algorithm, g, operands[1 - which])


def _batched(
    axis: Any,
    arrays: Sequence[Any],
    dims: Sequence[int | None],
    *,
    algorithm: str | None,
    **params: Any,
) -> tuple[jax.Array, Any]:
    place: list[Any] = []

    def apply(*arrays: jax.Array) -> jax.Array:
        y, dim = batching.fancy_primitive_batchers[LAX](axis, arrays, dims, **params)
        place.append(dim)
        return y

    return _played_again(apply, algorithm, *arrays), place[0]


def _taylor(primals: Sequence[Any], series: Sequence[Any], **params: Any) -> tuple[Any, list[Any]]:
    """The product rule of power series: term k is the sum of the convolutions of j and k - j."""
    x, kernel = ([primal, *terms] for primal, terms in zip(primals, series, strict=True))
    terms = [
        sum(conv_p.bind(x[j], kernel[k - j], **params) for j in range(k + 1)) for k in range(len(x))
    ]
    return terms[0], terms[1:]


for _primitive in (conv_p, direct_p):
    run_alone(_primitive)
    _primitive.def_abstract_eval(_type_of)
ad.defbilinear(conv_p, partial(_transposed, 0), partial(_transposed, 1))
batching.fancy_primitive_batchers[conv_p] = _batched
jet.jet_rules[conv_p] = _taylor
report_nans(conv_p)
