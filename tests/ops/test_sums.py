"""Sums of many 16-bit numbers do not stall, in results and in gradients of any argument.

In bfloat16 256 + 1 is 256, in float16 2048 + 1 is 2048, in float8_e4m3fn 16 + 1 is 16. A sum of
ones in the dtype stalls there; a sum in float32, rounded once, is right up to that rounding.
"""

from __future__ import annotations

import math
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn import ops, reference
from jaxcnn.testing import assert_within, gamma
from tests.cases import scaled
from tests.ops.calls import INTEGERS


def cases(n):
    """For each operation, calls whose results and gradients of arguments are sums of n terms.

    Each is (shapes of the arrays, a function of the operation f and the arrays); n is a square.
    """
    side = math.isqrt(n)
    few = min(side, 17)  # the derivative of a power takes long to compile
    image, both = (1, side, side, 2), (2 * side - 1,) * 2
    peak = np.zeros((1, *both, 1), "float32")
    peak[0, side - 1, side - 1] = 2  # is in all n windows, and the largest cell of each

    def moved(f, x):
        return f(x)

    def pooled(f, x):
        return f(x, (side, side), stride=1)

    def peaked(f, x, sign=1):
        y = pooled(f, x + jnp.asarray(sign * peak, x.dtype))
        return y[0] if isinstance(y, tuple) else y

    def beyond(f, x, **kwargs):
        return f(x, padding=[(n, n)], padding_mode="replicate", **kwargs)

    def with_mask(f, x, kernel, mask):
        return f(x, kernel, mask=mask)

    def deformed(f, x, offset, *others):
        return f(x, offset - 1, *others)  # whole cells inside the image: nothing cancels

    def gathered(f, x, kernel, padding):
        """All outputs read the only cell of x."""
        ways = jnp.arange(padding, -padding - 1, -1, dtype=x.dtype)
        offset = jnp.stack(jnp.meshgrid(ways, ways, indexing="ij"), -1)[None]
        return f(x, offset, kernel, padding=padding)

    def filtered(places, one_place):
        """A convolution with many positions, many terms, and many output channels."""
        return [(places, moved_all), *((shapes, moved_all) for shapes in one_place)]

    def moved_all(f, *arrays):
        return jax.tree.leaves(f(*arrays))[0]

    window = [(1, *both, 1)]
    return {
        "adaptive_avg_pool": [
            ([(1, 1, 1, 1)], lambda f, x: f(x, side)),
            ([image], lambda f, x: f(x, 1)),
        ],
        "adaptive_max_pool": [([(1, 1, 1, 1)], lambda f, x: f(x, side))],
        "avg_pool": [(window, pooled)],
        "blur_pool": [([(1, 2, 1)], partial(beyond, kernel_size=(3,), stride=1))],
        "causal_conv": filtered(
            [(n, 1, 1), (1, 1, 2), (2,)],
            [[(1, 2, n), (2, n, 2)], [(1, 2, 2), (2, 2, n)]],
        ),
        "causal_conv_state": [([(2, 1, 2)], moved)],
        "causal_conv_stream": filtered(
            [(n, 1, 1), (n, 1, 1), (2, 1, 2), (2,)],
            [[(1, 2, n), (1, 1, n), (2, n, 2)], [(1, 2, 2), (1, 1, 2), (2, 2, n)]],
        ),
        "conv": [
            *filtered(
                [image, (1, 1, 2, 2), (2,)],
                [[(1, 2, 2, n), (1, 1, n, 2)], [(1, 2, 2, 2), (1, 1, 2, n)]],
            ),
            ([(1, 1, 1, 2), (1, 1, 2, n), (1, 1, 2, 1)], with_mask),
        ],
        "conv_transpose": filtered(
            [image, (1, 1, 2, 2), (2,)],
            [[(1, 2, 2, n), (1, 1, 2, n)], [(1, 2, 2, 2), (1, 1, n, 2)]],
        ),
        "deform_conv": [
            ([image, (1, side, side, 2), (1, 1, 2, 2), (2,)], deformed),
            ([(1, 1, 1, 2), (1, 1, 2, 2)], partial(gathered, padding=side // 2)),
            ([(1, 2, 2, n), (1, 2, 2, 2), (1, 1, n, 2)], deformed),
            ([(1, 2, 2, 1), (1, 2, 2, 2), (1, 1, 1, n)], deformed),
            (
                [(1, 2, 2, n), (1, 2, 2, 2), (1, 1, n, 2), (1, 2, 2, 1)],
                lambda f, x, offset, kernel, mask: f(x, offset - 1, kernel, mask=mask),
            ),
        ],
        "depthwise_conv": filtered(
            [image, (1, 1, 2, 1), (2,)], [[image, (side, side, 2, 1)], [(1, 2, 1), (1, 1, n)]]
        ),
        "fold": [
            (
                [(1, side, side, n)],
                lambda f, x: f(x, side, output_size=1, padding=side - 1),
            )
        ],
        "global_avg_pool": [([image], moved)],
        "global_lp_pool": [([image], moved)],
        "global_max_pool": [([image], moved)],
        "kernel_from_keras": [([(1, 1, 2, 2)], moved)],
        "kernel_from_torch": [([(2, 2, 1, 1)], moved)],
        "kernel_to_keras": [([(1, 1, 2, 2)], moved)],
        "kernel_to_torch": [([(1, 1, 2, 2)], moved)],
        "local_conv": filtered(
            [image, (side, side, 1, 1, 2, 2), (2,)],
            [
                [(n, 1, 1), (1, 1, 1, 2), (1, 2)],
                [(1, 1, n), (1, 1, n, 2)],
                [(1, 1, 2), (1, 1, 2, n)],
            ],
        ),
        "lp_pool": [([(1, 2 * few - 1, few, 1)], lambda f, x: f(x, (few, few), stride=1))],
        "max_pool": [(window, peaked)],
        "max_pool_with_indices": [(window, peaked)],
        "max_unpool": [([image], lambda f, x: f(x, places_of(x), output_size=(side, side)))],
        "min_pool": [(window, partial(peaked, sign=-1))],
        "pad": [([(1, 2, 1)], beyond)],
        "pixel_shuffle": [([(1, 2, 2, 4)], lambda f, x: f(x, 2))],
        "pixel_unshuffle": [([(1, 4, 4, 1)], lambda f, x: f(x, 2))],
        "separable_conv": filtered(
            [image, (1, 1, 2, 1), (1, 1, 2, 2), (2,)],
            [
                [(1, 2, 1), (1, 1, n), (1, n, 2)],
                [(1, 2, 2), (1, 2, 1), (1, 2, n)],
            ],
        ),
        "upsample": [
            ([(1, 1, 2, 1)], lambda f, x: f(x, side)),
            ([(1, 2, 1)], lambda f, x: f(x, output_size=(n,), method="linear")),
        ],
        "unfold": [([(1, 1, 1, 1)], lambda f, x: f(x, side, padding=side - 1))],
    }


def places_of(x):
    cells = jnp.arange(math.prod(x.shape[1:-1]), dtype=jnp.int32)
    return jnp.broadcast_to(cells.reshape(1, *x.shape[1:-1], 1), x.shape)


def results(forms, case, name, arrays):
    """The operation's results, and the gradient of their sum in every array."""
    _, call = case
    y, pull_back = jax.vjp(partial(call, getattr(forms, name)), *arrays)
    return y, pull_back(jnp.ones_like(y))


@cache
def walk(n):
    """The results of all operations, as one program of the arrays."""
    table = cases(n)

    def every(arrays):
        return {
            name: [results(ops, case, name, a) for case, a in zip(table[name], given, strict=True)]
            for name, given in arrays.items()
        }

    return jax.jit(every)


def drawn(table, seed, dtype):
    draws = np.random.default_rng(seed)

    def draw(shape):
        return jnp.asarray(draws.integers(1, 3, shape), dtype)

    return {
        name: [[draw(shape) for shape in shapes] for shapes, _ in table[name]]
        for name in sorted(table)
    }


def assert_rounded_once(got, want, name):
    """Checks that results are within a few roundings of the dtype, for any number of terms."""

    def close(got, want):
        assert got.dtype != want.dtype
        assert_within(got, want, gamma(4, got.dtype) * abs(np.asarray(want, np.float64)), name)

    jax.tree.map(close, got, want)


def test_every_operation_has_a_case_of_long_sums():
    assert set(cases(4)) == set(ops.__all__) - set(INTEGERS)


@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize(
    ("dtype", "side"), [("bfloat16", 17), pytest.param("float16", 65, marks=pytest.mark.slow)]
)
@scaled(1 / 3)
@given(seed=st.integers(0, 99))
def test_sums_of_operations_are_rounded_once(dtype, side, seed):
    n = side**2
    narrow = drawn(cases(n), seed, dtype)
    got, want = walk(n)(narrow), walk(n)(drawn(cases(n), seed, "float32"))
    for name in got:
        assert_rounded_once(got[name], want[name], name)


@pytest.mark.parametrize("name", sorted(set(reference.__all__) - set(INTEGERS)))
def test_sums_of_references_are_rounded_once(name):
    # In 8 bits few terms are enough, and the definitions loop over them.
    table = {name: cases(7**2)[name]}
    given_arrays = (drawn(table, 0, dtype)[name] for dtype in ("float8_e4m3fn", "float32"))
    for case, narrow, wide in zip(table[name], *given_arrays, strict=True):
        got, want = (results(reference, case, name, arrays) for arrays in (narrow, wide))
        assert_rounded_once(got, want, name)
