"""Drawn programs of every kind that a trace reads, to be compared with what a NaN reaches.

A program is written once for a ``Kit`` of what it is made of. Traced, a normalisation is one; run
on an image of one NaN, it is left out, for its statistics do not count as reads, and every map is
mixed over its channels, for a place of a map is all its channels together.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from jax import lax

import jaxcnn
from tests.inspect.programs import IMAGE

CHANNELS = 4
LINE = ("NWC", "WIO", "NWC")


class Traced:
    """What programs are made of, as a person writes it."""

    def mixed(self, x):
        return x

    def normalised(self, x, axes, how):
        axes = tuple(axis for axis in axes if axis < x.ndim)
        mean = x.mean(axes, keepdims=True)
        variance = jnp.square(x - mean).mean(axes, keepdims=True)
        if how == "centre, divide":
            return (x - mean) / jnp.sqrt(variance + 1e-5)
        if how == "scale, shift":
            scale = lax.rsqrt((x * x).mean(axes, keepdims=True) - mean * mean + 1e-5)
            return x * scale - mean * scale
        return x * lax.rsqrt((x**2).mean(axes, keepdims=True) + 1e-5)  # root mean square


class Probed(Traced):
    """The same, such that a NaN tells what reads it."""

    def mixed(self, x):
        return x + 0 * x.sum(-1, keepdims=True)

    def normalised(self, x, axes, how):
        return x


@st.composite
def programs(draw):
    """A function of (kit, x) and the shape of x, (H, W, C)."""
    shape = (draw(st.integers(4, 9)), draw(st.integers(4, 9)), CHANNELS)
    layers = [draw(st.sampled_from(_MAKERS))(draw) for _ in range(draw(st.integers(1, 3)))]

    def program(kit, x):
        for layer in layers:
            try:
                made = jax.eval_shape(partial(layer, kit), x)
            except (TypeError, ValueError):  # it does not fit
                continue
            if made.shape[-1] and min(made.shape[1:3]) > 1 and made.size <= 2000 * len(x):
                x = kit.mixed(layer(kit, x))
        return x

    return program, shape


def reached(program, shape):
    """For each cell (H, W) of the input, the places of the output that its NaN reaches."""
    height, width, channels = shape
    cells = np.eye(height * width, dtype=bool).reshape(-1, height, width, 1)
    x = jnp.asarray(np.where(cells, np.nan, 1.0).repeat(channels, -1), jnp.float32)
    return np.isnan(np.asarray(jax.jit(lambda x: program(Probed(), x))(x))).any(-1)


def conv(x, kernel_size=(3, 3), stride=(1, 1), pads="SAME", dilation=(1, 1), channels=CHANNELS):
    kernel = jnp.ones((*kernel_size, x.shape[-1], channels), x.dtype)
    return lax.conv_general_dilated(
        x, kernel, stride, pads, rhs_dilation=dilation, dimension_numbers=IMAGE
    )


def _conv(draw):
    kernel_size, stride, dilation = (
        tuple(draw(st.integers(1, most)) for _ in range(2)) for most in (3, 2, 2)
    )
    pads = draw(st.sampled_from(["SAME", "VALID"]))
    return lambda kit, x: conv(x, kernel_size, stride, pads, dilation)


def _pool(draw):
    size, stride = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    pool = draw(st.sampled_from([jaxcnn.max_pool, jaxcnn.avg_pool]))
    return lambda kit, x: pool(x, size, stride=stride, rounding="floor")


def _tiled(draw):
    times = (1, draw(st.integers(1, 2)), draw(st.integers(1, 2)), 1)
    return lambda kit, x: jnp.tile(x, times)


def _interleaved(draw):
    axis = draw(st.integers(1, 2))
    branch = draw(st.booleans())

    def layer(kit, x):
        other = conv(x, (1, 1)) if branch else x
        both = jnp.stack([x, other], axis + 1)
        shape = [*x.shape]
        shape[axis] *= 2
        return both.reshape(shape)

    return layer


def _shuffled(draw):
    return lambda kit, x: jaxcnn.pixel_shuffle(x, 2)


def _unshuffled(draw):
    def layer(kit, x):
        _, h, w, _ = x.shape
        return jaxcnn.pixel_unshuffle(x[:, : h // 2 * 2, : w // 2 * 2], 2)

    return layer


def _residual(draw):
    inner = draw(st.sampled_from([_conv, _normalised, _gated]))(draw)
    return lambda kit, x: x + kit.mixed(inner(kit, x))


def _mean_used(draw):
    axes = draw(st.sampled_from([(1, 2), (1,), (2,), (3,), (1, 2, 3)]))
    how = draw(st.integers(0, 4))

    def layer(kit, x):
        mean = x.mean(axes, keepdims=True)
        return [
            lambda: x + mean,
            lambda: x - mean,
            lambda: x * jax.nn.sigmoid(mean),
            lambda: x * jnp.sqrt(jnp.abs(mean)),
            lambda: jax.nn.relu(x - mean) * mean,
        ][how]()

    return layer


def _gated(draw):
    def layer(kit, x):
        gate = kit.mixed(x.mean((1, 2))) @ jnp.ones((x.shape[-1], x.shape[-1]), x.dtype)
        return x * jax.nn.sigmoid(gate)[:, None, None]

    return layer


def _normalised(draw):
    axes = draw(st.sampled_from([(1, 2), (1, 2, 3), (3,)]))
    how = draw(st.sampled_from(["centre, divide", "scale, shift", "root mean square"]))
    return lambda kit, x: kit.normalised(x, axes, how)


def _attended(draw):
    swapped = draw(st.booleans())

    def layer(kit, x):
        n, h, w, c = x.shape
        q = x.reshape(n, h, w, c)
        # Along the height, each column for itself.
        words = "nhwc,ngwc->nwhg" if not swapped else "ngwc,nhwc->nwhg"
        weights = jax.nn.softmax(jnp.einsum(words, q, x), axis=-1)
        return jnp.einsum("nwhg,ngwc->nhwc", weights, x)

    return layer


def _softmaxed(draw):
    axis = draw(st.sampled_from([1, 2, (1, 2), 3]))
    return lambda kit, x: jax.nn.softmax(x, axis=axis)


def _turned(draw):
    inner = draw(st.sampled_from([_conv, _shuffled, _looped, _mean_used]))(draw)
    return lambda kit, x: inner(kit, x.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3)


def _resized(draw):
    shape = (draw(st.integers(3, 12)), draw(st.integers(3, 12)))
    return lambda kit, x: jax.image.resize(x, (x.shape[0], *shape, x.shape[-1]), "nearest")


def _looped(draw):
    reverse = draw(st.booleans())
    axis = draw(st.integers(1, 2))

    def layer(kit, x):
        """A recurrent layer along an axis."""
        xs = jnp.moveaxis(x, axis, 0)

        def step(state, x):
            state = kit.mixed(state + x)
            return state, state

        _, ys = lax.scan(step, jnp.zeros_like(xs[0]), xs, reverse=reverse)
        return jnp.moveaxis(ys, 0, axis)

    return layer


def _chosen(draw):
    def layer(kit, x):
        return lax.cond(x.shape[1] > 5, lambda x: conv(x), lambda x: conv(x, (1, 1)), x)

    return layer


def _where(draw):
    def layer(kit, x):
        return jnp.where(jnp.flip(x, 1) > 0, x, 0 * x) + 0 * jnp.flip(x, 1)

    return layer


def _cumulative(draw):
    axis = draw(st.integers(1, 2))
    return lambda kit, x: jnp.cumsum(x, axis)


def _flipped(draw):
    axis = draw(st.integers(1, 2))
    return lambda kit, x: x + jnp.flip(x, axis)


def _picked(draw):
    axis = draw(st.integers(1, 2))
    return lambda kit, x: lax.dynamic_slice_in_dim(x, 1, x.shape[axis] - 1, axis)


def _sorted(draw):
    axis = draw(st.integers(1, 2))
    return lambda kit, x: jnp.sort(x, axis) + 0 * x.sum(axis, keepdims=True)


def _block_mean(draw):
    """A pool as a reshape and a mean."""

    def layer(kit, x):
        n, h, w, c = x.shape
        x = x[:, : h // 2 * 2, : w // 2 * 2]
        return x.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))

    return layer


def _groups_normalised(draw):
    how = draw(st.sampled_from(["centre, divide", "scale, shift", "root mean square"]))

    def layer(kit, x):
        n, h, w, c = x.shape
        return kit.normalised(x.reshape(n, h, w, 2, c // 2), (1, 2, 4), how).reshape(x.shape)

    return layer


def _mapped(draw):
    """A filter along rows, row by row."""
    kernel = jnp.ones((3, CHANNELS, CHANNELS))

    def row(x):
        return lax.conv_general_dilated(x, kernel, (1,), "SAME", dimension_numbers=LINE)

    how = draw(st.sampled_from([lax.map, jax.vmap]))
    each = (lambda f: partial(lax.map, f)) if how is lax.map else jax.vmap

    def layer(kit, x):
        return jnp.moveaxis(each(row)(jnp.moveaxis(x, 1, 0)), 0, 1)

    return layer


def _flat_attended(draw):
    """Attention of every place to every place of another map."""
    kernel_size = (draw(st.integers(1, 2)), 1)

    def layer(kit, x):
        n, h, w, c = x.shape
        q, k = x.reshape(n, h * w, c), conv(x, kernel_size).reshape(n, h * w, -1)
        return (jax.nn.softmax(q @ k.swapaxes(1, 2), axis=-1) @ k).reshape(n, h, w, -1)

    return layer


def _spread(draw):
    axes = draw(st.sampled_from([(1, 2), (1,), (3,)]))
    how = draw(st.integers(0, 3))

    def layer(kit, x):
        variance = x.var(axes, keepdims=True)
        deviation = jnp.sqrt(variance + 1)
        return [
            lambda: x * variance,
            lambda: x * deviation,
            lambda: x + 1 / deviation,
            lambda: conv(x, (1, 1)) / (1 + deviation / deviation.mean(-1, keepdims=True)),
        ][how]()

    return layer


def _beside_its_mean(draw):
    def layer(kit, x):
        mean = jnp.broadcast_to(x.mean((1, 2), keepdims=True), x.shape)
        return jnp.concatenate([x, mean], axis=-1)

    return layer


_MAKERS = (
    *(_conv, _conv, _pool, _tiled, _interleaved, _shuffled, _unshuffled, _residual, _mean_used),
    *(_gated, _normalised, _attended, _softmaxed, _turned, _resized, _looped, _chosen, _where),
    *(_cumulative, _flipped, _picked, _sorted, _block_mean, _groups_normalised, _mapped),
    *(_flat_attended, _spread, _beside_its_mean),
)
