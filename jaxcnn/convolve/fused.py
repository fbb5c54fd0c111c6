"""A convolution with its bias and activation, as one operation for JAX.

Where oneDNN computes the convolution it adds the bias and applies a ReLU in the same pass;
elsewhere the three are compiled one after another. What the operation is, its parameter
``call_jaxpr`` says, a program in JAX's own terms. The derivative needs no second forward pass: that
of a ReLU is 1 where the result is positive and 0 elsewhere (as :func:`jax.nn.relu` has it at 0).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Primitive, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir

from jaxcnn.activations import ACTIVATIONS
from jaxcnn.convolve.algorithms import onednn
from jaxcnn.convolve.algorithms.algorithm import trimmed
from jaxcnn.convolve.choose import named_or_chosen
from jaxcnn.convolve.layout import channels_last, operation
from jaxcnn.convolve.lower import bare, closed_in, is_partitioned
from jaxcnn.convolve.primitive import conv_general_dilated, conv_p

fused_p = Primitive("jaxcnn_fused_conv")


def conv_bias_activation(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array,
    activation: str,
    *,
    algorithm: str | None = None,
    **arguments: Any,
) -> jax.Array:
    """activation(conv(x, kernel) + bias).

        x: (N, *spatial, C)      kernel: (*F, C // groups, O)      bias: (O,)
        returns (N, *k, O)

    Args:
      x, kernel, bias: of one dtype; channels last.
      activation: one that oneDNN knows, :data:`jaxcnn.convolve.algorithms.onednn.ACTIVATIONS`.
      algorithm, arguments: as in :func:`jaxcnn.conv_general_dilated`.
    """
    convolution = partial(
        conv_general_dilated,
        dimension_numbers=channels_last(x.ndim - 2),
        algorithm=algorithm,
        **arguments,
    )
    program = _program(
        jax.typeof(x), jax.typeof(kernel), jax.typeof(bias), activation, _Key(convolution)
    )
    return fused_p.bind(x, kernel, bias, activation=activation, call_jaxpr=program)


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
def _program(x: Any, kernel: Any, bias: Any, activation: str, convolution: _Key) -> ClosedJaxpr:
    """The three as one program; the same object for the same call, so that it is compiled once."""

    def apply(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        return ACTIVATIONS[activation].function(convolution.function(x, kernel) + bias)

    return jax.make_jaxpr(apply)(x, kernel, bias)


def _unfused(*operands: Any, call_jaxpr: ClosedJaxpr, **_: Any) -> jax.Array:
    return jaxpr_as_fun(call_jaxpr)(*operands)[0]


def _convolution(call_jaxpr: ClosedJaxpr) -> dict[str, Any]:
    """The parameters of the program's convolution."""
    return next(eqn.params for eqn in call_jaxpr.eqns if eqn.primitive is conv_p)


def _derivative(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
    """The tangent of the sum, where the result is positive."""
    x, kernel, _ = primals
    of_x, of_kernel, of_bias = tangents
    y = fused_p.bind(*primals, **params)
    convolve = partial(conv_p.bind, **_convolution(params["call_jaxpr"]))
    terms = []
    if type(of_x) is not ad.Zero:
        terms.append(convolve(of_x, kernel))
    if type(of_kernel) is not ad.Zero:
        terms.append(convolve(x, of_kernel))
    if type(of_bias) is not ad.Zero:
        terms.append(jnp.broadcast_to(of_bias, y.shape))
    total = sum(terms[1:], terms[0])
    if params["activation"] == "relu":
        total = jnp.where(y > 0, total, jnp.zeros_like(total))
    return y, total


def _batched(arrays: Sequence[Any], dims: Sequence[int | None], **params: Any) -> tuple[Any, int]:
    return jax.vmap(partial(_unfused, **params), in_axes=tuple(dims))(*arrays), 0


def _lower_on_cpu(
    context: mlir.LoweringRuleContext, *operands: Any, activation: str, call_jaxpr: ClosedJaxpr
) -> Any:
    """One call where the convolution is oneDNN's, else the program."""
    params = dict(_convolution(call_jaxpr))
    algorithm = params.pop("algorithm")
    described = operation(*context.avals_in[:2], params)
    program = partial(_unfused, call_jaxpr=call_jaxpr)
    if described is not None and not is_partitioned(context):
        closed = closed_in(context)
        if named_or_chosen(described.problem, algorithm, closed) == "onednn":

            def program(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
                problem, x = trimmed(described.problem, x)
                return onednn.call(problem, x, kernel, bias, activation)

    return mlir.lower_fun(program, multiple_results=False)(bare(context), *operands)


@partial(jax.jit, static_argnames=("activation", "call_jaxpr"))
def _compiled(*operands: jax.Array, activation: str, call_jaxpr: ClosedJaxpr) -> jax.Array:
    return fused_p.bind(*operands, activation=activation, call_jaxpr=call_jaxpr)


fused_p.def_impl(_compiled)
fused_p.def_abstract_eval(lambda *_, call_jaxpr, **__: call_jaxpr.out_avals[0])
ad.primitive_jvps[fused_p] = _derivative
batching.primitive_batchers[fused_p] = _batched
mlir.register_lowering(fused_p, mlir.lower_fun(_unfused, multiple_results=False))
mlir.register_lowering(fused_p, _lower_on_cpu, platform="cpu")
