"""Pools whose derivatives are quick, of every order and in every mode.

What the gradient of a maximum has to know is at which tap of its window each output was found:
:func:`first_tap`, one byte an output. On CPUs that number is a program of its own: XLA would
otherwise find it anew for each of the taps that ask for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxcnn.convolve.taps import (
    Layout,
    Reads,
    add_up,
    branching,
    choose,
    find,
    find_without_nans,
    layout_of,
    number_type,
    steps,
    taps,
)

# The pools themselves are primitives with the parameters of lax's, so that a traced program shows
# a window and not its taps.

window_max_p = Primitive("jaxcnn_window_max")
window_min_p = Primitive("jaxcnn_window_min")
window_sum_p = Primitive("jaxcnn_window_sum")


def _bind(primitive: Primitive, x: jax.Array, layout: Layout) -> jax.Array:
    return primitive.bind(
        x,
        window_dimensions=tuple(axis.filter for axis in layout),
        window_strides=tuple(axis.stride for axis in layout),
        padding=tuple((axis.low, axis.after) for axis in layout),
        base_dilation=(1,) * len(layout),
        window_dilation=tuple(axis.dilation for axis in layout),
    )


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def total(x: jax.Array, layout: Layout) -> jax.Array:
    """The sum of the cells under each window."""
    return _bind(window_sum_p, x, layout)


@total.defjvp
def _tangent_of_total(
    layout: Layout, primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (x,), (dx,) = primals, tangents
    return total(x, layout), added(dx, layout)


def added(x: jax.Array, layout: Layout) -> jax.Array:
    """:func:`total` by taps, which can be transposed."""
    for step in steps(layout):
        x = whole_when_back(add_up(x, step))
    return x


def largest(x: jax.Array, layout: Layout) -> jax.Array:
    """The largest cell under each window; its derivative is that of the first one in a tie.

    A NaN is larger than all numbers, and the last of several the largest.
    """
    return _best(x, layout, True)


def smallest(x: jax.Array, layout: Layout) -> jax.Array:
    """The smallest cell under each window, otherwise like :func:`largest`."""
    return _best(x, layout, False)


@partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _best(x: jax.Array, layout: Layout, upward: bool) -> jax.Array:
    return _bind(window_max_p if upward else window_min_p, x, layout)


@_best.defjvp
def _tangent_of_best(
    layout: Layout, upward: bool, primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (x,), (dx,) = primals, tangents
    for step in steps(layout):
        y = _best(x, step, upward)
        at = first_tap(x, y, step)
        # Rematerialised so that the taps' numbers are kept, and not one mask for each tap.
        dx = jax.checkpoint(partial(picked, layout=step), prevent_cse=False)(dx, at)
        x = y
    return x, dx


def picked(x: jax.Array, at: jax.Array, layout: Layout) -> jax.Array:
    """For each output the cell under the tap of number ``at``: linear in x."""
    chosen = [
        lax.select(at == number, cells, lax.full_like(cells, 0))
        for number, cells in enumerate(taps(x, layout, 0))
    ]
    return whole_when_back(reduce(lax.add, chosen))


def first_tap(x: jax.Array, y: jax.Array, layout: Layout) -> jax.Array:
    """The number of the first tap, in row-major order, under which each window holds its y.

    If y is a NaN, of the last NaN. Padding is never taken.
    """
    return first_tap_p.bind(lax.stop_gradient(x), lax.stop_gradient(y), layout=layout)


def _find_on_cpu(x: jax.Array, y: jax.Array, *, layout: Layout) -> jax.Array:
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return find(x, y, layout=layout)
    return branching(
        y, partial(find, layout=layout), partial(find_without_nans, layout=layout, fill=jnp.nan)
    )(x, y)


def _window_type(x: Any, **window: Any) -> Any:
    return lax.reduce_window_max_p.abstract_eval(x, **window)[0]


def _run_window(primitive: Primitive, x: jax.Array, **window: Any) -> jax.Array:
    return _compiled_window(x, primitive, tuple(window.items()))


@partial(jax.jit, static_argnames=("primitive", "window"))
def _compiled_window(x: jax.Array, primitive: Primitive, window: tuple) -> jax.Array:
    return primitive.bind(x, **dict(window))


def _batched_window(
    primitive: Primitive, arrays: Sequence[jax.Array], dims: Sequence[int], **window: Any
) -> tuple[jax.Array, int]:
    def with_batch(name: str, each: tuple) -> tuple:
        return ((0, 0) if name == "padding" else 1, *each)

    x = jnp.moveaxis(arrays[0], dims[0], 0)
    return primitive.bind(x, **{k: with_batch(k, v) for k, v in window.items()}), 0


def _lower_window(
    primitive: Primitive,
    by_taps: Callable[..., jax.Array],
    context: mlir.LoweringRuleContext,
    x: Any,
    **window: Any,
) -> Any:
    (x_type,), (y_type,) = context.avals_in, context.avals_out
    if not all(isinstance(n, int) for n in (*x_type.shape, *y_type.shape)):
        # Where the padding begins, and so what each tap reads, is known to no slice.
        whole = partial(primitive.bind, **window)
        return mlir.lower_fun(whole, multiple_results=False)(context, x)
    layout = layout_of(x_type.shape, y_type.shape, window)

    def program(x: jax.Array) -> jax.Array:
        for step in steps(layout):
            x = by_taps(x, step)
        return x

    return mlir.lower_fun(program, multiple_results=False)(context, x)


for _primitive, _of_lax, _by_taps in (
    (window_max_p, lax.reduce_window_max_p, partial(choose, upward=True)),
    (window_min_p, lax.reduce_window_min_p, partial(choose, upward=False)),
    (window_sum_p, lax.reduce_window_sum_p, add_up),
):
    _primitive.def_impl(partial(_run_window, _primitive))
    _primitive.def_abstract_eval(_window_type)
    batching.primitive_batchers[_primitive] = partial(_batched_window, _primitive)
    mlir.register_lowering(_primitive, partial(_lower_window, _of_lax, _by_taps))


first_tap_p = Primitive("jaxcnn_first_tap")


@first_tap_p.def_abstract_eval
def _type_of(x: Any, y: Any, *, layout: Layout) -> Any:
    del x
    return y.update(dtype=jnp.dtype(number_type(layout)), weak_type=False)


@partial(jax.jit, static_argnames="layout")
def _run(x: jax.Array, y: jax.Array, layout: Layout) -> jax.Array:
    return first_tap_p.bind(x, y, layout=layout)


def _batched(
    arrays: Sequence[jax.Array], dims: Sequence[int | None], *, layout: Layout
) -> tuple[jax.Array, int]:
    (size,) = {a.shape[d] for a, d in zip(arrays, dims, strict=True) if d is not None}
    x, y = (batching.bdim_at_front(a, d, size) for a, d in zip(arrays, dims, strict=True))
    return first_tap_p.bind(x, y, layout=(Reads(size, size), *layout)), 0


first_tap_p.def_impl(_run)
batching.primitive_batchers[first_tap_p] = _batched
mlir.register_lowering(first_tap_p, mlir.lower_fun(find, multiple_results=False))
mlir.register_lowering(
    first_tap_p, mlir.lower_fun(_find_on_cpu, multiple_results=False), platform="cpu"
)


# A cotangent is read once for each tap. Left to itself, XLA computes it as often, back to the last
# convolution before it.

whole_p = Primitive("jaxcnn_whole")


def whole_when_back(x: jax.Array) -> jax.Array:
    """x; on the way back the cotangent, which on CPUs is computed once and stored."""
    return whole_p.bind(x, stored=False)


def _stored_on_cpu(x: jax.Array, *, stored: bool) -> jax.Array:
    if not stored:
        return x
    # XLA:CPU drops barriers before it fuses, but fuses nothing into a call that stays one.
    with set_xla_metadata(inlineable="false"):
        return jax.jit(lax.optimization_barrier)(x)


whole_p.def_impl(lambda x, *, stored: x)
whole_p.def_abstract_eval(lambda x, *, stored: x)
ad.deflinear2(whole_p, lambda g, x, *, stored: [whole_p.bind(g, stored=not stored)])
batching.defvectorized(whole_p)
mlir.register_lowering(whole_p, lambda context, x, *, stored: [x])
mlir.register_lowering(
    whole_p, mlir.lower_fun(_stored_on_cpu, multiple_results=False), platform="cpu"
)
