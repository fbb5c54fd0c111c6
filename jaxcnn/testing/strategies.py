"""Problems to draw: possible ones, built so that they are, and impossible ones, each for a reason.

Nothing is drawn and thrown away: the window is drawn first, then one of the sizes that it fits.
That is fast, and shrinks to small problems.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from hypothesis import strategies as st

from jaxcnn.geometry.padding import PADDING_NAMES, named_padding
from jaxcnn.testing.problems import ConvProblem, PoolProblem

SEEDS = st.integers(0, 99)


class _Axis(NamedTuple):
    """One axis of a possible problem; the padding is None where a name will give it."""

    size: int
    kernel_size: int
    stride: int
    padding: tuple[int, int] | None
    dilation: int


@st.composite
def conv_problems(
    draw: st.DrawFn,
    *,
    ranks: Sequence[int] = (1, 2, 3),
    batches: Sequence[int | None] = (1, 2, None),
    max_cells: int = 32,
    max_size: int = 8,
    max_kernel_size: int = 3,
    max_stride: int = 3,
    max_dilation: int = 2,
    max_groups: int = 3,
    max_channels: int = 2,
    paddings: Sequence[str] = ("numbers", *PADDING_NAMES),
    roundings: Sequence[str] = ("exact", "floor"),
    biases: Sequence[bool] = (False, True),
    dtypes: Sequence[str] = ("float32",),
) -> ConvProblem:
    """Convolutions that the geometry allows.

    The defaults are small, so that a case runs in milliseconds and its error bound is tight even
    in bfloat16.

    Args:
      ranks: how many spatial axes there may be.
      batches: what the batch size may be; None for one example without a batch axis.
      max_cells: the most cells that the spatial axes may have together.
      max_size: the most cells on one axis, and, as far as the padding permits, the most outputs.
      max_kernel_size, max_stride, max_dilation: the most on one axis.
      max_groups: the most groups.
      max_channels: the most channels, and the most filters, in one group.
      paddings: names that may be drawn, and ``"numbers"`` for a pair on each axis.
      roundings: ``"exact"``, ``"floor"`` (cells may be left over, or may not) or both.
      biases: whether there may be, or must be, one.
      dtypes: names of dtypes.

    >>> from hypothesis import find
    >>> find(conv_problems(), lambda p: p.stride == (2,)).output_shape
    (1, 1, 1)
    """
    rank = draw(st.sampled_from(ranks))
    padding = draw(st.sampled_from(paddings))
    rounding = draw(st.sampled_from(roundings))
    axes = [
        draw(
            _axes(
                padding,
                rounding,
                _limit(max_size, max_cells, rank),
                max_kernel_size,
                max_stride,
                max_dilation,
            )
        )
        for _ in range(rank)
    ]
    groups = draw(st.integers(1, max_groups))
    return ConvProblem(
        batch=draw(st.sampled_from(batches)),
        size=tuple(a.size for a in axes),
        kernel_size=tuple(a.kernel_size for a in axes),
        in_channels=groups * draw(st.integers(1, max_channels)),
        out_channels=groups * draw(st.integers(1, max_channels)),
        groups=groups,
        stride=tuple(a.stride for a in axes),
        padding=tuple(a.padding for a in axes if a.padding is not None) or padding,
        dilation=tuple(a.dilation for a in axes),
        rounding=rounding,
        use_bias=draw(st.sampled_from(biases)),
        dtype=draw(st.sampled_from(dtypes)),
        seed=draw(SEEDS),
    )


@st.composite
def pool_problems(
    draw: st.DrawFn,
    *,
    kinds: Sequence[str] = ("max", "avg"),
    ranks: Sequence[int] = (1, 2, 3),
    batches: Sequence[int | None] = (1, 2, None),
    max_cells: int = 32,
    max_size: int = 8,
    max_kernel_size: int = 3,
    max_stride: int = 3,
    max_dilation: int = 2,
    max_channels: int = 3,
    paddings: Sequence[str] = ("numbers", *PADDING_NAMES),
    roundings: Sequence[str] = ("exact", "floor", "ceil"),
    ties: Sequence[bool] = (False, True),
    dtypes: Sequence[str] = ("float32",),
) -> PoolProblem:
    """Pools that the geometry allows: no window lies wholly in the padding.

    Args:
      kinds: ``"max"``, ``"avg"`` or both.
      ties: whether maxima may be, or must often be, shared by several cells.
      ranks, batches, max_cells, max_size, max_kernel_size, max_stride, max_dilation, max_channels,
        paddings, roundings, dtypes: as in :func:`conv_problems`.

    >>> from hypothesis import find
    >>> find(pool_problems(), lambda p: p.rounding == "ceil").kernel_size
    (1,)
    """
    rank = draw(st.sampled_from(ranks))
    padding = draw(st.sampled_from(paddings))
    rounding = draw(st.sampled_from(roundings))
    axes = [
        draw(
            _axes(
                padding,
                rounding,
                _limit(max_size, max_cells, rank),
                max_kernel_size,
                max_stride,
                max_dilation,
                pool=True,
            )
        )
        for _ in range(rank)
    ]
    return PoolProblem(
        kind=draw(st.sampled_from(kinds)),
        batch=draw(st.sampled_from(batches)),
        size=tuple(a.size for a in axes),
        kernel_size=tuple(a.kernel_size for a in axes),
        channels=draw(st.integers(1, max_channels)),
        stride=tuple(a.stride for a in axes),
        padding=tuple(a.padding for a in axes if a.padding is not None) or padding,
        dilation=tuple(a.dilation for a in axes),
        rounding=rounding,
        ties=draw(st.sampled_from(ties)),
        dtype=draw(st.sampled_from(dtypes)),
        seed=draw(SEEDS),
    )


@st.composite
def _axes(
    draw: st.DrawFn,
    padding: str,
    rounding: str,
    max_size: int,
    max_kernel_size: int,
    max_stride: int,
    max_dilation: int,
    pool: bool = False,
) -> _Axis:
    kernel_size = draw(st.integers(1, min(max_kernel_size, max_size)))
    room = max_size if kernel_size == 1 else (max_size - 1) // (kernel_size - 1)
    dilation = draw(st.integers(1, min(max_dilation, room)))
    extent = dilation * (kernel_size - 1) + 1
    # A pool needs a real cell under every window: no fewer cells than lie between two taps, and
    # no more padding than the window reaches over.
    least = dilation if pool else 1
    stride = draw(st.integers(1, min(max_stride, max_size - least + 1)))
    pair = None
    if padding == "numbers":
        low = draw(st.integers(0, extent - 1 if pool else extent))
        pair = (low, draw(st.integers(0, extent - 1)))

    def layout(size: int) -> tuple[int, int]:
        low, high = pair or named_padding(
            padding, size, kernel_size, stride=stride, dilation=dilation
        )
        return divmod(size + low + high - extent, stride)

    # Among as many sizes as the stride there is one that leaves no remainder.
    layouts = {size: layout(size) for size in range(least, max_size + 1)}
    sizes = [
        size
        for size, (steps, rest) in layouts.items()
        if steps >= 0 and (rounding != "exact" or not rest)
    ]
    few = [size for size in sizes if layouts[size][0] < max_size]
    return _Axis(draw(st.sampled_from(few or sizes[:1])), kernel_size, stride, pair, dilation)


@st.composite
def impossible_conv_problems(draw: st.DrawFn, **bounds: Any) -> ConvProblem:
    """Convolutions that the geometry must refuse: possible ones with one thing spoilt.

    ``bounds`` are those of the possible one, as in :func:`conv_problems`.

    >>> from hypothesis import find
    >>> find(impossible_conv_problems(), lambda p: p.groups > 1).shapes()
    Traceback (most recent call last):
    jaxcnn.errors.InputError: ...
    """
    problem = draw(conv_problems(**bounds))
    reason = draw(st.sampled_from(("in_channels", "out_channels", *_REASONS)))
    if reason.endswith("channels"):
        groups = draw(st.integers(2, 4))
        whole, rest = draw(st.integers(1, 2)), draw(st.integers(1, groups - 1))
        channels = {"in_channels": groups, "out_channels": groups, reason: groups * whole + rest}
        return replace(problem, groups=groups, **channels)
    return replace(
        problem, **_spoilt(draw, reason, problem.shapes().paddings, problem, "kernel_size")
    )


@st.composite
def impossible_pool_problems(draw: st.DrawFn, **bounds: Any) -> PoolProblem:
    """Pools that the geometry must refuse: possible ones with one thing spoilt.

    ``bounds`` are those of the possible one, as in :func:`pool_problems`.

    >>> from hypothesis import find
    >>> find(impossible_pool_problems(), lambda p: p.stride[0] > 0).shapes()
    Traceback (most recent call last):
    jaxcnn.errors.InputError: ...
    """
    problem = draw(pool_problems(**bounds))
    reason = draw(st.sampled_from((*_REASONS, "padding alone")))
    return replace(
        problem, **_spoilt(draw, reason, problem.shapes().paddings, problem, "kernel_size")
    )


_REASONS = ("remainder", "large filter", "stride", "dilation", "negative padding", "empty axis")


def _spoilt(
    draw: st.DrawFn,
    reason: str,
    pairs: tuple[tuple[int, int], ...],
    problem: ConvProblem | PoolProblem,
    kernel_size: str,
) -> dict[str, object]:
    """What to change in a possible problem so that it has the flaw, on one drawn axis."""
    i = draw(st.integers(0, len(problem.size) - 1))

    def put(entries: tuple, entry: object) -> tuple:
        return (*entries[:i], entry, *entries[i + 1 :])

    size, taps = problem.size[i], getattr(problem, kernel_size)[i]
    extent = problem.dilation[i] * (taps - 1) + 1
    low, high = pairs[i]
    if reason == "remainder":
        stride = draw(st.integers(2, 4))
        rest = draw(st.integers(1, stride - 1))
        least = max(1, problem.dilation[i])
        places = 1 + max(0, _ceil(least - (extent - low - high + rest), stride))
        size = (places - 1) * stride + extent - low - high + rest
        return {
            "size": put(problem.size, size),
            "stride": put(problem.stride, stride),
            "padding": pairs,
            "rounding": "exact",
        }
    if reason == "large filter":
        return {
            kernel_size: put(getattr(problem, kernel_size), size + draw(st.integers(1, 3))),
            "padding": put(pairs, (0, 0)),
            "rounding": draw(st.sampled_from(("exact", "floor"))),
        }
    if reason == "negative padding":
        return {"padding": put(pairs, (low, -draw(st.integers(1, 3))))}
    if reason == "padding alone":
        pair = (extent + draw(st.integers(0, 2)), high)
        return {"padding": put(pairs, pair), "rounding": "floor"}
    if reason == "empty axis":
        return {"size": put(problem.size, 0)}
    return {reason: put(getattr(problem, reason), draw(st.integers(-2, 0)))}


def _limit(max_size: int, max_cells: int, rank: int) -> int:
    """The most cells on one of ``rank`` axes."""
    return max(n for n in range(1, max_size + 1) if n == 1 or n**rank <= max_cells)


def _ceil(cells: int, stride: int) -> int:
    return -(-cells // stride)
