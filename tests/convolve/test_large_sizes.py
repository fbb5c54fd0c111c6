"""Convolutions and pools are right at sizes where XLA:CPU has lost rows (see known_faults).

The numbers are small integers, so that every sum is exact in any order and one lost row shows, even
in the kernel's gradient, which sums over all outputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.convolve import ALGORITHMS, Problem, conv_general_dilated
from jaxcnn.ops import avg_pool, max_pool
from tests.convolve.drawn import as_call, define, defined_gradients, takes, with_dtype

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("optimised")

SIZES = st.sampled_from((16_385, 32_769, 40_001, 65_537, 131_073)) | st.integers(16_385, 131_073)
SHAPES: dict[str, Callable[[int], tuple[int, tuple[int, ...]]]] = {
    "an axis": lambda n: (1, (n,)),
    "a long image": lambda n: (1, (n, 3)),
    "an image": lambda n: (1, (n // 181 + 1, 181)),
    "examples": lambda n: (n, (3,)),
}
"""The batch and the size of an example with this many cells."""


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Few channels and at most 27 terms of at most 9: integers that bfloat16 holds exactly."""
    batch, size = SHAPES[draw(st.sampled_from(sorted(SHAPES)))](draw(SIZES))
    channels, filters = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    groups = channels if channels == filters and draw(st.booleans()) else 1
    f, s = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    pads = tuple((draw(st.integers(0, 1)), draw(st.integers(0, 1))) for _ in size)
    return Problem(batch, size, channels, (f,) * len(size), filters, groups, (s,) * len(size), pads)


def whole(shape: tuple[int, ...], stream: int) -> np.ndarray:
    """Integers from -3 to 3."""
    return np.random.default_rng((stream, *shape)).integers(-3, 4, shape).astype(np.float32)


def is_right(problem: Problem, algorithm: str | None, *, directions: bool = True) -> None:
    """Checks that the result (with ``directions`` also the gradients) equals the definition."""
    shapes = problem.x_shape, problem.kernel_shape, problem.output_shape
    x, kernel, g = (jnp.asarray(whole(s, i), problem.dtype) for i, s in enumerate(shapes))
    call = as_call(problem, conv_general_dilated, algorithm=algorithm)
    y = jax.jit(call)(x, kernel)
    np.testing.assert_array_equal(y, define(problem, x, kernel), f"{algorithm}: {problem}")
    if directions:
        got = jax.jit(lambda x, kernel, g: jax.vjp(call, x, kernel)[1](g))(x, kernel, g)
        (want, _) = defined_gradients(problem, x, kernel, g)
        # The kernel's is too large for 16 bits.
        for one, other, _ in zip(got, want, range(1 + (problem.dtype == "float32")), strict=False):
            np.testing.assert_array_equal(one, other, f"gradient, {algorithm}: {problem}")


@given(problems(), st.sampled_from(("float32", "float32", "bfloat16")))
def test_a_convolution_loses_no_row(problem, dtype):
    is_right(with_dtype(problem, dtype), None)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(ALGORITHMS) - {"fft"}))  # fft is never exact
@given(st.data())
def test_no_algorithm_loses_a_row(name, data):
    problem = data.draw(problems())
    for each in (problem, problem.input_gradient(), problem.kernel_gradient()):
        if takes(name, each) and not each.is_empty:
            is_right(each, name, directions=False)


@given(SIZES, st.sampled_from(sorted(SHAPES)), st.integers(1, 3), st.sampled_from((1, 2)))
def test_a_pool_loses_no_row(n, shape, channels, stride):
    batch, size = SHAPES[shape](n)
    # All cells differ, and float32 can distinguish them.
    order = np.random.default_rng(n).permutation(batch * channels * int(np.prod(size)))
    x = order.reshape(batch, *size, channels).astype(np.float32)
    axes = range(1, len(size) + 1)
    windows = np.lib.stride_tricks.sliding_window_view(x, (2,) * len(size), tuple(axes))
    windows = windows[(slice(None), *(slice(None, None, stride) for _ in size))]
    g = whole(windows.shape[: x.ndim], 0)
    taps = tuple(range(x.ndim, windows.ndim))
    of_max, of_mean = np.zeros_like(x), np.zeros_like(x)
    for tap in np.ndindex((2,) * len(size)):
        cells = (
            slice(None),
            *(slice(t, t + stride * (k - 1) + 1, stride) for t, k in _axes(tap, g)),
        )
        of_max[cells] += g * (windows[(..., *tap)] == windows.max(taps))
        of_mean[cells] += g / 2 ** len(size)
    arguments = {"stride": stride, "rounding": "floor"}
    for pool, y, dx in ((max_pool, windows.max(taps), of_max), (avg_pool, None, of_mean)):
        # The mean of two or four small integers is exact.
        cells = x if pool is max_pool else x % 8
        y = (windows % 8).mean(taps) if y is None else y
        got = jax.jit(lambda x, g, pool=pool: _both(lambda x: pool(x, 2, **arguments), x, g))
        for one, other in zip(got(cells, g), (y, dx), strict=True):
            np.testing.assert_array_equal(one, other, f"{pool.__name__} of {x.shape}")


def _axes(tap, g):
    return zip(tap, g.shape[1:-1], strict=True)


def _both(function, x, g):
    y, pull_back = jax.vjp(function, x)
    return y, pull_back(g)[0]
