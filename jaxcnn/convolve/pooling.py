"""How pools and their gradients are computed, and lowerings of lax's own pool gradients.

A window of several axes is read tap by tap: for each tap one strided slice, with cells of padding
only where that tap overhangs. So no padded copy of the input is made, and the transpose of a read
is one dilated pad, of which a compiler makes one pass over all taps. Where a window has many taps
the axes are pooled one after another (:func:`steps`), which is F_1 + F_2 reads for F_1 x F_2 taps.

What the gradient of a maximum has to know is at which tap of its window each output was found:
:func:`first_tap`, one byte an output. On CPUs that number is a program of its own: XLA would
otherwise find it anew for each of the taps that ask for it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

_TOGETHER = 16
"""Of so many taps at most, several axes are pooled at once."""


@dataclass(frozen=True)
class Reads:
    """How a pool reads one axis of an array; one that is not pooled is read cell by cell.

    Attributes:
      size: the axis's cells.
      output: its outputs, k.
      filter, stride, dilation: of the window.
      low: the cells of padding before the first.
    """

    size: int
    output: int
    filter: int = 1
    stride: int = 1
    dilation: int = 1
    low: int = 0

    def real(self, tap: int) -> tuple[int, int]:
        """Of the outputs, the range whose cell under ``tap`` is no padding."""
        place = tap * self.dilation - self.low
        first = max(0, -(place // self.stride))
        last = min(self.output, (self.size - 1 - place) // self.stride + 1)
        return (first, last) if first < last else (0, 0)

    def cells(self, tap: int) -> tuple[int, int]:
        """The cells that those outputs read, as a slice of that stride."""
        place = tap * self.dilation - self.low
        first, last = self.real(tap)
        if first == last:
            return 0, 0
        return place + first * self.stride, place + (last - 1) * self.stride + 1

    @property
    def high(self) -> int:
        """The cells of padding that are read after the last; negative, if the last are not read."""
        extent = (self.filter - 1) * self.dilation + 1
        return (self.output - 1) * self.stride + extent - self.size - self.low

    @property
    def whole(self) -> Reads:
        """The same axis, read cell by cell."""
        return Reads(self.size, self.size)

    @property
    def done(self) -> Reads:
        """The axis of the outputs, read cell by cell."""
        return Reads(self.output, self.output)


Layout = tuple[Reads, ...]
"""How each axis of an array is read."""


def steps(layout: Layout) -> Iterator[Layout]:
    """Pools that one after another make the whole, the last axes first.

    In that order a tie is settled within the rows before it is settled between them, which is the
    row-major order of the definition.

    >>> window = Reads(9, 3, filter=3, stride=3)
    >>> [[axis.filter for axis in step] for step in steps((window, window, window))]
    [[1, 3, 3], [3, 1, 1]]
    """
    axes = len(layout)
    end = axes
    while end:
        start = end - 1
        while start and math.prod(axis.filter for axis in layout[start - 1 : end]) <= _TOGETHER:
            start -= 1
        before = (axis.whole for axis in layout[:start])
        after = (axis.done for axis in layout[end:])
        step = (*before, *layout[start:end], *after)
        if any(axis != axis.whole for axis in step):
            yield step
        end = start


def every_tap(layout: Layout) -> Iterator[tuple[int, ...]]:
    """The taps of a window, one number for each axis, in row-major order."""
    return itertools.product(*(range(axis.filter) for axis in layout))


def taps(x: jax.Array, layout: Layout, fill: float) -> list[jax.Array]:
    """For each tap of the window the cells under it, one for each output; padding is ``fill``."""
    return [_laid(_under(x, layout, tap), layout, tap, fill) for tap in every_tap(layout)]


def _under(x: jax.Array, layout: Layout, tap: tuple[int, ...]) -> jax.Array:
    """The real cells under a tap."""
    starts, ends = zip(*(axis.cells(t) for axis, t in zip(layout, tap, strict=True)), strict=True)
    return lax.slice(x, starts, ends, [axis.stride for axis in layout])


def _of(y: jax.Array, layout: Layout, tap: tuple[int, ...]) -> jax.Array:
    """The outputs that have a real cell under a tap."""
    starts, ends = zip(*(axis.real(t) for axis, t in zip(layout, tap, strict=True)), strict=True)
    return lax.slice(y, starts, ends)


def _laid(cells: jax.Array, layout: Layout, tap: tuple[int, ...], fill: float) -> jax.Array:
    """What belongs to the outputs with a real cell under a tap, and ``fill`` at the others."""
    ranges = [(axis.real(t), axis.output) for axis, t in zip(layout, tap, strict=True)]
    pads = [(first, output - last, 0) for (first, last), output in ranges]
    return lax.pad(cells, jnp.asarray(fill, cells.dtype), pads) if any(map(any, pads)) else cells


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
        padding=tuple((axis.low, max(0, axis.high)) for axis in layout),
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
        x = whole_when_back(_add_up(x, step))
    return x


def _add_up(x: jax.Array, layout: Layout) -> jax.Array:
    return reduce(lax.add, taps(x, layout, 0))


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


def _choose(x: jax.Array, layout: Layout, upward: bool) -> jax.Array:
    fill, better = (lowest(x.dtype), lax.max) if upward else (highest(x.dtype), lax.min)
    return reduce(better, taps(x, layout, fill))


def lowest(dtype: jnp.dtype) -> float | int:
    """The value that loses against every other of ``dtype``."""
    return -jnp.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).min


def highest(dtype: jnp.dtype) -> float | int:
    """The value that wins against every other of ``dtype``."""
    return jnp.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).max


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


def _number_type(layout: Layout) -> Any:
    return jnp.uint8 if math.prod(axis.filter for axis in layout) <= 256 else jnp.int32


def _numbered(hits: Sequence[tuple[int, jax.Array]], at: jax.Array) -> jax.Array:
    """``at``, but where there are hits the number of the last one."""
    for number, hit in hits:
        at = lax.select(hit, lax.full_like(at, number), at)
    return at


def _find(x: jax.Array, y: jax.Array, *, layout: Layout) -> jax.Array:
    all_taps = list(enumerate(every_tap(layout)))

    def hits(hit: Callable[[tuple[int, ...]], jax.Array]) -> list[tuple[int, jax.Array]]:
        return [(number, _laid(hit(tap), layout, tap, False)) for number, tap in all_taps]

    at = lax.full_like(y, 0, _number_type(layout))
    if jnp.issubdtype(x.dtype, jnp.floating):
        at = _numbered(hits(lambda tap: _isnan(_under(x, layout, tap))), at)
    equal = hits(lambda tap: _under(x, layout, tap) == _of(y, layout, tap))
    return _numbered(equal[::-1], at)


def _find_without_nans(x: jax.Array, y: jax.Array, *, layout: Layout, fill: float) -> jax.Array:
    equal = [(number, cells == y) for number, cells in enumerate(taps(x, layout, fill))]
    return _numbered(equal[::-1], lax.full_like(y, 0, _number_type(layout)))


def _isnan(x: jax.Array) -> jax.Array:
    return x != x


def _find_on_cpu(x: jax.Array, y: jax.Array, *, layout: Layout) -> jax.Array:
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return _find(x, y, layout=layout)
    return _branching(
        y, partial(_find, layout=layout), partial(_find_without_nans, layout=layout, fill=jnp.nan)
    )(x, y)


def _branching(
    y: jax.Array, with_nans: Callable[..., Any], without: Callable[..., Any]
) -> Callable[..., Any]:
    """The quicker of two programs where there are no NaNs, seen by the sum of all: it is one then.

    Infinities can make it one as well, and send the array through the program that is never wrong.
    The branch also keeps XLA from computing the result anew wherever it is used.
    """
    return partial(lax.cond, _isnan(jnp.sum(y)), with_nans, without)


def _window_type(x: Any, **window: Any) -> Any:
    return MAX.abstract_eval(x, **window)[0]


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


def _layout(size: tuple[Any, ...], output: tuple[Any, ...], params: dict[str, Any]) -> Layout:
    """How a window in lax's parameters reads each axis."""
    each = zip(
        size,
        output,
        params["window_dimensions"],
        params["window_strides"],
        params.get("window_dilation", (1,) * len(size)),
        (low for low, _ in params["padding"]),
        strict=True,
    )
    return tuple(Reads(*axis) for axis in each)


def _lower_window(
    by_taps: Callable[..., jax.Array], context: mlir.LoweringRuleContext, x: Any, **window: Any
) -> Any:
    (x_type,), (y_type,) = context.avals_in, context.avals_out
    layout = _layout(x_type.shape, y_type.shape, window)

    def program(x: jax.Array) -> jax.Array:
        for step in steps(layout):
            x = by_taps(x, step)
        return x

    return mlir.lower_fun(program, multiple_results=False)(context, x)


MAX, MIN, SUM = lax.reduce_window_max_p, lax.reduce_window_min_p, lax.reduce_window_sum_p
for _primitive, _by_taps in {
    window_max_p: partial(_choose, upward=True),
    window_min_p: partial(_choose, upward=False),
    window_sum_p: _add_up,
}.items():
    _primitive.def_impl(partial(_run_window, _primitive))
    _primitive.def_abstract_eval(_window_type)
    batching.primitive_batchers[_primitive] = partial(_batched_window, _primitive)
    mlir.register_lowering(_primitive, partial(_lower_window, _by_taps))


first_tap_p = Primitive("jaxcnn_first_tap")


@first_tap_p.def_abstract_eval
def _type_of(x: Any, y: Any, *, layout: Layout) -> Any:
    del x
    return y.update(dtype=jnp.dtype(_number_type(layout)), weak_type=False)


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
mlir.register_lowering(first_tap_p, mlir.lower_fun(_find, multiple_results=False))
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


# lax's own pools.

SCATTER = lax.select_and_scatter_add_p


def _rule_of(primitive: Primitive) -> Any:
    special = mlir._platform_specific_lowerings["cpu"]
    return special.get(primitive, mlir._lowerings.get(primitive)).rule


LAX_RULES = {primitive: _rule_of(primitive) for primitive in (SCATTER, MAX, MIN, SUM)}
"""lax's own lowerings on CPUs, as they are before anything is installed."""


def lower_select_and_scatter_add(
    context: mlir.LoweringRuleContext, source: Any, operand: Any, **params: Any
) -> Any:
    """The gradient of lax's maximum and minimum over windows, to the bit what lax computes.

    There as here of equal cells the first takes it all, the padding is cells that can be equal, and
    after a NaN the search starts anew.
    """
    g, x = context.avals_in
    layout = _layout_of(x.shape, g.shape, params)
    if layout is None or not _floating(x):
        return LAX_RULES[SCATTER](context, source, operand, **params)
    upward = params["select_prim"] is lax.ge_p

    def program(g: jax.Array, x: jax.Array) -> jax.Array:
        at = _found_by_lax(x, layout, upward)
        (dx,) = jax.linear_transpose(partial(picked, at=at, layout=layout), x)(g)
        return dx

    return _lower(program, context, source, operand)


def _lower_best(
    primitive: Primitive, context: mlir.LoweringRuleContext, operand: Any, **params: Any
) -> Any:
    """The maximum or minimum itself: the program that its gradient asks for too, run once."""
    (x,), (y,) = context.avals_in, context.avals_out
    layout = _layout_of(x.shape, y.shape, params)
    if layout is None or not _floating(x):
        return LAX_RULES[primitive](context, operand, **params)
    return _lower(partial(_choose, layout=layout, upward=primitive is MAX), context, operand)


def lower_reduce_window_sum(context: mlir.LoweringRuleContext, operand: Any, **params: Any) -> Any:
    """A sum over windows, and its gradient, which lax puts as one of a dilated array."""
    (x,), (y,) = context.avals_in, context.avals_out
    layout = _layout_of(x.shape, y.shape, params)
    if layout is not None and _floating(x):
        return _lower(partial(_add_up, layout=layout), context, operand)
    layout = _gradient_layout_of(x.shape, y.shape, params)
    if layout is None or not _floating(x):
        return LAX_RULES[SUM](context, operand, **params)

    def spread(g: jax.Array) -> jax.Array:
        whole = jax.ShapeDtypeStruct(y.shape, y.dtype)
        (dx,) = jax.linear_transpose(partial(added, layout=layout), whole)(g)
        return dx

    return _lower(spread, context, operand)


RULES = {
    SCATTER: lower_select_and_scatter_add,
    MAX: partial(_lower_best, MAX),
    MIN: partial(_lower_best, MIN),
    SUM: lower_reduce_window_sum,
}
"""For each of lax's primitives the lowering that is quicker on CPUs.

Where sizes are unknown, numbers are not floating, windows have many taps or channels are not the
last axis, each is lax's own.
"""


def _lower(program: Callable[..., Any], context: mlir.LoweringRuleContext, *operands: Any) -> Any:
    # Of which mesh axes a device's part varies over, a program that is never transformed again
    # need not know.
    bare = context.replace(
        avals_in=[jax.core.ShapedArray(aval.shape, aval.dtype) for aval in context.avals_in]
    )
    return mlir.lower_fun(program, multiple_results=False)(bare, *operands)


def _floating(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating)


def _layout_of(
    size: tuple[Any, ...], output: tuple[Any, ...], params: dict[str, Any]
) -> Layout | None:
    """How lax's window reads each axis; None where that is no case for taps."""
    ones = (1,) * len(size)
    if not _is_case(size, output, params) or params.get("base_dilation", ones) != ones:
        return None
    return _layout(size, output, params)


def _gradient_layout_of(
    output: tuple[Any, ...], size: tuple[Any, ...], params: dict[str, Any]
) -> Layout | None:
    """The reads of which a sum over windows of a dilated array is the transpose, or None.

    Cell p of the result is the sum over taps t of cell (p - pad + t*dilation)/base, where that is
    whole. With t' = F - 1 - t that is: output k reads cells base*k + t'*dilation - low, low being
    (F - 1)*dilation - pad.
    """
    if not _is_case(size, output, params) or set(params["window_strides"]) != {1}:
        return None
    each = zip(
        size,
        output,
        params["window_dimensions"],
        params["base_dilation"],
        params["window_dilation"],
        (low for low, _ in params["padding"]),
        strict=True,
    )
    return tuple(Reads(n, k, f, b, d, (f - 1) * d - low) for n, k, f, b, d, low in each)


def _is_case(size: tuple[Any, ...], output: tuple[Any, ...], params: dict[str, Any]) -> bool:
    window = params["window_dimensions"]
    known = all(isinstance(n, int) for n in (*size, *output))
    return known and 1 < math.prod(window) <= _TOGETHER and window[-1] == 1


def _found_by_lax(x: jax.Array, layout: Layout, upward: bool) -> jax.Array:
    fill, keeps = (lowest(x.dtype), lax.ge) if upward else (highest(x.dtype), lax.le)
    y = _choose(x, layout, upward)

    def in_turn(x: jax.Array, y: jax.Array) -> jax.Array:
        del y
        best, *others = taps(x, layout, fill)
        at = jnp.zeros(best.shape, _number_type(layout))
        for number, cells in enumerate(others, 1):
            stays = keeps(best, cells)
            best = lax.select(stays, best, cells)
            at = lax.select(stays, at, lax.full_like(at, number))
        return at

    quick = partial(_find_without_nans, layout=layout, fill=fill)
    return _branching(y, in_turn, quick)(x, y)
