"""Random linear networks, whose gradients show the cells that they read."""

import jax.numpy as jnp
from hypothesis import strategies as st
from jax import lax

IMAGE = ("NHWC", "HWIO", "NHWC")


@st.composite
def linear_networks(draw):
    """A network of one channel whose weights are all one, and an input shape, (H, W, 1).

    The gradients of such a network count paths from outputs to cells.
    """
    sizes = tuple(draw(st.lists(st.integers(3, 9), min_size=2, max_size=2)))
    makers = draw(st.lists(st.sampled_from(_MAKERS), min_size=1, max_size=3))
    if _upsampled in makers:  # copies of a cell as channels are one read, but four products
        makers = [maker for maker in makers if maker is not _unshuffled]
    layers = [_fitting(maker(draw)) for maker in makers]

    def network(x):
        for layer in layers:
            x = layer(x)
        return x

    return network, (*sizes, 1)


def _fitting(layer):
    """The layer, or the identity if the layer does not fit or its output is large."""

    def fitting(x):
        try:
            made = layer(x)
        except (TypeError, ValueError):
            return x
        return made if 0 < made.size <= 400 * len(x) else x

    return fitting


def _pairs(draw, most):
    return [(draw(st.integers(0, most)), draw(st.integers(0, most))) for _ in range(2)]


def _ones(draw, most=3):
    return jnp.ones((draw(st.integers(1, most)), draw(st.integers(1, most)), 1, 1))


def _conv(draw):
    kernel, pads = _ones(draw), _pairs(draw, 2)
    strides, dilations = (tuple(draw(st.integers(1, 2)) for _ in range(2)) for _ in range(2))
    return lambda x: lax.conv_general_dilated(
        x, kernel, strides, pads, rhs_dilation=dilations, dimension_numbers=IMAGE
    )


def _transposed(draw):
    kernel, stride = _ones(draw, 4), draw(st.integers(2, 3))
    name = draw(st.sampled_from(["SAME", "VALID"]))
    return lambda x: lax.conv_transpose(x, kernel, (stride, stride), name, dimension_numbers=IMAGE)


def _pool(draw):
    size, stride, pads = draw(st.integers(1, 3)), draw(st.integers(1, 2)), _pairs(draw, 1)
    return lambda x: lax.reduce_window(
        x, 0.0, lax.add, (1, size, size, 1), (1, stride, stride, 1), [(0, 0), *pads, (0, 0)]
    )


def _padded(draw):
    mode, pads = draw(st.sampled_from(["constant", "reflect", "edge", "wrap"])), _pairs(draw, 2)
    kernel = _ones(draw)
    return lambda x: lax.conv_general_dilated(
        jnp.pad(x, [(0, 0), *pads, (0, 0)], mode=mode),
        kernel,
        (1, 1),
        "VALID",
        dimension_numbers=IMAGE,
    )


def _branches(draw):
    first, second = _ones(draw), _ones(draw)

    def layer(x):
        branch = [
            lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=IMAGE)
            for k in (first, second)
        ]
        return branch[0] + branch[1] + x

    return layer


def _folded(draw):
    """A sum over windows, written as slices added up on one axis at a time."""
    size, stride = draw(st.integers(1, 3)), draw(st.integers(1, 2))

    def layer(x):
        for axis in (2, 1):
            count = (x.shape[axis] - size) // stride
            if count < 0:
                raise ValueError("too small")
            last = count * stride + 1
            parts = [lax.slice_in_dim(x, t, t + last, stride, axis) for t in range(size)]
            x = sum(parts[1:], start=parts[0])
        return x

    return layer


def _upsampled(draw):
    times = draw(st.integers(2, 3))
    return lambda x: jnp.repeat(jnp.repeat(x, times, axis=1), times, axis=2)


def _concatenated(draw):
    first, last = _ones(draw), jnp.ones((1, 1, 2, 1))

    def layer(x):
        branch = lax.conv_general_dilated(x, first, (1, 1), "SAME", dimension_numbers=IMAGE)
        both = jnp.concatenate([branch, x], axis=-1)
        return lax.conv_general_dilated(both, last, (1, 1), "SAME", dimension_numbers=IMAGE)

    return layer


def _unshuffled(draw):
    """Blocks of 2x2 cells as channels of one cell, then a convolution over them."""
    kernel = jnp.ones((draw(st.integers(1, 2)), draw(st.integers(1, 2)), 4, 1))

    def layer(x):
        n, h, w, c = x.shape
        if min(h, w) < 4:  # a reshape to (1, 2, ...) leaves open which of the two is the height
            return x
        x = x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
        x = x.reshape(n, h // 2, w // 2, 4 * c)
        return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=IMAGE)

    return layer


def _turned(draw):
    """A convolution of an image with its channels first."""
    kernel, stride = _ones(draw), draw(st.integers(1, 2))
    names = ("NCHW", "HWIO", "NCHW")
    return lambda x: lax.conv_general_dilated(
        x.transpose(0, 3, 1, 2), kernel, (stride, 1), "SAME", dimension_numbers=names
    ).transpose(0, 2, 3, 1)


def _looped(draw):
    """A loop that convolves with one kernel after the other."""
    kernels = jnp.ones((2, draw(st.integers(1, 3)), draw(st.integers(1, 3)), 1, 1))

    def step(x, kernel):
        y = lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=IMAGE)
        return x + y, None

    return lambda x: lax.scan(step, x, kernels)[0]


_MAKERS = (
    *(_conv, _transposed, _pool, _padded, _branches, _folded, _upsampled),
    *(_concatenated, _unshuffled, _turned, _looped),
)


def single_cells(shape):
    """For each cell of an image (H, W, 1), the image in which only that cell is one."""
    cells = shape[0] * shape[1]
    return jnp.eye(cells).reshape(cells, *shape)
