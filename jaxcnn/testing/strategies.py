"""Hypothesis strategies for problems, possible and impossible. Needs hypothesis.

The strategies discard no draws: they draw the window first, and then a size that it fits. This is
fast, and shrinks to small problems. An impossible problem is a possible one with one mistake.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from jaxcnn.geometry.padding import PADDING_NAMES, named_padding
from jaxcnn.testing.problems import ConvProblem, PoolProblem

if TYPE_CHECKING:
    from collections.abc import Sequence

_SEEDS = st.integers(0, 99)


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
    """A strategy for convolutions that the geometry allows.

    The defaults are small, so that a case runs in milliseconds and its error bound is tight even
    in bfloat16.

    Args:
      ranks: numbers of spatial axes.
      batches: batch sizes; None for one example without a batch axis.
      max_cells: cells of all spatial axes together.
      max_size: cells on one axis and, as far as the padding permits, outputs on one axis.
      max_kernel_size, max_stride, max_dilation: bounds on each axis.
      max_groups: groups of the convolution.
      max_channels: input channels, and output channels, of one group.
      paddings: names, and ``"numbers"`` for a pair on each axis.
      roundings: ``"exact"``, ``"floor"`` (cells at the end may stay unread) or both.
      biases: values of ``use_bias``.
      dtypes: names of dtypes.

    >>> from hypothesis import find
    >>> find(conv_problems(), lambda p: p.stride == (2,)).output_shape
    (1, 1, 1)
    """
    axes = draw(
        _axes(
            ranks=ranks,
            paddings=paddings,
            roundings=roundings,
            max_cells=max_cells,
            max_size=max_size,
            max_kernel_size=max_kernel_size,
            max_stride=max_stride,
            max_dilation=max_dilation,
        )
    )
    groups = draw(st.integers(1, max_groups))
    return ConvProblem(
        **axes,
        batch=draw(st.sampled_from(batches)),
        in_channels=groups * draw(st.integers(1, max_channels)),
        out_channels=groups * draw(st.integers(1, max_channels)),
        groups=groups,
        use_bias=draw(st.sampled_from(biases)),
        dtype=draw(st.sampled_from(dtypes)),
        seed=draw(_SEEDS),
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
    """A strategy for pools that the geometry allows: each window reads a cell of the input.

    Args:
      kinds: ``"max"``, ``"avg"`` or both.
      ties: values of :attr:`PoolProblem.ties`.
      ranks, batches, max_cells, max_size, max_kernel_size, max_stride, max_dilation, max_channels,
        paddings, roundings, dtypes: as in :func:`conv_problems`.

    >>> from hypothesis import find
    >>> find(pool_problems(), lambda p: p.rounding == "ceil").kernel_size
    (1,)
    """
    axes = draw(
        _axes(
            pool=True,
            ranks=ranks,
            paddings=paddings,
            roundings=roundings,
            max_cells=max_cells,
            max_size=max_size,
            max_kernel_size=max_kernel_size,
            max_stride=max_stride,
            max_dilation=max_dilation,
        )
    )
    return PoolProblem(
        **axes,
        kind=draw(st.sampled_from(kinds)),
        batch=draw(st.sampled_from(batches)),
        channels=draw(st.integers(1, max_channels)),
        ties=draw(st.sampled_from(ties)),
        dtype=draw(st.sampled_from(dtypes)),
        seed=draw(_SEEDS),
    )


@st.composite
def _axes(
    draw: st.DrawFn,
    *,
    ranks: Sequence[int],
    paddings: Sequence[str],
    roundings: Sequence[str],
    max_cells: int,
    max_size: int,
    pool: bool = False,
    **bounds: int,
) -> dict[str, Any]:
    """The attributes of a possible problem that describe its windows, on every axis."""
    rank = draw(st.sampled_from(ranks))
    padding = draw(st.sampled_from(paddings))
    rounding = draw(st.sampled_from(roundings))
    while max_size > 1 and max_size**rank > max_cells:
        max_size -= 1
    axes = [draw(_axis(padding, rounding, pool, max_size, **bounds)) for _ in range(rank)]
    size, kernel_size, stride, pairs, dilation = zip(*axes, strict=True)
    return {
        "size": size,
        "kernel_size": kernel_size,
        "stride": stride,
        "padding": pairs if padding == "numbers" else padding,
        "dilation": dilation,
        "rounding": rounding,
    }


@st.composite
def _axis(
    draw: st.DrawFn,
    padding: str,
    rounding: str,
    pool: bool,
    max_size: int,
    max_kernel_size: int,
    max_stride: int,
    max_dilation: int,
) -> tuple[int, int, int, tuple[int, int] | None, int]:
    """(size, kernel size, stride, padding, dilation); the padding is None if it has a name."""
    kernel_size = draw(st.integers(1, min(max_kernel_size, max_size)))
    room = max_size if kernel_size == 1 else (max_size - 1) // (kernel_size - 1)
    dilation = draw(st.integers(1, min(max_dilation, room)))
    extent = dilation * (kernel_size - 1) + 1
    # Each window of a pool reads a cell of the input: the size is at least the dilation, so that
    # the input does not fall between two taps, and the padding is less than the window's extent.
    least = dilation if pool else 1
    stride = draw(st.integers(1, min(max_stride, max_size - least + 1)))
    pair = None
    if padding == "numbers":
        low = draw(st.integers(0, extent - 1 if pool else extent))
        pair = (low, draw(st.integers(0, extent - 1)))

    def steps_and_remainder(size: int) -> tuple[int, int]:
        low, high = pair or named_padding(
            padding, size, kernel_size, stride=stride, dilation=dilation
        )
        return divmod(size + low + high - extent, stride)

    # At least one size is possible: among ``stride`` successive sizes, one leaves no remainder.
    steps = {}
    for size in range(least, max_size + 1):
        count, remainder = steps_and_remainder(size)
        if count >= 0 and (rounding != "exact" or not remainder):
            steps[size] = count
    small = [size for size, count in steps.items() if count < max_size]
    size = draw(st.sampled_from(small or list(steps)[:1]))
    return size, kernel_size, stride, pair, dilation


@st.composite
def impossible_conv_problems(draw: st.DrawFn, **bounds: Any) -> ConvProblem:
    """A strategy for convolutions that the geometry must refuse; each has one mistake.

    ``bounds``, as in :func:`conv_problems`, apply to the possible problem before the mistake.

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
    return replace(problem, **_mistake(draw, reason, problem))


@st.composite
def impossible_pool_problems(draw: st.DrawFn, **bounds: Any) -> PoolProblem:
    """A strategy for pools that the geometry must refuse; each has one mistake.

    ``bounds``, as in :func:`pool_problems`, apply to the possible problem before the mistake.

    >>> from hypothesis import find
    >>> find(impossible_pool_problems(), lambda p: p.stride[0] > 0).shapes()
    Traceback (most recent call last):
    jaxcnn.errors.InputError: ...
    """
    problem = draw(pool_problems(**bounds))
    reason = draw(st.sampled_from((*_REASONS, "padding alone")))
    return replace(problem, **_mistake(draw, reason, problem))


_REASONS = ("remainder", "large kernel", "stride", "dilation", "negative padding", "empty axis")


def _mistake(draw: st.DrawFn, reason: str, problem: ConvProblem | PoolProblem) -> dict[str, object]:
    """The attributes that make a possible problem impossible for this reason, on one axis."""
    i = draw(st.integers(0, len(problem.size) - 1))

    def put(entries: tuple, entry: object) -> tuple:
        return (*entries[:i], entry, *entries[i + 1 :])

    pairs = problem.shapes().paddings
    low, high = pairs[i]
    size = problem.size[i]
    extent = problem.dilation[i] * (problem.kernel_size[i] - 1) + 1
    if reason == "remainder":
        stride = draw(st.integers(2, 4))
        rest = draw(st.integers(1, stride - 1))
        least = max(1, problem.dilation[i])
        # size = steps * stride + (extent - low - high + rest), at least ``least``
        steps = max(0, -(-(least - (extent - low - high + rest)) // stride))
        return {
            "size": put(problem.size, steps * stride + extent - low - high + rest),
            "stride": put(problem.stride, stride),
            "padding": pairs,
            "rounding": "exact",
        }
    if reason == "large kernel":
        return {
            "kernel_size": put(problem.kernel_size, size + draw(st.integers(1, 3))),
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
    return {reason: put(getattr(problem, reason), draw(st.integers(-2, 0)))}  # stride, dilation
