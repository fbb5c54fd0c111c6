"""A convolution with its bias, as one operation for JAX.

Where oneDNN computes the convolution it adds the bias in the same pass; elsewhere the two are
compiled one after the other. What the operation is, its parameter ``call_jaxpr`` says, a program in
JAX's own terms. Its derivative is made of convolutions alone: no second forward pass.

oneDNN would apply a ReLU in the same pass too, but one that makes 0 of a NaN; a network that has
diverged would look like one that is merely silent. So activations stay with XLA, which fuses them
with what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Primitive, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir

from jaxcnn.convolve.algorithms import onednn
from jaxcnn.convolve.algorithms.algorithm import trimmed
from jaxcnn.convolve.choose import named_or_chosen
from jaxcnn.convolve.layout import channels_last, operation
from jaxcnn.convolve.lower import bare, closed_in, is_partitioned
from jaxcnn.convolve.primitive import conv_general_dilated, conv_p

biased_p = Primitive("jaxcnn_biased_conv")


def conv_with_bias(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array,
    *,
    algorithm: str | None = None,
    **arguments: Any,
) -> jax.Array:
    """conv(x, kernel) + bias.

        x: (N, *spatial, C)      kernel: (*F, C // groups, O)      bias: (O,)
        returns (N, *k, O)

    Args:
      x, kernel, bias: of one dtype; channels last.
      algorithm, arguments: as in :func:`jaxcnn.conv_general_dilated`.
    """
    convolution = partial(
        conv_general_dilated,
        dimension_numbers=channels_last(x.ndim - 2),
        algorithm=algorithm,
        **arguments,
    )
    program = _program(jax.typeof(x), jax.typeof(kernel), jax.typeof(bias), _Key(convolution))
    return biased_p.bind(x, kernel, bias, call_jaxpr=program)


class _Key:
    """A partial function, equal to others of the same parts."""

    def __init__(self, function: Callable[..., jax.Array]) -> None:
        self.function = function
        self._parts = (function.func, tuple(sorted(function.keywords.items())))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self._parts == other._parts

    def __hash__(self) -> int:
        return hash(self._parts)


@lru_cache(maxsize=4096)
def _program(x: Any, kernel: Any, bias: Any, convolution: _Key) -> ClosedJaxpr:
    """The two as one program; the same object for the same call, so that it is compiled once."""

    def apply(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        return convolution.function(x, kernel) + bias

    return jax.make_jaxpr(apply)(x, kernel, bias)


def _apart(*operands: Any, call_jaxpr: ClosedJaxpr) -> jax.Array:
    return jaxpr_as_fun(call_jaxpr)(*operands)[0]


def _convolution(call_jaxpr: ClosedJaxpr) -> dict[str, Any]:
    """The parameters of the program's convolution."""
    return next(eqn.params for eqn in call_jaxpr.eqns if eqn.primitive is conv_p)


def _derivative(
    primals: Sequence[Any], tangents: Sequence[Any], *, call_jaxpr: ClosedJaxpr
) -> tuple[Any, Any]:
    x, kernel, _ = primals
    of_x, of_kernel, of_bias = tangents
    y = biased_p.bind(*primals, call_jaxpr=call_jaxpr)
    convolve = partial(conv_p.bind, **_convolution(call_jaxpr))
    terms = []
    if type(of_x) is not ad.Zero:
        terms.append(convolve(of_x, kernel))
    if type(of_kernel) is not ad.Zero:
        terms.append(convolve(x, of_kernel))
    if type(of_bias) is not ad.Zero:
        terms.append(jnp.broadcast_to(of_bias, y.shape))
    return y, sum(terms[1:], terms[0])


def _batched(arrays: Sequence[Any], dims: Sequence[int | None], **params: Any) -> tuple[Any, int]:
    return jax.vmap(partial(_apart, **params), in_axes=tuple(dims))(*arrays), 0


def _lower_on_cpu(
    context: mlir.LoweringRuleContext, *operands: Any, call_jaxpr: ClosedJaxpr
) -> Any:
    """One call where the convolution is oneDNN's, else the two apart."""
    params = dict(_convolution(call_jaxpr))
    algorithm = params.pop("algorithm")
    described = operation(*context.avals_in[:2], params)
    program = partial(_apart, call_jaxpr=call_jaxpr)
    if described is not None and not is_partitioned(context):
        closed = closed_in(context)
        if named_or_chosen(described.problem, algorithm, closed) == "onednn":

            def program(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
                problem, x = trimmed(described.problem, x)
                return onednn.call(problem, x, kernel, bias)

    return mlir.lower_fun(program, multiple_results=False)(bare(context), *operands)


@partial(jax.jit, static_argnames="call_jaxpr")
def _compiled(*operands: jax.Array, call_jaxpr: ClosedJaxpr) -> jax.Array:
    return biased_p.bind(*operands, call_jaxpr=call_jaxpr)


biased_p.def_impl(_compiled)
biased_p.def_abstract_eval(lambda *_, call_jaxpr: call_jaxpr.out_avals[0])
ad.primitive_jvps[biased_p] = _derivative
batching.primitive_batchers[biased_p] = _batched
mlir.register_lowering(biased_p, mlir.lower_fun(_apart, multiple_results=False))
mlir.register_lowering(biased_p, _lower_on_cpu, platform="cpu")
