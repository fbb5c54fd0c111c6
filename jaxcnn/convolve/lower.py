"""Where a convolution is compiled: what is known there, and what is made of it.

On CPUs the choice is made; elsewhere lax's own lowering stands.
"""

from __future__ import annotations

from typing import Any

import jax
from jax.interpreters import mlir

from jaxcnn.convolve.choose import ONEDNN, named_or_chosen, solve
from jaxcnn.convolve.layout import operation
from jaxcnn.convolve.primitive import LAX, conv_p, direct_p

LAX_RULES = {
    platform: rules[LAX].rule
    for platform, rules in mlir._platform_specific_lowerings.items()
    if LAX in rules
}
"""lax's own lowerings, as they are before anything is installed; None is the common one."""
LAX_RULES[None] = mlir._lowerings[LAX].rule


def lower_on_cpu(
    context: mlir.LoweringRuleContext,
    x: Any,
    kernel: Any,
    *,
    algorithm: str | None = None,
    **params: Any,
) -> Any:
    """The chosen algorithm's program, or lax's where that is the choice."""
    described = operation(*context.avals_in, params)
    if described is None or _partitioned(context):
        return LAX_RULES["cpu"](context, x, kernel, **params)
    closed = ONEDNN if context.module_context.lowering_parameters.for_export else frozenset()
    problem = described.problem
    name = named_or_chosen(problem, algorithm, closed)
    if name == "direct":
        return LAX_RULES["cpu"](context, x, kernel, **params)

    def program(x: jax.Array, kernel: jax.Array) -> jax.Array:
        y = solve(problem, *described.canonical(x, kernel), name=name, closed=closed)
        return described.restored(y)

    # Of which mesh axes a device's part varies over, a program that is never transformed again
    # need not know.
    bare = context.replace(
        avals_in=[jax.core.ShapedArray(aval.shape, aval.dtype) for aval in context.avals_in]
    )
    return mlir.lower_fun(program, multiple_results=False)(bare, x, kernel)


def _partitioned(context: mlir.LoweringRuleContext) -> bool:
    """Whether several devices share the program and XLA divides it among them.

    XLA knows how to divide lax's convolution, and nothing of a custom call.
    """
    axes = context.module_context.axis_context
    if isinstance(axes, mlir.ShardingContext):
        return axes.num_devices > 1
    mesh = getattr(axes, "mesh", None)
    if mesh is None:
        return False
    return any(size > 1 for name, size in mesh.shape.items() if name not in axes.manual_axes)


def _as_lax(
    context: mlir.LoweringRuleContext, *operands: Any, algorithm: Any = None, **params: Any
) -> Any:
    del algorithm
    return LAX_RULES[None](context, *operands, **params)


for _platform, _rule in LAX_RULES.items():
    mlir.register_lowering(direct_p, _rule, platform=_platform)

    def _elsewhere(context, *operands, algorithm=None, _rule=_rule, **params):
        return _rule(context, *operands, **params)

    mlir.register_lowering(conv_p, _elsewhere, platform=_platform)
mlir.register_lowering(conv_p, lower_on_cpu, platform="cpu")
