"""Where a convolution is compiled: what is known there, and what is made of it.

On CPUs the choice is made; elsewhere lax's own lowering stands where no algorithm is asked for by
name, but for what :mod:`.nvidia` does better. What is handed on to it goes around XLA's known
faults.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import jax
from jax.core import ShapedArray
from jax.interpreters import mlir

from jaxcnn.convolve import divided, nvidia
from jaxcnn.convolve.algorithms import ALGORITHMS, onednn
from jaxcnn.convolve.choose import AS_USUAL, ONEDNN, laying, named_or_chosen, solve
from jaxcnn.convolve.known_faults import cropped, crops, undivided
from jaxcnn.convolve.layout import operation
from jaxcnn.convolve.primitive import LAX, conv_p, direct_p

LAX_RULES: dict[str | None, Any] = {
    platform: rules[LAX].rule
    for platform, rules in mlir._platform_specific_lowerings.items()
    if LAX in rules
}
"""lax's own lowerings, as they are before anything is installed; None is the common one."""
LAX_RULES[None] = mlir._lowerings[LAX].rule


def lower_on(
    platform: str | None,
    context: mlir.LoweringRuleContext,
    x: Any,
    kernel: Any,
    *,
    algorithm: str | None = None,
    **params: Any,
) -> Any:
    """The chosen algorithm's program, or lax's where that is the choice.

    Args:
      platform: for which it is lowered; None where no rule knows it.
      context, x, kernel, params: as lax's own rule has them.
      algorithm: a name that is asked for.
    """
    rule = LAX_RULES.get(platform, LAX_RULES[None])
    x_type, kernel_type = arrays_in(context)
    described = operation(x_type, kernel_type, params)
    if described is None or described.problem.is_empty or is_partitioned(context):
        return _by_lax(rule, context, x, kernel, **params)
    problem, _ = described.problem.trimmed()
    if platform == "cuda":
        # oneDNN is not there.
        others = {name: each for name, each in ALGORITHMS.items() if name not in ONEDNN}
        named = algorithm in others and not others[algorithm].unsupported_reason(problem)
        instead = None if named else nvidia.program(described, params)
        if instead is not None:
            return lowered(instead, context, x, kernel)
    problem, closed = described.problem, closed_in(context, platform, algorithm)
    laid = AS_USUAL if closed >= ONEDNN else laying(described)
    name = named_or_chosen(problem, algorithm, closed, laid)
    # Batch groups are put otherwise on CPUs: up to a hundred times slower than feature groups.
    if name == "direct" and (described.batch_groups == 1 or platform != "cpu"):
        return _by_lax(rule, context, x, kernel, **params)

    def program(x: jax.Array, kernel: jax.Array) -> jax.Array:
        if name in laid.readers:
            return onednn.DIRECTIONS[name].emit(problem, x, kernel, described.numbers)
        of_forward = ALGORITHMS[name].of_forward and described.batch_groups == problem.groups
        put = described.of_forward if of_forward else described.canonical
        y = solve(problem, *put(x, kernel), name=name, closed=closed, of_forward=of_forward)
        return described.restored(y)

    return lowered(program, context, x, kernel)


def closed_in(
    context: mlir.LoweringRuleContext, platform: str | None, algorithm: str | None
) -> frozenset[str]:
    """The algorithms that may not be taken where this is compiled.

    On CPUs oneDNN in an exported artefact, which would be loaded on other machines, by other
    versions. Elsewhere all but the direct call and the one that is named: what they cost there has
    not been measured.
    """
    if platform != "cpu":
        return ONEDNN | (frozenset(ALGORITHMS) - {"direct", algorithm})
    return ONEDNN if context.module_context.lowering_parameters.for_export else frozenset()


def arrays_in(context: mlir.LoweringRuleContext) -> Sequence[ShapedArray]:
    """The operands' types: arrays all, of which JAX's own annotation says less."""
    return cast(Sequence[ShapedArray], context.avals_in)


_NO_MESH = jax.sharding.AbstractMesh((), ())


def lowered(
    program: Callable[..., Any], context: mlir.LoweringRuleContext, *operands: Any
) -> Sequence[Any]:
    """The operations of a program of one result; how they are divided is left to XLA.

    The program knows its operands by shape and dtype alone, and no mesh. On a mesh with explicit
    axes each new array would else be pinned as one that every device holds whole.
    """

    def alone(*arrays: jax.Array) -> Any:
        with jax.sharding.use_abstract_mesh(_NO_MESH):
            return program(*arrays)

    bare = [ShapedArray(aval.shape, aval.dtype) for aval in arrays_in(context)]
    context = context.replace(avals_in=bare)
    return mlir.lower_fun(alone, multiple_results=False)(context, *operands)


def is_partitioned(context: mlir.LoweringRuleContext) -> bool:
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


def _by_lax(
    rule: Any,
    context: mlir.LoweringRuleContext,
    x: Any,
    kernel: Any,
    *,
    algorithm: str | None = None,
    **params: Any,
) -> Any:
    """A rule of lax's for its primitive or ours, around XLA's known faults."""
    del algorithm
    x_type, kernel_type = arrays_in(context)
    axes, padding = params["dimension_numbers"].lhs_spec[2:], params["padding"]
    if crops(x_type.shape, axes, padding):

        def program(x: jax.Array, kernel: jax.Array) -> jax.Array:
            x, left = cropped(x, axes, padding, params["lhs_dilation"])
            return direct_p.bind(x, kernel, **{**params, "padding": tuple(left)})

        return lowered(program, context, x, kernel)
    if not is_partitioned(context):
        return rule(context, x, kernel, **params)
    described = operation(x_type, kernel_type, params)
    if described is not None and divided.serves(described):
        return lowered(partial(divided.kernel_gradient, described), context, x, kernel)
    x, kernel = undivided(x, kernel, (x_type.shape, kernel_type.shape), params)
    return rule(context, x, kernel, **params)


for _platform, _rule in LAX_RULES.items():
    mlir.register_lowering(direct_p, partial(_by_lax, _rule), platform=_platform)
    mlir.register_lowering(conv_p, partial(lower_on, _platform), platform=_platform)
