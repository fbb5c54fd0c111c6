"""Pools as primitives of our own, with fast derivatives of every order and mode.

A sum over windows is linear. A maximum is linear in the selected cells: its derivative needs the
tap of each output (:func:`first_tap`), one byte per output. On CPUs a separate program finds these
numbers; otherwise XLA would compute them again for each tap that needs them.

The primitives have the parameters of lax's pools, so that a traced program shows a window instead
of its taps.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import jet
from jax.extend.core import Primitive

from jaxcnn.convolve.dtypes import accumulator
from jaxcnn.convolve.jax_internals import (
    Context,
    batch_in_front,
    check_nans,
    compile_eagerly,
    define_batching,
    define_jvp,
    define_linear,
    lower_program,
    operand_types,
    register_lowering,
    result_types,
    zero_tangent,
)
from jaxcnn.convolve.materialize import materialize_cotangent
from jaxcnn.convolve.pool_programs import (
    branch_on_nans,
    extremum,
    first_tap_equal,
    first_tap_equal_without_nans,
    first_tap_reduced,
    gather_taps,
    is_unrolled,
    select_taps,
    sum_taps,
    tap_number_dtype,
)
from jaxcnn.convolve.taps import ArrayWindow, AxisWindow, steps, window_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

window_max_p = Primitive("jaxcnn_window_max")
window_min_p = Primitive("jaxcnn_window_min")
window_sum_p = Primitive("jaxcnn_window_sum")
first_tap_p = Primitive("jaxcnn_first_tap")


def window_sum(x: jax.Array, window: ArrayWindow) -> jax.Array:
    """The sum of the cells under each window."""
    return _bind(window_sum_p, x, window)


def window_max(x: jax.Array, window: ArrayWindow) -> jax.Array:
    """The largest cell under each window; in a tie the derivative goes to the first.

    NaN is larger than all numbers, and the last of several NaNs is the largest.
    """
    return _bind(window_max_p, x, window)


def window_min(x: jax.Array, window: ArrayWindow) -> jax.Array:
    """The smallest cell under each window, otherwise like :func:`window_max`."""
    return _bind(window_min_p, x, window)


def first_tap(x: jax.Array, y: jax.Array, window: ArrayWindow, *, is_max: bool = True) -> jax.Array:
    """The number of the first tap, in row-major order, that equals each window's y.

    If y is NaN, it is the number of the last NaN. Padding never counts.

    Args:
      x: the cells.
      y: the largest cell under each window; the smallest if not ``is_max``.
      window: one of the :func:`.steps` of a pool.
    """
    return first_tap_p.bind(x, y, window=window, is_max=is_max)


def pick_taps(x: jax.Array, at: jax.Array, window: ArrayWindow) -> jax.Array:
    """The cell under tap number ``at``, for each output; linear in x.

    Cotangents are summed in float32 at least, because many windows can pick the same cell.
    """
    real = jnp.issubdtype(x.dtype, jnp.floating)
    wide = x.astype(accumulator(str(x.dtype))) if real else x
    pick = select_taps if is_unrolled(window) else gather_taps
    return materialize_cotangent(pick(wide, at, window)).astype(x.dtype)


def _bind(primitive: Primitive, x: jax.Array, window: ArrayWindow) -> jax.Array:
    return primitive.bind(
        x,
        window_dimensions=tuple(axis.kernel_size for axis in window),
        window_strides=tuple(axis.stride for axis in window),
        padding=tuple((axis.low, axis.high) for axis in window),
        base_dilation=(1,) * len(window),
        window_dilation=tuple(axis.dilation for axis in window),
    )


def _output_type(x: Any, **params: Any) -> Any:
    return lax.reduce_window_max_p.abstract_eval(x, **params)[0]


def _window(x: Any, params: dict[str, Any]) -> ArrayWindow:
    return window_of(x.shape, _output_type(jax.typeof(x), **params).shape, params)


def _batch_window(
    primitive: Primitive, arrays: Sequence[jax.Array], dims: Sequence[int], **params: Any
) -> tuple[jax.Array, int]:
    def with_batch(name: str, each: tuple) -> tuple:
        return ((0, 0) if name == "padding" else 1, *each)

    x = jnp.moveaxis(arrays[0], dims[0], 0)
    return primitive.bind(x, **{k: with_batch(k, v) for k, v in params.items()}), 0


def _lower_window(
    pool: Callable[[jax.Array, ArrayWindow], jax.Array],
    context: Context,
    x: Any,
    **params: Any,
) -> Any:
    (x_type,), (y_type,) = operand_types(context), result_types(context)
    window = window_of(x_type.shape, y_type.shape, params)

    def program(x: jax.Array) -> jax.Array:
        for step in steps(window):
            x = pool(x, step)
        return x

    return lower_program(program, context, x)


# -- sums ------------------------------------------------------------------------------------------


def _transpose_sum(g: jax.Array, x: Any, **params: Any) -> list[jax.Array]:
    window = window_of(x.aval.shape, g.shape, params)

    def sums(x: jax.Array) -> jax.Array:
        for step in steps(window):
            x = materialize_cotangent(sum_taps(x, step))
        return x

    return jax.linear_transpose(sums, x.aval)(g)


define_linear(window_sum_p, _transpose_sum)
jet.deflinear(window_sum_p)
check_nans(window_sum_p)


# -- maxima and minima -----------------------------------------------------------------------------


def _extremum_and_terms(
    x: jax.Array, terms: Sequence[Any], window: ArrayWindow, is_max: bool
) -> tuple[jax.Array, list[Any]]:
    """The extremum of x under each window, and for every term the cell at the same position."""
    for step in steps(window):
        y = (window_max if is_max else window_min)(x, step)
        at = first_tap(x, y, step, is_max=is_max)
        # Rematerialised: the taps' numbers are stored instead of one mask for each tap.
        pick = jax.checkpoint(partial(pick_taps, window=step), prevent_cse=False)
        terms = [pick(term, at) for term in terms]
        x = y
    return x, list(terms)


def _jvp_of_extremum(
    is_max: bool, primals: Sequence[Any], tangents: Sequence[Any], **params: Any
) -> tuple[Any, Any]:
    window = _window(primals[0], params)
    y, (dy,) = _extremum_and_terms(primals[0], tangents, window, is_max)
    return y, dy


def _taylor_of_extremum(
    is_max: bool, primals: Sequence[Any], series: Sequence[Any], **params: Any
) -> tuple[Any, list[Any]]:
    return _extremum_and_terms(primals[0], series[0], _window(primals[0], params), is_max)


for _primitive, _is_max in ((window_max_p, True), (window_min_p, False)):
    define_jvp(_primitive, partial(_jvp_of_extremum, _is_max))
    jet.jet_rules[_primitive] = partial(_taylor_of_extremum, _is_max)

for _primitive, _pool in {
    window_max_p: partial(extremum, is_max=True),
    window_min_p: partial(extremum, is_max=False),
    window_sum_p: sum_taps,
}.items():
    compile_eagerly(_primitive)
    _primitive.def_abstract_eval(_output_type)
    define_batching(_primitive, partial(_batch_window, _primitive))
    register_lowering(_primitive, partial(_lower_window, _pool))


# -- the tap of an extremum ------------------------------------------------------------------------


@first_tap_p.def_abstract_eval
def _tap_type(_: Any, y: Any, *, window: ArrayWindow, **_params: Any) -> Any:
    return y.update(dtype=jnp.dtype(tap_number_dtype(window)), weak_type=False)


def _batch_first_tap(
    arrays: Sequence[jax.Array],
    dims: Sequence[int | None],
    *,
    window: ArrayWindow,
    is_max: bool,
) -> tuple[jax.Array, int]:
    (size,) = {a.shape[d] for a, d in zip(arrays, dims, strict=True) if d is not None}
    x, y = (batch_in_front(a, d, size) for a, d in zip(arrays, dims, strict=True))
    return first_tap_p.bind(x, y, window=(AxisWindow(size, size), *window), is_max=is_max), 0


def _jvp_of_first_tap(
    primals: Sequence[jax.Array], _tangents: Sequence[Any], **params: Any
) -> tuple[jax.Array, Any]:
    at = first_tap_p.bind(*primals, **params)
    return at, zero_tangent(at)


def _find(x: jax.Array, y: jax.Array, *, window: ArrayWindow, is_max: bool) -> jax.Array:
    if not is_unrolled(window):
        return first_tap_reduced(x, window, is_max)
    return first_tap_equal(x, y, window=window)


def _find_on_cpu(x: jax.Array, y: jax.Array, *, window: ArrayWindow, is_max: bool) -> jax.Array:
    if not is_unrolled(window) or not jnp.issubdtype(x.dtype, jnp.floating):
        return _find(x, y, window=window, is_max=is_max)
    with_nans = partial(first_tap_equal, window=window)
    without = partial(first_tap_equal_without_nans, window=window, fill=jnp.nan)
    return branch_on_nans(y, with_nans, without)(x, y)


def _lower_first_tap(find: Callable[..., Any], context: Context, *xy: Any, **params: Any) -> Any:
    return lower_program(partial(find, **params), context, *xy)


compile_eagerly(first_tap_p)
define_jvp(first_tap_p, _jvp_of_first_tap)
jet.defzero(first_tap_p)
define_batching(first_tap_p, _batch_first_tap)
register_lowering(first_tap_p, partial(_lower_first_tap, _find))
register_lowering(first_tap_p, partial(_lower_first_tap, _find_on_cpu), platform="cpu")
