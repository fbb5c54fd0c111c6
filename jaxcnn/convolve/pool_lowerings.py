"""Lowerings of lax's own pools and of their gradients, by taps.

:data:`RULES` are for those who use lax's pools, as Flax does; nothing is registered here.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import mlir

from jaxcnn.convolve.known_faults import cropped, crops
from jaxcnn.convolve.lower import arrays_in, lowered
from jaxcnn.convolve.pool_primitives import picked
from jaxcnn.convolve.taps import (
    TOGETHER,
    Layout,
    add_up,
    branching,
    choose,
    find_without_nans,
    highest,
    layout_of,
    lowest,
    number_type,
    taps,
)

MAX, MIN, SUM = lax.reduce_window_max_p, lax.reduce_window_min_p, lax.reduce_window_sum_p
SCATTER = lax.select_and_scatter_add_p
START = {MAX: -math.inf, MIN: math.inf, SUM: 0.0}
"""Of a window without a cell."""


def _rule_of(primitive: Primitive) -> Any:
    special = mlir._platform_specific_lowerings["cpu"]
    return (special.get(primitive) or mlir._lowerings[primitive]).rule


LAX_RULES = {primitive: _rule_of(primitive) for primitive in (SCATTER, MAX, MIN, SUM)}
"""lax's own lowerings on CPUs, as they are before anything is installed."""


def lower_select_and_scatter_add(
    context: mlir.LoweringRuleContext, source: Any, operand: Any, **params: Any
) -> Any:
    """The gradient of lax's maximum and minimum over windows, to the bit what lax computes.

    Of 16-bit numbers lax rounds each sum, and this rounds once.

    There as here of equal cells the first takes it all, the padding is cells that can be equal, and
    after a NaN the search starts anew.
    """
    g, x = arrays_in(context)
    layout = _layout_of(x.shape, g.shape, params)
    if layout is None or not _floating(x):
        return LAX_RULES[SCATTER](context, source, operand, **params)
    upward = params["select_prim"] is lax.ge_p

    def program(g: jax.Array, x: jax.Array) -> jax.Array:
        at = _found_by_lax(x, layout, upward)
        (dx,) = jax.linear_transpose(partial(picked, at=at, layout=layout), x)(g)
        return dx

    return lowered(program, context, source, operand)


def _lower_best(
    primitive: Primitive, context: mlir.LoweringRuleContext, operand: Any, **params: Any
) -> Any:
    """The maximum or minimum itself: the program that its gradient asks for too, run once."""
    (x,), (y,) = arrays_in(context), context.avals_out
    layout = _layout_of(x.shape, y.shape, params)
    if layout is None or not _floating(x):
        return _by_lax(primitive, context, operand, **params)
    return lowered(partial(choose, layout=layout, upward=primitive is MAX), context, operand)


def _by_lax(
    primitive: Primitive, context: mlir.LoweringRuleContext, operand: Any, **params: Any
) -> Any:
    """lax's own lowering, around XLA's faults with negative padding and with cells apart.

    Along an axis of which a window reads one cell at every place, cells that lie apart give results
    that lie apart: those are laid so afterwards. (Before, XLA would put the two together again.)
    """
    (x,), padding, base = arrays_in(context), params["padding"], params["base_dilation"]
    axes = range(len(x.shape))
    reads = zip(params["window_dimensions"], params["window_strides"], base, strict=True)
    apart = [axis for axis, (f, s, b) in enumerate(reads) if f == s == 1 < b and _floating(x)]
    if not apart and not crops(x.shape, axes, padding):
        return LAX_RULES[primitive](context, operand, **params)

    def program(x: jax.Array) -> jax.Array:
        pairs, left, after = list(padding), list(base), [(0, 0, 0)] * x.ndim
        for axis in apart:
            after[axis] = (*padding[axis], base[axis] - 1)
            pairs[axis], left[axis] = (0, 0), 1
        x, pairs = cropped(x, axes, pairs, left)
        y = primitive.bind(x, **params | {"padding": tuple(pairs), "base_dilation": tuple(left)})
        return lax.pad(y, jnp.asarray(START[primitive], y.dtype), after)

    return lowered(program, context, operand)


def _lower_sum(context: mlir.LoweringRuleContext, operand: Any, **params: Any) -> Any:
    """A sum over windows; its gradient is one too, of an array with zeros between its cells."""
    (x,), (y,) = arrays_in(context), context.avals_out
    layout = _layout_of(x.shape, y.shape, params)
    if layout is None or not _floating(x):
        return _by_lax(SUM, context, operand, **params)
    return lowered(partial(add_up, layout=layout), context, operand)


RULES = {
    SCATTER: lower_select_and_scatter_add,
    MAX: partial(_lower_best, MAX),
    MIN: partial(_lower_best, MIN),
    SUM: _lower_sum,
}
"""For each of lax's primitives the lowering that is quicker on CPUs.

Where sizes are unknown, numbers are not floating, windows have many taps or channels are not the
last axis, each is lax's own.
"""


def _floating(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating)


def _layout_of(
    size: tuple[Any, ...], output: tuple[Any, ...], params: dict[str, Any]
) -> Layout | None:
    """How lax's window reads each axis; None where that is no case for taps."""
    ones = (1,) * len(size)
    if not _is_case(size, output, params) or params.get("base_dilation", ones) != ones:
        return None
    return layout_of(size, output, params)


def _is_case(size: tuple[Any, ...], output: tuple[Any, ...], params: dict[str, Any]) -> bool:
    window = params["window_dimensions"]
    known = all(isinstance(n, int) for n in (*size, *output))
    return known and 1 < math.prod(window) <= TOGETHER and window[-1] == 1


def _found_by_lax(x: jax.Array, layout: Layout, upward: bool) -> jax.Array:
    fill, keeps = (lowest(x.dtype), lax.ge) if upward else (highest(x.dtype), lax.le)
    y = choose(x, layout, upward)

    def in_turn(x: jax.Array, y: jax.Array) -> jax.Array:
        del y
        best, *others = taps(x, layout, fill)
        at = jnp.zeros(best.shape, number_type(layout))
        for number, cells in enumerate(others, 1):
            stays = keeps(best, cells)
            best = lax.select(stays, best, cells)
            at = lax.select(stays, at, lax.full_like(at, number))
        return at

    quick = partial(find_without_nans, layout=layout, fill=fill)
    return branching(y, in_turn, quick)(x, y)
