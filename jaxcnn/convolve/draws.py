"""Drawn questions to oneDNN: convolutions of every class that the fence lets pass, and products."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from jax import lax

from jaxcnn.convolve import fence
from jaxcnn.convolve.algorithms import onednn, space_to_batch, volume, wide
from jaxcnn.convolve.problem import Problem

CHANNELS = (1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 17, 24, 31, 32, 33, 48, 64, 65, 96, 128, 130, 256)
BATCHES = (1, 1, 1, 2, 3, 4, 5, 8, 16, 17, 32, 64)
SIZES = {1: (1, 400), 2: (1, 64), 3: (1, 20)}
"""Least and most cells of an axis, by the number of axes."""

MOST_TERMS = 2**22
"""Most products in a problem, and most numbers in its patches: the reference must stay cheap."""


@dataclass(frozen=True)
class Convolution:
    """One call of :func:`jaxcnn.convolve.algorithms.onednn.call`."""

    problem: Problem
    numbers: lax.ConvDimensionNumbers | None = None

    @property
    def dtype(self) -> str:
        return self.problem.dtype


@dataclass(frozen=True)
class Product:
    """One call of :func:`jaxcnn.convolve.algorithms.onednn.product`: (R, K) times (K, O)."""

    rows: int
    inner: int
    columns: int
    transpose_a: bool = False
    dtype: str = "float32"


Question = Convolution | Product


def questions(
    seed: int,
    dtypes: tuple[str, ...],
    passes: Callable[[Problem], bool] = lambda problem: (
        fence.refuses_shape(onednn.asked(problem)) is None
    ),
) -> Iterator[Question]:
    """Endlessly, and the same ones for the same seed; one in ten is a product.

    Args:
      seed: of the random numbers.
      dtypes: drawn from.
      passes: which convolutions may be asked.
    """
    rng = random.Random(seed)
    while True:
        dtype = rng.choice(dtypes)
        if rng.random() < 0.1:
            if fence.no_products(dtype) is None:
                yield _product(rng, dtype)
            continue
        problem = rng.choice(_KINDS)(rng, dtype)
        if problem is not None and passes(problem):
            yield Convolution(problem, _numbers(rng, problem))


def _numbers(rng: random.Random, problem: Problem) -> lax.ConvDimensionNumbers | None:
    """One in three is laid out otherwise than channels last."""
    if rng.random() < 2 / 3:
        return None
    return rng.choice(onednn.readable(problem.axes, problem.dtype))


def _product(rng: random.Random, dtype: str) -> Product:
    sides = [rng.choice((*CHANNELS, 300, 577)) for _ in range(3)]
    sides[rng.randrange(2)] *= rng.choice((1, 1, 9, 25))
    while math.prod(sides) > 4 * MOST_TERMS:
        largest = sides.index(max(sides))
        sides[largest] //= 2
    return Product(*sides, transpose_a=rng.random() < 0.5, dtype=dtype)


def _window(rng: random.Random, problem: Problem) -> Problem | None:
    """The problem with size, filter, stride, dilation and padding drawn, channels kept."""
    axes = problem.axes
    most = {1: 70, 2: 33, 3: 7}[axes]
    common = rng.choice((1, 2, 3, 3, 3, 4, 5, 7, 9, rng.randint(1, most)))
    filters = tuple(
        min(most, common if rng.random() < 0.8 else rng.randint(1, most)) for _ in range(axes)
    )
    stride = _per_axis(rng, axes, (1, 1, 1, 2, 2, 3, 4))
    dilation = _per_axis(rng, axes, (1, 1, 1, 1, 2, 3))
    extent = [d * (f - 1) + 1 for f, d in zip(filters, dilation, strict=True)]
    style = rng.random()
    if style < 0.3:
        padding = tuple((0, 0) for _ in extent)
    elif style < 0.65:
        padding = tuple(((e - 1) // 2, e // 2) for e in extent)
    elif style < 0.85:
        padding = tuple((rng.randrange(e), rng.randrange(e)) for e in extent)
    else:  # windows of padding alone
        padding = tuple((rng.randint(0, 2 * e + 1), rng.randint(0, 2 * e + 1)) for e in extent)
    problem = replace(
        problem,
        filter=filters,
        stride=stride,
        dilation=dilation,
        padding=padding,
        size=_per_axis(rng, axes, range(*SIZES[axes])),
    )
    return _shrunk(problem)


def _per_axis(rng: random.Random, axes: int, values: object) -> tuple[int, ...]:
    """Mostly one value for all axes."""
    one = rng.choice(values)  # type: ignore[arg-type]
    if rng.random() < 0.7:
        return (one,) * axes
    return tuple(rng.choice(values) for _ in range(axes))  # type: ignore[arg-type]


def terms(problem: Problem) -> int:
    """The larger of the problem's products and the numbers in its patches."""
    patches = problem.batch * problem.places * problem.taps * problem.in_channels
    return max(problem.multiply_adds // 4, patches)


def _shrunk(problem: Problem) -> Problem | None:
    """Batch and size cut until the reference is cheap; None where nothing is left."""
    while not problem.is_empty and terms(problem) > MOST_TERMS:
        if problem.batch > 1:
            problem = replace(problem, batch=problem.batch // 2)
        elif max(problem.size) > 1:
            problem = replace(problem, size=tuple(n - n // 3 if n > 2 else 1 for n in problem.size))
        else:
            return None
    return None if problem.is_empty else problem


def _blank(rng: random.Random, dtype: str, c: int, o: int, groups: int = 1) -> Problem:
    axes = rng.choice((1, 2, 2, 2, 3))
    ones = (1,) * axes
    return Problem(rng.choice(BATCHES), ones, c, ones, o, groups, dtype=dtype)


def dense(rng: random.Random, dtype: str) -> Problem | None:
    """Any channels to any."""
    return _window(rng, _blank(rng, dtype, rng.choice(CHANNELS), rng.choice(CHANNELS)))


def stem(rng: random.Random, dtype: str) -> Problem | None:
    """Few channels in, as an image has."""
    return _window(rng, _blank(rng, dtype, rng.choice((1, 2, 3, 4)), rng.choice(CHANNELS)))


def pointwise(rng: random.Random, dtype: str) -> Problem | None:
    """Filters of one cell."""
    blank = _blank(rng, dtype, rng.choice(CHANNELS), rng.choice(CHANNELS))
    size = _per_axis(rng, blank.axes, range(*SIZES[blank.axes]))
    stride = _per_axis(rng, blank.axes, (1, 1, 2, 3))
    return _shrunk(replace(blank, size=size, stride=stride))


def depthwise(rng: random.Random, dtype: str) -> Problem | None:
    """Sometimes with several filters a channel."""
    channels = rng.choice([c for c in CHANNELS if c > 1])
    multiplier = rng.choice((1, 1, 1, 2, 3, 4))
    return _window(rng, _blank(rng, dtype, channels, channels * multiplier, channels))


def grouped(rng: random.Random, dtype: str) -> Problem | None:
    """Several channels in each group."""
    groups = rng.choice((2, 2, 3, 4, 8, 16, 32))
    narrow = [c for c in CHANNELS if c > 1 and c * groups <= 512]
    c, o = rng.choice(narrow), rng.choice((1, *narrow))
    if rng.random() < 0.5:
        o = c
    return _window(rng, _blank(rng, dtype, c * groups, o * groups, groups))


def gradient(rng: random.Random, dtype: str) -> Problem | None:
    """A kernel gradient: of any of the others, batch and channels exchanged, groups kept."""
    kind = rng.choice((dense, dense, stem, pointwise, grouped, depthwise))
    forward = kind(rng, dtype)
    if forward is None:
        return None
    if forward.is_depthwise:
        forward = replace(forward, batch=1)
    if rng.random() < 0.8:  # as it is for most layers
        forward = replace(forward, dilation=(1,) * forward.axes)
        if forward.is_empty:
            return None
    other = forward.exchanged()
    if not other.is_plain or other.is_empty or terms(other) > MOST_TERMS:
        return None
    return other


def laid_wide(rng: random.Random, dtype: str) -> Problem | None:
    """A kernel gradient whose channels are laid along the width."""
    problem = gradient(rng, dtype)
    if problem is None or wide.ALGORITHM.refuses(problem):
        return None
    return wide.ALGORITHM.parts(problem)[0][0]


def volume_of_examples(rng: random.Random, dtype: str) -> Problem | None:
    """The kernel gradient of a depthwise convolution as one of an axis more."""
    forward = depthwise(rng, dtype)
    if forward is None or forward.in_channels != forward.out_channels:
        return None
    problem = replace(forward, dilation=(1,) * forward.axes).exchanged()
    for rewrite in (volume.ALGORITHM, space_to_batch.ALGORITHM):
        if rewrite is volume.ALGORITHM or max(problem.dilation) > 1:
            if rewrite.refuses(problem):
                return None
            problem = rewrite.parts(problem)[0][0]
    return problem if terms(problem) <= MOST_TERMS else None


_KINDS = (dense, dense, dense, stem, pointwise, depthwise, depthwise, grouped, grouped, gradient)
_KINDS += (gradient, gradient, laid_wide, laid_wide, volume_of_examples)
