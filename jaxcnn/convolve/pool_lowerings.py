"""Lowerings of lax's own pools and of their gradients, tap by tap.

:func:`.install` registers :data:`RULES`, for users of lax's pools such as Flax.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.convolve import tuning
from jaxcnn.convolve.jax_internals import (
    Context,
    lax_lowerings,
    lower_program,
    operand_types,
    result_types,
)
from jaxcnn.convolve.known_faults import crop, crops
from jaxcnn.convolve.pool_primitives import pick_taps
from jaxcnn.convolve.pool_programs import (
    branch_on_nans,
    extremum,
    first_tap_equal_without_nans,
    highest,
    lowest,
    sum_taps,
    tap_number_dtype,
)
from jaxcnn.convolve.taps import ArrayWindow, tap_slices, window_of

if TYPE_CHECKING:
    from jax.extend.core import Primitive

MAX, MIN, SUM = lax.reduce_window_max_p, lax.reduce_window_min_p, lax.reduce_window_sum_p
SCATTER = lax.select_and_scatter_add_p
START = {MAX: -math.inf, MIN: math.inf, SUM: 0.0}
"""The output of a window that covers no cell."""


def _cpu_rule(primitive: Primitive) -> Any:
    rules = lax_lowerings(primitive)
    return rules.get("cpu") or rules[None]


LAX_RULES = {primitive: _cpu_rule(primitive) for primitive in (SCATTER, MAX, MIN, SUM)}
"""lax's own lowerings on CPUs, read before anything is installed."""


def lower_select_and_scatter_add(context: Context, source: Any, operand: Any, **params: Any) -> Any:
    """The gradient of lax's maximum and minimum over windows, bit for bit as lax computes it.

    The first of equal cells gets the whole cotangent, padding cells can tie too, and the search
    restarts after a NaN. lax differs only for 16-bit numbers: it rounds each sum, and this rounds
    once.
    """
    g, x = operand_types(context)
    window = _window_of(x.shape, g.shape, params)
    if window is None or not _is_floating(x):
        return LAX_RULES[SCATTER](context, source, operand, **params)
    is_max = params["select_prim"] is lax.ge_p

    def program(g: jax.Array, x: jax.Array) -> jax.Array:
        at = _first_tap_as_lax(x, window, is_max)
        (dx,) = jax.linear_transpose(partial(pick_taps, at=at, window=window), x)(g)
        return dx

    return lower_program(program, context, source, operand)


def _lower_extremum(primitive: Primitive, context: Context, operand: Any, **params: Any) -> Any:
    """The maximum or minimum; its gradient contains the same program, which then runs once."""
    (x,), (y,) = operand_types(context), result_types(context)
    window = _window_of(x.shape, y.shape, params)
    if window is None or not _is_floating(x):
        return _lower_by_lax(primitive, context, operand, **params)
    program = partial(extremum, window=window, is_max=primitive is MAX)
    return lower_program(program, context, operand)


def _lower_by_lax(primitive: Primitive, context: Context, operand: Any, **params: Any) -> Any:
    """lax's own lowering, without XLA's faults with negative padding and with base dilation.

    On an axis with windows of one cell and stride 1 the result is dilated instead of x, which is
    equivalent. (If x were dilated first, XLA would move the dilation back into the reduction.)
    """
    (x,), padding, base = operand_types(context), params["padding"], params["base_dilation"]
    axes = range(len(x.shape))
    reads = zip(params["window_dimensions"], params["window_strides"], base, strict=True)
    dilated = [axis for axis, (f, s, b) in enumerate(reads) if f == s == 1 < b and _is_floating(x)]
    if not dilated and not crops(x.shape, axes, padding):
        return LAX_RULES[primitive](context, operand, **params)

    def program(x: jax.Array) -> jax.Array:
        pairs, left, after = list(padding), list(base), [(0, 0, 0)] * x.ndim
        for axis in dilated:
            after[axis] = (*padding[axis], base[axis] - 1)
            pairs[axis], left[axis] = (0, 0), 1
        x, pairs = crop(x, axes, pairs, left)
        y = primitive.bind(x, **params | {"padding": tuple(pairs), "base_dilation": tuple(left)})
        return lax.pad(y, jnp.asarray(START[primitive], y.dtype), after)

    return lower_program(program, context, operand)


def _lower_sum(context: Context, operand: Any, **params: Any) -> Any:
    """A sum over windows; its gradient is also one, with base dilation."""
    (x,), (y,) = operand_types(context), result_types(context)
    window = _window_of(x.shape, y.shape, params)
    if window is None or not _is_floating(x):
        return _lower_by_lax(SUM, context, operand, **params)
    return lower_program(partial(sum_taps, window=window), context, operand)


RULES = {
    SCATTER: lower_select_and_scatter_add,
    MAX: partial(_lower_extremum, MAX),
    MIN: partial(_lower_extremum, MIN),
    SUM: _lower_sum,
}
"""A lowering for each of lax's primitives that is faster on CPUs.

It falls back to lax's own if sizes are symbols, numbers are not floating, windows have many taps or
the last axis is pooled.
"""


def _is_floating(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating)


def _window_of(
    size: tuple[Any, ...], output: tuple[Any, ...], params: dict[str, Any]
) -> ArrayWindow | None:
    """How lax's window reads each axis; None to use lax's own lowering."""
    kernel_size, ones = params["window_dimensions"], (1,) * len(size)
    if (
        params.get("base_dilation", ones) == ones
        and all(isinstance(n, int) for n in (*size, *output))
        and 1 < math.prod(kernel_size) <= tuning.POOL_JOINT_TAPS
        and kernel_size[-1] == 1
    ):
        return window_of(size, output, params)
    return None


def _first_tap_as_lax(x: jax.Array, window: ArrayWindow, is_max: bool) -> jax.Array:
    """The number of the tap that lax selects as the extremum."""
    fill, keeps = (lowest(x.dtype), lax.ge) if is_max else (highest(x.dtype), lax.le)
    y = extremum(x, window, is_max)

    def in_turn(x: jax.Array, _: jax.Array) -> jax.Array:
        best, *others = tap_slices(x, window, fill)
        at = jnp.zeros(best.shape, tap_number_dtype(window))
        for number, cells in enumerate(others, 1):
            stays = keeps(best, cells)
            best = lax.select(stays, best, cells)
            at = lax.select(stays, at, lax.full_like(at, number))
        return at

    quick = partial(first_tap_equal_without_nans, window=window, fill=fill)
    return branch_on_nans(y, in_turn, quick)(x, y)
