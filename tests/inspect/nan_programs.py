"""Random programs of every kind that a trace supports, to find the places that a NaN reaches.

A program is written once, for two kits. The traced kit has normalisations. The kit that runs on an
image with one NaN leaves them out, because their statistics do not count as read, and mixes the
channels of every map, because a place of a map is all its channels together.
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
    """The parts of programs in their usual form."""

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
    """The same parts, changed so that a NaN reaches every place that reads its cell."""

    def mixed(self, x):
        return x + 0 * x.sum(-1, keepdims=True)

    def normalised(self, x, _axes, _how):
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


def _plain(maker):
    """A maker of layers of (kit, x), from a maker of layers of x."""

    def made(draw):
        layer = maker(draw)
        return lambda _kit, x: layer(x)

    return made


@_plain
def _conv(draw):
    kernel_size, stride, dilation = (
        tuple(draw(st.integers(1, most)) for _ in range(2)) for most in (3, 2, 2)
    )
    pads = draw(st.sampled_from(["SAME", "VALID"]))
    return lambda x: conv(x, kernel_size, stride, pads, dilation)


@_plain
def _pool(draw):
    size, stride = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    pool = draw(st.sampled_from([jaxcnn.max_pool, jaxcnn.avg_pool]))
    return lambda x: pool(x, size, stride=stride, rounding="floor")


@_plain
def _tiled(draw):
    times = (1, draw(st.integers(1, 2)), draw(st.integers(1, 2)), 1)
    return lambda x: jnp.tile(x, times)


@_plain
def _interleaved(draw):
    axis = draw(st.integers(1, 2))
    branch = draw(st.booleans())

    def layer(x):
        other = conv(x, (1, 1)) if branch else x
        both = jnp.stack([x, other], axis + 1)
        shape = [*x.shape]
        shape[axis] *= 2
        return both.reshape(shape)

    return layer


@_plain
def _shuffled(_draw):
    return lambda x: jaxcnn.pixel_shuffle(x, 2)


@_plain
def _unshuffled(_draw):
    def layer(x):
        _, h, w, _ = x.shape
        return jaxcnn.pixel_unshuffle(x[:, : h // 2 * 2, : w // 2 * 2], 2)

    return layer


def _residual(draw):
    inner = draw(st.sampled_from([_conv, _normalised, _gated]))(draw)
    return lambda kit, x: x + kit.mixed(inner(kit, x))


@_plain
def _mean_used(draw):
    axes = draw(st.sampled_from([(1, 2), (1,), (2,), (3,), (1, 2, 3)]))
    how = draw(st.integers(0, 4))

    def layer(x):
        mean = x.mean(axes, keepdims=True)
        return [
            lambda: x + mean,
            lambda: x - mean,
            lambda: x * jax.nn.sigmoid(mean),
            lambda: x * jnp.sqrt(jnp.abs(mean)),
            lambda: jax.nn.relu(x - mean) * mean,
        ][how]()

    return layer


def _gated(_draw):
    def layer(kit, x):
        gate = kit.mixed(x.mean((1, 2))) @ jnp.ones((x.shape[-1], x.shape[-1]), x.dtype)
        return x * jax.nn.sigmoid(gate)[:, None, None]

    return layer


def _normalised(draw):
    axes = draw(st.sampled_from([(1, 2), (1, 2, 3), (3,)]))
    how = draw(st.sampled_from(["centre, divide", "scale, shift", "root mean square"]))
    return lambda kit, x: kit.normalised(x, axes, how)


@_plain
def _attended(draw):
    swapped = draw(st.booleans())

    def layer(x):
        n, h, w, c = x.shape
        q = x.reshape(n, h, w, c)
        # Along the height, for each column separately.
        words = "nhwc,ngwc->nwhg" if not swapped else "ngwc,nhwc->nwhg"
        weights = jax.nn.softmax(jnp.einsum(words, q, x), axis=-1)
        return jnp.einsum("nwhg,ngwc->nhwc", weights, x)

    return layer


@_plain
def _softmaxed(draw):
    axis = draw(st.sampled_from([1, 2, (1, 2), 3]))
    return lambda x: jax.nn.softmax(x, axis=axis)


def _turned(draw):
    inner = draw(st.sampled_from([_conv, _shuffled, _looped, _mean_used]))(draw)
    return lambda kit, x: inner(kit, x.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3)


@_plain
def _resized(draw):
    shape = (draw(st.integers(3, 12)), draw(st.integers(3, 12)))
    return lambda x: jax.image.resize(x, (x.shape[0], *shape, x.shape[-1]), "nearest")


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


@_plain
def _chosen(_draw):
    def layer(x):
        return lax.cond(x.shape[1] > 5, lambda x: conv(x), lambda x: conv(x, (1, 1)), x)

    return layer


@_plain
def _where(_draw):
    def layer(x):
        return jnp.where(jnp.flip(x, 1) > 0, x, 0 * x) + 0 * jnp.flip(x, 1)

    return layer


@_plain
def _cumulative(draw):
    axis = draw(st.integers(1, 2))
    return lambda x: jnp.cumsum(x, axis)


@_plain
def _flipped(draw):
    axis = draw(st.integers(1, 2))
    return lambda x: x + jnp.flip(x, axis)


@_plain
def _picked(draw):
    axis = draw(st.integers(1, 2))
    return lambda x: lax.dynamic_slice_in_dim(x, 1, x.shape[axis] - 1, axis)


@_plain
def _sorted(draw):
    axis = draw(st.integers(1, 2))
    return lambda x: jnp.sort(x, axis) + 0 * x.sum(axis, keepdims=True)


@_plain
def _block_mean(_draw):
    """A pool as a reshape and a mean."""

    def layer(x):
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


@_plain
def _mapped(draw):
    """A convolution along rows, row by row."""
    kernel = jnp.ones((3, CHANNELS, CHANNELS))

    def row(x):
        return lax.conv_general_dilated(x, kernel, (1,), "SAME", dimension_numbers=LINE)

    how = draw(st.sampled_from([lax.map, jax.vmap]))
    each = (lambda f: partial(lax.map, f)) if how is lax.map else jax.vmap

    def layer(x):
        return jnp.moveaxis(each(row)(jnp.moveaxis(x, 1, 0)), 0, 1)

    return layer


@_plain
def _flat_attended(draw):
    """Attention of every place to every place of another map."""
    kernel_size = (draw(st.integers(1, 2)), 1)

    def layer(x):
        n, h, w, c = x.shape
        q, k = x.reshape(n, h * w, c), conv(x, kernel_size).reshape(n, h * w, -1)
        return (jax.nn.softmax(q @ k.swapaxes(1, 2), axis=-1) @ k).reshape(n, h, w, -1)

    return layer


@_plain
def _spread(draw):
    axes = draw(st.sampled_from([(1, 2), (1,), (3,)]))
    how = draw(st.integers(0, 3))

    def layer(x):
        variance = x.var(axes, keepdims=True)
        deviation = jnp.sqrt(variance + 1)
        return [
            lambda: x * variance,
            lambda: x * deviation,
            lambda: x + 1 / deviation,
            lambda: conv(x, (1, 1)) / (1 + deviation / deviation.mean(-1, keepdims=True)),
        ][how]()

    return layer


@_plain
def _beside_its_mean(_draw):
    def layer(x):
        mean = jnp.broadcast_to(x.mean((1, 2), keepdims=True), x.shape)
        return jnp.concatenate([x, mean], axis=-1)

    return layer


_MAKERS = (
    *(_conv, _conv, _pool, _tiled, _interleaved, _shuffled, _unshuffled, _residual, _mean_used),
    *(_gated, _normalised, _attended, _softmaxed, _turned, _resized, _looped, _chosen, _where),
    *(_cumulative, _flipped, _picked, _sorted, _block_mean, _groups_normalised, _mapped),
    *(_flat_attended, _spread, _beside_its_mean),
)
