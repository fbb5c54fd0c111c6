"""CPU lowering: describe the call, choose an algorithm, emit it.

On other platforms lax's own lowering is used unless an algorithm is named, or unless :mod:`.nvidia`
has a better program. Calls that go to lax avoid XLA's known faults (:mod:`.known_faults`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from jaxcnn.convolve import nvidia, partitioned
from jaxcnn.convolve.algorithms import ALGORITHMS
from jaxcnn.convolve.choose import (
    KERNELS,
    NO_LAYOUT_COST,
    layout_cost,
    named_or_chosen,
    program_in_layout,
    solve,
)
from jaxcnn.convolve.jax_internals import (
    Context,
    is_exported,
    is_partitioned,
    lax_lowerings,
    lower_program,
    operand_types,
    register_lowering,
)
from jaxcnn.convolve.known_faults import crop, crops, keep_whole
from jaxcnn.convolve.layout import describe
from jaxcnn.convolve.primitive import LAX, conv_p, direct_p

if TYPE_CHECKING:
    import jax

    from jaxcnn.convolve.layout import Operation

LAX_RULES = lax_lowerings(LAX)
"""lax's own lowerings, read before anything is installed; None is the default."""

HOST_ONLY = frozenset(name for name, kernel in KERNELS.items() if kernel.host_only)
LAYOUT_READERS = frozenset(name for name, kernel in KERNELS.items() if kernel.in_layout)


def lower_conv(
    platform: str | None,
    context: Context,
    x: Any,
    kernel: Any,
    *,
    algorithm: str | None = None,
    **params: Any,
) -> Any:
    """Emits the chosen algorithm's program, or lax's if the direct call is chosen.

    Args:
      platform: the platform to lower for; None for one without its own rules.
      context, x, kernel, params: as in lax's own rule.
      algorithm: the name of an algorithm to use if it supports the call.
    """
    rule = LAX_RULES.get(platform, LAX_RULES[None])
    x_type, kernel_type = operand_types(context)
    operation = describe(x_type, kernel_type, params)
    if operation is None or operation.problem.is_empty or is_partitioned(context):
        return lower_lax(rule, context, x, kernel, **params)
    problem, excluded = operation.problem, excluded_in(context, platform, algorithm)
    if platform == "cuda" and not _is_used(algorithm, operation, excluded):
        instead = nvidia.program(operation, params)
        if instead is not None:
            return lower_program(instead, context, x, kernel)
    layout = NO_LAYOUT_COST if excluded >= LAYOUT_READERS else layout_cost(operation)
    name = named_or_chosen(problem, algorithm, excluded, layout)
    # On CPUs batch groups become feature groups: lax is up to a hundred times slower with them.
    if name == "direct" and (operation.batch_groups == 1 or platform != "cpu"):
        return lower_lax(rule, context, x, kernel, **params)
    in_layout = program_in_layout(name, operation) if name in layout.exempt else None
    if in_layout is not None:
        return lower_program(in_layout, context, x, kernel)
    takes_forward = ALGORITHMS[name].takes_forward_operands
    to_forward = takes_forward and operation.batch_groups == problem.groups
    to_canonical = operation.forward_operands if to_forward else operation.canonical

    def program(x: jax.Array, kernel: jax.Array) -> jax.Array:
        y = solve(
            problem,
            *to_canonical(x, kernel),
            name=name,
            excluded=excluded,
            given_forward_operands=to_forward,
        )
        return operation.lax_output(y)

    return lower_program(program, context, x, kernel)


def excluded_in(context: Context, platform: str | None, algorithm: str | None) -> frozenset[str]:
    """The algorithms that may not be used in a program.

    In programs exported for CPUs these are the algorithms bound to this machine. On other platforms
    they are all but the direct call and the named one, because costs were not measured there.
    """
    if platform != "cpu":
        return HOST_ONLY | (frozenset(ALGORITHMS) - {"direct", algorithm})
    return HOST_ONLY if is_exported(context) else frozenset()


def _is_used(algorithm: str | None, operation: Operation, excluded: frozenset[str]) -> bool:
    """Whether the named algorithm, if any, may be used and supports the call."""
    if algorithm is None or algorithm in excluded:
        return False
    problem, _ = operation.problem.trimmed()
    return not ALGORITHMS[algorithm].unsupported_reason(problem)


def lower_lax(
    rule: Any,
    context: Context,
    x: Any,
    kernel: Any,
    *,
    algorithm: str | None = None,
    **params: Any,
) -> Any:
    """lax's lowering rule for its primitive or ours, without XLA's known faults."""
    del algorithm
    x_type, kernel_type = operand_types(context)
    axes, padding = params["dimension_numbers"].lhs_spec[2:], params["padding"]
    if crops(x_type.shape, axes, padding):

        def program(x: jax.Array, kernel: jax.Array) -> jax.Array:
            x, left = crop(x, axes, padding, params["lhs_dilation"])
            return direct_p.bind(x, kernel, **{**params, "padding": tuple(left)})

        return lower_program(program, context, x, kernel)
    if not is_partitioned(context):
        return rule(context, x, kernel, **params)
    operation = describe(x_type, kernel_type, params)
    if operation is not None and partitioned.supports(operation):
        gradient = partial(partitioned.kernel_gradient, operation)
        return lower_program(gradient, context, x, kernel)
    x, kernel = keep_whole(x, kernel, (x_type.shape, kernel_type.shape), params)
    return rule(context, x, kernel, **params)


def register() -> None:
    """Register the lowerings of our two primitives, on every platform that lax has rules for."""
    for platform, rule in LAX_RULES.items():
        register_lowering(direct_p, partial(lower_lax, rule), platform=platform)
        register_lowering(conv_p, partial(lower_conv, platform), platform=platform)
