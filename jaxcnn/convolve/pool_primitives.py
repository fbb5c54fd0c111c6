"""Pools as primitives of our own: quick derivatives, of every order and in every mode.

A sum over windows is linear. A maximum is linear in the cells that it chose: what its derivative
has to know is at which tap of its window each output was found, :func:`first_tap`, one byte an
output. On CPUs that number is a program of its own: XLA would otherwise find it anew for each of
the taps that ask for it.

The primitives have the parameters of lax's, so that a traced program shows a window and not its
taps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import jet
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxcnn.convolve.algorithms.algorithm import accumulator
from jaxcnn.convolve.lower import arrays_in, lowered
from jaxcnn.convolve.rules import report_nans, run_alone
from jaxcnn.convolve.stored import whole_when_back
from jaxcnn.convolve.taps import (
    AxisWindow,
    Layout,
    add_up,
    branching,
    by_taps,
    choose,
    find,
    find_in_windows,
    find_without_nans,
    gathered,
    layout_of,
    number_type,
    select,
    steps,
)

window_max_p = Primitive("jaxcnn_window_max")
window_min_p = Primitive("jaxcnn_window_min")
window_sum_p = Primitive("jaxcnn_window_sum")
first_tap_p = Primitive("jaxcnn_first_tap")


def total(x: jax.Array, layout: Layout) -> jax.Array:
    """The sum of the cells under each window."""
    return _bind(window_sum_p, x, layout)


def largest(x: jax.Array, layout: Layout) -> jax.Array:
    """The largest cell under each window; its derivative is that of the first one in a tie.

    A NaN is larger than all numbers, and the last of several the largest.
    """
    return _bind(window_max_p, x, layout)


def smallest(x: jax.Array, layout: Layout) -> jax.Array:
    """The smallest cell under each window, otherwise like :func:`largest`."""
    return _bind(window_min_p, x, layout)


def first_tap(x: jax.Array, y: jax.Array, layout: Layout, *, upward: bool = True) -> jax.Array:
    """The number of the first tap, in row-major order, under which each window holds its y.

    If y is a NaN, of the last NaN. Padding is never taken.

    Args:
      x: the cells.
      y: the largest of them under each window; the smallest where not ``upward``.
      layout: the windows, one of the :func:`.steps` of a pool.
    """
    return first_tap_p.bind(x, y, layout=layout, upward=upward)


def picked(x: jax.Array, at: jax.Array, layout: Layout) -> jax.Array:
    """For each output the cell under the tap of number ``at``: linear in x.

    In float32 at least on the way back, where one cell can be the choice of many windows.
    """
    real = jnp.issubdtype(x.dtype, jnp.floating)
    wide = x.astype(accumulator(str(x.dtype))) if real else x
    pick = select if by_taps(layout) else gathered
    return whole_when_back(pick(wide, at, layout)).astype(x.dtype)


def _bind(primitive: Primitive, x: jax.Array, layout: Layout) -> jax.Array:
    return primitive.bind(
        x,
        window_dimensions=tuple(axis.kernel_size for axis in layout),
        window_strides=tuple(axis.stride for axis in layout),
        padding=tuple((axis.low, axis.high) for axis in layout),
        base_dilation=(1,) * len(layout),
        window_dilation=tuple(axis.dilation for axis in layout),
    )


def _window_type(x: Any, **window: Any) -> Any:
    return lax.reduce_window_max_p.abstract_eval(x, **window)[0]


def _layout(x: Any, window: dict[str, Any]) -> Layout:
    return layout_of(x.shape, _window_type(jax.typeof(x), **window).shape, window)


def _batched_window(
    primitive: Primitive, arrays: Sequence[jax.Array], dims: Sequence[int], **window: Any
) -> tuple[jax.Array, int]:
    def with_batch(name: str, each: tuple) -> tuple:
        return ((0, 0) if name == "padding" else 1, *each)

    x = jnp.moveaxis(arrays[0], dims[0], 0)
    return primitive.bind(x, **{k: with_batch(k, v) for k, v in window.items()}), 0


def _lower_window(
    each_step: Callable[[jax.Array, Layout], jax.Array],
    context: mlir.LoweringRuleContext,
    x: Any,
    **window: Any,
) -> Any:
    (x_type,), (y_type,) = arrays_in(context), context.avals_out
    layout = layout_of(x_type.shape, y_type.shape, window)

    def program(x: jax.Array) -> jax.Array:
        for step in steps(layout):
            x = each_step(x, step)
        return x

    return lowered(program, context, x)


# -- sums ------------------------------------------------------------------------------------------


def _transposed_sum(g: jax.Array, x: Any, **window: Any) -> list[jax.Array]:
    layout = layout_of(x.aval.shape, g.shape, window)

    def sums(x: jax.Array) -> jax.Array:
        for step in steps(layout):
            x = whole_when_back(add_up(x, step))
        return x

    return jax.linear_transpose(sums, x.aval)(g)


ad.deflinear2(window_sum_p, _transposed_sum)
jet.deflinear(window_sum_p)
report_nans(window_sum_p)


# -- maxima and minima -----------------------------------------------------------------------------


def _followed(
    x: jax.Array, terms: Sequence[Any], layout: Layout, upward: bool
) -> tuple[jax.Array, list[Any]]:
    """The best of x under each window, and of every term the cell at the same place."""
    for step in steps(layout):
        y = (largest if upward else smallest)(x, step)
        at = first_tap(x, y, step, upward=upward)
        # Rematerialised so that the taps' numbers are kept, and not one mask for each tap.
        pick = jax.checkpoint(partial(picked, layout=step), prevent_cse=False)
        terms = [pick(term, at) for term in terms]
        x = y
    return x, list(terms)


def _tangent_of_best(
    upward: bool, primals: Sequence[Any], tangents: Sequence[Any], **window: Any
) -> tuple[Any, Any]:
    y, (dy,) = _followed(primals[0], tangents, _layout(primals[0], window), upward)
    return y, dy


def _taylor_of_best(
    upward: bool, primals: Sequence[Any], series: Sequence[Any], **window: Any
) -> tuple[Any, list[Any]]:
    return _followed(primals[0], series[0], _layout(primals[0], window), upward)


for _primitive, _upward in ((window_max_p, True), (window_min_p, False)):
    ad.primitive_jvps[_primitive] = partial(_tangent_of_best, _upward)
    jet.jet_rules[_primitive] = partial(_taylor_of_best, _upward)

for _primitive, _each_step in {
    window_max_p: partial(choose, upward=True),
    window_min_p: partial(choose, upward=False),
    window_sum_p: add_up,
}.items():
    run_alone(_primitive)
    _primitive.def_abstract_eval(_window_type)
    batching.primitive_batchers[_primitive] = partial(_batched_window, _primitive)
    mlir.register_lowering(_primitive, partial(_lower_window, _each_step))


# -- where they were found -------------------------------------------------------------------------


@first_tap_p.def_abstract_eval
def _type_of(x: Any, y: Any, *, layout: Layout, upward: bool) -> Any:
    del x, upward
    return y.update(dtype=jnp.dtype(number_type(layout)), weak_type=False)


def _batched(
    arrays: Sequence[jax.Array],
    dims: Sequence[int | None],
    *,
    layout: Layout,
    upward: bool,
) -> tuple[jax.Array, int]:
    (size,) = {a.shape[d] for a, d in zip(arrays, dims, strict=True) if d is not None}
    x, y = (batching.bdim_at_front(a, d, size) for a, d in zip(arrays, dims, strict=True))
    return first_tap_p.bind(x, y, layout=(AxisWindow(size, size), *layout), upward=upward), 0


def _constant(
    primals: Sequence[jax.Array], tangents: Sequence[Any], **params: Any
) -> tuple[jax.Array, ad.Zero]:
    del tangents
    at = first_tap_p.bind(*primals, **params)
    return at, ad.Zero(jax.typeof(at).to_tangent_aval())


def _find(x: jax.Array, y: jax.Array, *, layout: Layout, upward: bool) -> jax.Array:
    if not by_taps(layout):
        return find_in_windows(x, layout, upward)
    return find(x, y, layout=layout)


def _find_on_cpu(x: jax.Array, y: jax.Array, *, layout: Layout, upward: bool) -> jax.Array:
    if not by_taps(layout) or not jnp.issubdtype(x.dtype, jnp.floating):
        return _find(x, y, layout=layout, upward=upward)
    return branching(
        y, partial(find, layout=layout), partial(find_without_nans, layout=layout, fill=jnp.nan)
    )(x, y)


def _lower_find(
    find: Callable[..., Any], context: mlir.LoweringRuleContext, *xy: Any, **p: Any
) -> Any:
    return lowered(partial(find, **p), context, *xy)


run_alone(first_tap_p)
ad.primitive_jvps[first_tap_p] = _constant
jet.defzero(first_tap_p)
batching.primitive_batchers[first_tap_p] = _batched
mlir.register_lowering(first_tap_p, partial(_lower_find, _find))
mlir.register_lowering(first_tap_p, partial(_lower_find, _find_on_cpu), platform="cpu")
