"""Access to JAX internals, which primitives of our own need.

``jax.interpreters``, ``jax._src`` and ``jaxlib.mlir`` are imported only here, but for the store
that the processes of a run share (``jaxcnn/train/together.py``). JAX's public API
(``jax.extend.core.Primitive``) defines a primitive, but not its differentiation, batching and
lowering rules, and it does not describe the program that is being lowered. The rules of lax's own
primitives, which ours reuse, are in tables without a public name.

Checked with jax 0.10.2, 0.11.2 and 0.12; the tests of ``tests/convolve`` fail if a version
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
"""The description of the program that a lowering rule receives."""

Rule = Callable[..., Any]

# -- defining a primitive --------------------------------------------------------------------------


def compile_eagerly(primitive: Primitive) -> None:
    """Compile the primitive as its own program when it is called outside any program.

    This also applies under :func:`jax.disable_jit`, as for JAX's own primitives.
    """
    primitive.def_impl(partial(xla.apply_primitive, primitive))


def check_nans(primitive: Primitive) -> None:
    """Let ``checkify`` with float checks report a NaN at the primitive that made it.

    If a version of JAX has moved the table of checks, the next operation reports the NaN instead.
    """
    try:
        checkify = import_module("jax._src.checkify")
        checkify.error_checks[primitive] = partial(checkify.nan_error_check, primitive)
    except (ImportError, AttributeError):
        pass


def define_linear(primitive: Primitive, transpose: Rule) -> None:
    """Defines the derivatives of a primitive that is linear in its operand.

    Args:
      primitive: a primitive with one operand.
      transpose: (cotangent, operand, **params) -> [cotangent of the operand].
    """
    ad.deflinear2(primitive, transpose)


def define_bilinear(primitive: Primitive, *transposes: Rule) -> None:
    """Defines the derivatives of a primitive that is linear in each of two operands.

    Args:
      primitive: a primitive with two operands.
      transposes: (cotangent, operand, operand, **params) -> cotangent, one for each operand.
    """
    ad.defbilinear(primitive, *transposes)


def define_jvp(primitive: Primitive, rule: Rule) -> None:
    """Sets the JVP rule: (primals, tangents, **params) -> (output, its tangent)."""
    ad.primitive_jvps[primitive] = rule


def zero_tangent(y: jax.Array) -> Any:
    """The zero tangent of an output that has no derivative with respect to the inputs."""
    return ad.Zero(jax.typeof(y).to_tangent_aval())


def define_batching(primitive: Primitive, rule: Rule) -> None:
    """Sets the batching rule: (arrays, batch axes, **params) -> (output, its batch axis)."""
    batching.primitive_batchers[primitive] = rule


def define_batching_by_axis(primitive: Primitive, rule: Rule) -> None:
    """Sets the batching rule: (axis data, arrays, batch axes, **params) -> (output, batch axis)."""
    batching.fancy_primitive_batchers[primitive] = rule


def define_elementwise_batching(primitive: Primitive) -> None:
    """Declares that the primitive works entry by entry, so a batch axis is like any other."""
    batching.defvectorized(primitive)


def batch_in_front(array: jax.Array, axis: int | None, size: int) -> jax.Array:
    """The array with its batch axis first; without one, broadcast along a new batch axis."""
    return batching.bdim_at_front(array, axis, size)


def register_lowering(primitive: Primitive, rule: Rule, platform: str | None = None) -> None:
    """Registers (context, *operands, **params) -> results, for a platform or as the default."""
    mlir.register_lowering(primitive, rule, platform=platform)


# -- the rules of lax's primitives -----------------------------------------------------------------


def lax_transpose(
    primitive: Primitive, which: int, unknown: Any, g: jax.Array, known: jax.Array, **params: Any
) -> jax.Array:
    """The cotangent of one of two operands, by lax's own rule.

    Args:
      primitive: a bilinear primitive.
      which: 0 or 1, the operand whose cotangent is computed.
      unknown: the type of that operand.
      g: the cotangent of the output.
      known: the other operand.
      params: the primitive's parameters.
    """
    operands: list[Any] = [known, known]
    operands[which] = ad.UndefinedPrimal(unknown)
    rule = ad.primitive_transposes[primitive]
    return ad.instantiate_zeros(rule(g, *operands, **params)[which])


def lax_batching(primitive: Primitive) -> Rule:
    """lax's own batching rule, in the form that :func:`define_batching_by_axis` takes."""
    return batching.fancy_primitive_batchers[primitive]


def lax_lowerings(primitive: Primitive) -> dict[str | None, Rule]:
    """The lowerings that are registered now, by platform; None is the default."""
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
    """The types of the operands: arrays, which JAX's own annotation does not say."""
    return cast("Sequence[ShapedArray]", context.avals_in)


def result_types(context: Context) -> Sequence[ShapedArray]:
    """The types of the results."""
    return cast("Sequence[ShapedArray]", context.avals_out)


_NO_MESH = jax.sharding.AbstractMesh((), ())


def lower_program(
    program: Callable[..., jax.Array], context: Context, *operands: Any
) -> Sequence[Any]:
    """The operations of a program with one result. XLA decides how they are partitioned.

    The program sees only the shapes and dtypes of its operands, and no mesh. Otherwise, on a mesh
    with explicit axes, each new array would be fixed as replicated on every device.
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
    """The operand, constrained so that XLA may partition only its ``free`` axes.

    The constraint names the empty mesh, which is part of every mesh.
    """
    axes = range(len(value.type.shape))
    sharding = sdy.TensorShardingAttr.get(
        sdy.MeshAttr.get([]),
        [sdy.DimensionShardingAttr.get([], is_closed=axis not in free) for axis in axes],
    )
    return sdy.ShardingConstraintOp(value, sharding).result
