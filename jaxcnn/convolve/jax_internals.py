"""JAX from the inside: the one file that uses what JAX does not promise to keep.

``jax.interpreters``, ``jax._src`` and ``jaxlib.mlir`` are imported here and nowhere else. JAX's
public API (``jax.extend.core.Primitive``) defines a primitive, but not how it is differentiated,
batched and lowered, and it says nothing about the program for which something is lowered. The rules
of lax's own primitives, which ours reuse, are in tables without a public name.

Checked with jax 0.10.2, 0.11.2 and 0.12; the tests of ``tests/convolve`` fail where a version
differs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import jax
from jax.core import ShapedArray
from jax.interpreters import ad, batching, mlir, xla
from jaxlib.mlir.dialects import sdy

if TYPE_CHECKING:
    from jax.extend.core import Primitive

Context = mlir.LoweringRuleContext
"""What a lowering rule is told about the program."""

Rule = Callable[..., Any]

# -- defining a primitive --------------------------------------------------------------------------


def compile_eagerly(primitive: Primitive) -> None:
    """Outside of any program, compile the primitive as a program of its own.

    This holds under :func:`jax.disable_jit` too, as for JAX's own primitives.
    """
    primitive.def_impl(partial(xla.apply_primitive, primitive))


def check_nans(primitive: Primitive) -> None:
    """Let ``checkify`` with float checks report a NaN where the primitive made it.

    If a version of JAX has moved the table of these checks, the next operation reports the NaN.
    """
    try:
        checkify = import_module("jax._src.checkify")
        checkify.error_checks[primitive] = partial(checkify.nan_error_check, primitive)
    except (ImportError, AttributeError):
        pass


def define_linear(primitive: Primitive, transpose: Rule) -> None:
    """Derivatives of a primitive that is linear in its operand.

    Args:
      primitive: of one operand.
      transpose: (cotangent, operand, **params) -> [cotangent of the operand].
    """
    ad.deflinear2(primitive, transpose)


def define_bilinear(primitive: Primitive, *transposes: Rule) -> None:
    """Derivatives of a primitive that is linear in each of two operands.

    Args:
      primitive: of two operands.
      transposes: (cotangent, operand, operand, **params) -> cotangent, one for each operand.
    """
    ad.defbilinear(primitive, *transposes)


def define_jvp(primitive: Primitive, rule: Rule) -> None:
    """(primals, tangents, **params) -> (output, its tangent)."""
    ad.primitive_jvps[primitive] = rule


def zero_tangent(y: jax.Array) -> Any:
    """The tangent of an output that does not depend on the inputs smoothly."""
    return ad.Zero(jax.typeof(y).to_tangent_aval())


def define_batching(primitive: Primitive, rule: Rule) -> None:
    """(arrays, batch axes, **params) -> (output, its batch axis)."""
    batching.primitive_batchers[primitive] = rule


def define_batching_by_axis(primitive: Primitive, rule: Rule) -> None:
    """(axis data, arrays, batch axes, **params) -> (output, its batch axis)."""
    batching.fancy_primitive_batchers[primitive] = rule


def define_elementwise_batching(primitive: Primitive) -> None:
    """The primitive treats every entry alike, the batch axis as any other."""
    batching.defvectorized(primitive)


def batch_in_front(array: jax.Array, axis: int | None, size: int) -> jax.Array:
    """The array with its batch axis first; broadcast along a new one if it has none."""
    return batching.bdim_at_front(array, axis, size)


def register_lowering(primitive: Primitive, rule: Rule, platform: str | None = None) -> None:
    """(context, *operands, **params) -> results, on one platform or on all that have no own."""
    mlir.register_lowering(primitive, rule, platform=platform)


# -- the rules of lax's primitives -----------------------------------------------------------------


def lax_transpose(
    primitive: Primitive, which: int, unknown: Any, g: jax.Array, known: jax.Array, **params: Any
) -> jax.Array:
    """The cotangent of one of two operands by lax's own rule.

    Args:
      primitive: a bilinear one.
      which: 0 or 1, the operand whose cotangent is computed.
      unknown: its type.
      g: the cotangent of the output.
      known: the other operand.
      params: of the primitive.
    """
    operands: list[Any] = [known, known]
    operands[which] = ad.UndefinedPrimal(unknown)
    rule = ad.primitive_transposes[primitive]
    return ad.instantiate_zeros(rule(g, *operands, **params)[which])


def lax_batching(primitive: Primitive) -> Rule:
    """lax's own rule, as :func:`define_batching_by_axis` takes one."""
    return batching.fancy_primitive_batchers[primitive]


def lax_lowerings(primitive: Primitive) -> dict[str | None, Rule]:
    """The lowerings that are registered now, by platform; None is the common one."""
    rules: dict[str | None, Rule] = {
        platform: table[primitive].rule
        for platform, table in mlir._platform_specific_lowerings.items()
        if primitive in table
    }
    if primitive in mlir._lowerings:
        rules[None] = mlir._lowerings[primitive].rule
    return rules


# -- inside a lowering rule ------------------------------------------------------------------------


def operand_types(context: Context) -> Sequence[ShapedArray]:
    """The types of the operands. JAX's own annotation does not say that all are arrays."""
    return cast("Sequence[ShapedArray]", context.avals_in)


def result_types(context: Context) -> Sequence[ShapedArray]:
    """The types of the results."""
    return cast("Sequence[ShapedArray]", context.avals_out)


_NO_MESH = jax.sharding.AbstractMesh((), ())


def lower_program(
    program: Callable[..., jax.Array], context: Context, *operands: Any
) -> Sequence[Any]:
    """The operations of a program with one result. XLA decides how they are partitioned.

    The program sees its operands by shape and dtype alone, and no mesh. On a mesh with explicit
    axes each new array would otherwise be pinned as one that every device holds whole.
    """

    def without_mesh(*arrays: jax.Array) -> Any:
        with jax.sharding.use_abstract_mesh(_NO_MESH):
            return program(*arrays)

    bare = [ShapedArray(aval.shape, aval.dtype) for aval in operand_types(context)]
    context = context.replace(avals_in=bare)
    return mlir.lower_fun(without_mesh, multiple_results=False)(context, *operands)


def is_partitioned(context: Context) -> bool:
    """Whether several devices share the program and XLA partitions it.

    XLA can partition lax's convolution, but not a custom call.
    """
    axes = context.module_context.axis_context
    if isinstance(axes, mlir.ShardingContext):
        return axes.num_devices > 1
    mesh = getattr(axes, "mesh", None)
    if mesh is None:
        return False
    return any(size > 1 for name, size in mesh.shape.items() if name not in axes.manual_axes)


def is_exported(context: Context) -> bool:
    """Whether the program is lowered for :mod:`jax.export`."""
    return context.module_context.lowering_parameters.for_export


def partition_only(value: Any, free: set[int]) -> Any:
    """An operand that XLA may partition along the free axes alone.

    The empty mesh, which the constraint names, is part of every mesh.
    """
    axes = range(len(value.type.shape))
    sharding = sdy.TensorShardingAttr.get(
        sdy.MeshAttr.get([]),
        [sdy.DimensionShardingAttr.get([], is_closed=axis not in free) for axis in axes],
    )
    return sdy.ShardingConstraintOp(value, sharding).result
