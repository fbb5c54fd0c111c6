"""Pools and resampling agree with PyTorch's under its convention, except odd p-norms."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

import jaxcnn
from jaxcnn.geometry.conventions import pytorch
from jaxcnn.ops import adaptive, pool, resample, unpool
from tests.torch.compare import assert_same, last, second

pytestmark = pytest.mark.torch


@st.composite
def problems(draw, *, dilated=False, ceil=True, positive=False, padded=True):
    """(x, PyTorch's arguments) of a possible pool."""
    axes = draw(st.integers(1, 3))

    def each(least, most):
        return tuple(draw(st.integers(least, most)) for _ in range(axes))

    kernel_size = each(1, 3)
    dilation = each(1, 2) if dilated else (1,) * axes
    padding = tuple(draw(st.integers(0, w // 2)) if padded else 0 for w in kernel_size)
    stride = draw(st.sampled_from([None, each(1, 3)]))
    reach = [d * (w - 1) + 1 for w, d in zip(kernel_size, dilation, strict=True)]
    # The size is at least the dilation, so the input does not fall between two taps of a window.
    least = [max(d, r - 2 * p) for r, p, d in zip(reach, padding, dilation, strict=True)]
    if axes == 3:  # PyTorch's avg_pool3d refuses an input smaller than the kernel
        least = [max(n, w) for n, w in zip(least, kernel_size, strict=True)]
    size = [n + draw(st.integers(0, 3)) for n in least]
    arguments = {"kernel_size": kernel_size, "stride": stride}
    if padded:
        arguments["padding"] = padding
    if dilated:
        arguments["dilation"] = dilation
    if ceil:
        arguments["ceil_mode"] = draw(st.booleans())
    draws = np.random.default_rng(draw(st.integers(0, 99)))
    x = draws.normal(size=(draw(st.integers(1, 2)), draw(st.integers(1, 2)), *size))
    return abs(x) if positive else x, arguments


def over(name, x):
    """PyTorch's function with this name, for the number of axes of x."""
    return getattr(functional, name.format(x.ndim - 2))


def channels_last(pool):
    return lambda x: jnp.moveaxis(pool(jnp.moveaxis(x, 1, -1)), -1, 1)


@given(problems(dilated=True))
def test_max_pools_agree_with_pytorch(problem):
    x, arguments = problem
    assert_same(
        partial(over("max_pool{}d", x), **arguments),
        channels_last(partial(pool.max_pool, **pytorch.max_pool(**arguments))),
        (x,),
        roundings=math.prod(x.shape),
        linear=False,
    )


@given(problems(dilated=True), st.booleans())
def test_the_first_of_equal_maxima_gets_the_gradient_in_both(problem, lowest):
    x, arguments = problem
    x = np.round(x)
    if lowest:  # the value of the padding, which must not win
        x = np.where(x > 0, x, -np.inf)
    theirs = torch.tensor(x, requires_grad=True)
    y = over("max_pool{}d", x)(theirs, **arguments)
    share = np.arange(1.0, 1 + y.numel()).reshape(y.shape)
    y.backward(torch.tensor(share))
    ours = channels_last(partial(pool.max_pool, **pytorch.max_pool(**arguments)))
    with jax.enable_x64(True):
        got = jax.jit(lambda x, g: jax.vjp(ours, x)[1](g)[0])(jnp.asarray(x), jnp.asarray(share))
    np.testing.assert_array_equal(got, theirs.grad.numpy())  # sums of whole numbers


@given(problems(), st.booleans())
def test_average_pools_agree_with_pytorch(problem, count):
    x, arguments = problem
    if x.ndim == 3:  # avg_pool1d takes numbers, not tuples
        arguments = {k: v[0] if isinstance(v, tuple) else v for k, v in arguments.items()}
    stated = {k: (v,) if k == "kernel_size" and x.ndim == 3 else v for k, v in arguments.items()}
    assert_same(
        partial(over("avg_pool{}d", x), **arguments, count_include_pad=count),
        channels_last(
            partial(pool.avg_pool, **pytorch.avg_pool(**stated, count_include_pad=count))
        ),
        (x,),
        roundings=math.prod(x.shape) + 1,
    )


@given(problems(padded=False, ceil=False, positive=True), st.sampled_from([1, 2, 3]))
def test_p_norm_pools_of_cells_that_are_not_negative_agree_with_pytorch(problem, p):
    x, arguments = problem
    arguments = dict(arguments)
    theirs = over("lp_pool{}d", x)
    if x.ndim == 3:
        stride = arguments["stride"] and arguments["stride"][0]
        theirs = partial(theirs, kernel_size=arguments["kernel_size"][0], stride=stride)
    else:
        theirs = partial(theirs, **arguments)
    stated = pytorch.lp_pool(p, **arguments)
    # PyTorch computes it from the mean, with one more quotient, one product and two calls of pow.
    assert_same(
        lambda x: theirs(x, float(p)),
        channels_last(partial(pool.lp_pool, **stated)),
        (x,),
        roundings=8 * math.prod(x.shape) + 64,
    )


def test_a_p_norm_pool_of_odd_order_differs_from_pytorch_for_negative_cells():
    x = np.array([[[1.0, -2.0, 3.0]]])
    theirs = functional.lp_pool1d(torch.tensor(x), 3.0, 3)
    ours = pool.lp_pool(jnp.asarray(last(x)), (3,), 3)
    assert theirs.item() == pytest.approx((1 - 8 + 27) ** (1 / 3))
    assert ours.item() == pytest.approx((1 + 8 + 27) ** (1 / 3))


@given(problems(dilated=True))
def test_indices_of_maxima_agree_with_pytorch(problem):
    x, arguments = problem
    x = np.round(2 * x)  # with ties
    values, indices = over("max_pool{}d", x)(torch.tensor(x), **arguments, return_indices=True)
    stated = pytorch.max_pool(**arguments)
    with jax.enable_x64(True):
        got = unpool.max_pool_with_indices(jnp.asarray(last(x)), **stated)
    np.testing.assert_array_equal(second(got[0]), values.numpy())
    np.testing.assert_array_equal(second(got[1]), indices.numpy())


@given(problems(ceil=False, padded=False))
def test_unpooling_agrees_with_pytorch(problem):
    x, arguments = problem
    arguments = arguments | {"stride": None}  # no two windows share a cell
    values, indices = over("max_pool{}d", x)(torch.tensor(x), **arguments, return_indices=True)
    size = x.shape[2:]
    at = jnp.asarray(last(indices.numpy()), "int32")
    assert_same(
        lambda v: over("max_unpool{}d", x)(v, indices, **arguments, output_size=size),
        channels_last(lambda v: unpool.max_unpool(v, at, output_size=size)),
        (values.numpy(),),
        roundings=1,
        linear=False,
    )


@given(problems(), st.tuples(*[st.integers(1, 5)] * 3))
def test_adaptive_pools_agree_with_pytorch(problem, outputs):
    x, _ = problem
    outputs = outputs[: x.ndim - 2]
    assert_same(
        lambda x: over("adaptive_avg_pool{}d", x)(x, outputs),
        channels_last(lambda x: adaptive.adaptive_avg_pool(x, outputs)),
        (x,),
        roundings=math.prod(x.shape) + math.prod(outputs) + 6,
    )
    assert_same(
        lambda x: over("adaptive_max_pool{}d", x)(x, outputs),
        channels_last(lambda x: adaptive.adaptive_max_pool(x, outputs)),
        (x,),
        roundings=math.prod(outputs),
        linear=False,
    )


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_pixel_shuffles_agree_with_pytorch(height, width, channels, factor):
    x = np.random.default_rng(0).normal(size=(2, channels * factor**2, height, width))
    y = second(resample.pixel_shuffle(last(x.astype("float32")), factor))
    want = functional.pixel_shuffle(torch.tensor(x.astype("float32")), factor)
    np.testing.assert_array_equal(y, want.numpy())
    back = second(resample.pixel_unshuffle(last(y), factor))
    np.testing.assert_array_equal(back, functional.pixel_unshuffle(want, factor).numpy())


@given(problems(dilated=True, ceil=False))
def test_unfolding_and_folding_agree_with_pytorch(problem):
    x, arguments = problem
    x = x.reshape(*x.shape[:2], -1, x.shape[-1])  # PyTorch unfolds images only
    arguments = {
        name: (1, *value)[-2:] if name != "padding" else (0, *value)[-2:]
        for name, value in (arguments | {"stride": arguments["stride"] or (1,)}).items()
    }
    stated = pytorch.unfold(**arguments)
    taps, size = math.prod(arguments["kernel_size"]), x.shape[2:]

    def columns(x):
        patches = jaxcnn.unfold(jnp.moveaxis(x, 1, -1), **stated)
        by_tap = patches.reshape(len(x), -1, taps, x.shape[1])
        return jnp.moveaxis(by_tap, (3, 2), (1, 2)).reshape(len(x), -1, by_tap.shape[1])

    theirs = partial(functional.unfold, **arguments)
    assert_same(theirs, columns, (x,), roundings=taps)
    back = partial(functional.fold, output_size=size, **arguments)
    positions = jax.eval_shape(lambda x: jaxcnn.unfold(jnp.moveaxis(x, 1, -1), **stated), x).shape

    def image(columns):
        by_tap = columns.reshape(len(x), -1, taps, *positions[1:3])
        patches = jnp.moveaxis(by_tap, (1, 2), (-1, -2)).reshape(positions)
        given = pytorch.fold(size, **arguments)
        return jnp.moveaxis(jaxcnn.fold(patches, **given), -1, 1)

    assert_same(back, image, (theirs(torch.tensor(x)).numpy(),), roundings=taps)


def test_a_window_that_would_start_in_the_padding_is_dropped_by_both():
    x = np.ones((1, 1, 2))
    theirs = functional.max_pool1d(torch.tensor(x), 1, 2, 0, ceil_mode=True)
    stated = pytorch.max_pool((1,), stride=2, ceil_mode=True)
    assert jaxcnn.max_pool(jnp.asarray(last(x)), **stated).shape[1] == theirs.shape[2] == 1
