"""What a trace says that outputs read, against the gradients of the network itself."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import assume, given
from jax import lax

from jaxcnn.inspect import trace
from tests.inspect.programs import IMAGE, linear_networks, single_cells


def reads_of(network, shape):
    """The map of a network's last layer, or None where it has no layer."""
    traced = trace(network, shape)
    return traced.layers[-1].output_map if traced.layers else None


def emptied(network, shape):
    """Whether some operation of the program makes an empty array."""
    jaxpr = jax.make_jaxpr(network)(jnp.zeros((1, *shape)))
    return any(0 in v.aval.shape for equation in jaxpr.eqns for v in equation.outvars)


@given(linear_networks())
def test_counts_are_the_gradients_of_a_network_of_ones(drawn):
    network, shape = drawn

    def ended(x):
        """The network with a filter at its end, so that it ends with a layer."""
        kernel, pads = jnp.ones((2, 2, 1, 1)), ((1, 1), (1, 1))
        return lax.conv_general_dilated(network(x), kernel, (1, 1), pads, dimension_numbers=IMAGE)

    # Networks that lose the image on the way are refused, and have their own tests.
    assume(not emptied(ended, shape))
    reads = reads_of(ended, shape)
    assume(reads.most_paths < 2**24)  # whole numbers that single precision holds
    # The gradient of a linear network is what it makes of images of one cell each.
    made = np.asarray(jax.jit(ended)(single_cells(shape)))[..., 0]
    assert reads.sizes == made.shape[1:]
    for place in np.ndindex(reads.sizes):
        gradient = made[(slice(None), *place)].reshape(shape[:2])
        assert (reads.counts(place) == gradient).all()


def test_a_cell_is_in_the_field_iff_its_gradient_is_not_zero():
    keys = iter(jax.random.split(jax.random.key(0), 9))

    def weight(*shape):
        return jax.random.uniform(next(keys), shape, minval=0.5, maxval=1.5)

    stem, tall, wide, last = (
        weight(3, 3, 2, 4),
        weight(3, 1, 4, 4),
        weight(1, 3, 4, 4),
        weight(3, 3, 4, 3),
    )

    def network(x):
        def conv(x, k, **how):
            how = {"window_strides": (1, 1), "padding": "SAME"} | how
            return lax.conv_general_dilated(x, k, dimension_numbers=IMAGE, **how)

        x = jax.nn.relu(conv(x, stem, window_strides=(2, 2), padding="VALID"))
        x = conv(x, tall, rhs_dilation=(2, 1)) + jax.nn.gelu(conv(x, wide, rhs_dilation=(1, 3)))
        return conv(x, last, rhs_dilation=(2, 2))

    reads = reads_of(network, (31, 27, 2))
    x = jnp.ones((1, 31, 27, 2))
    for place in [(0, 0), (7, 6), (14, 12)]:
        gradient = jax.jit(jax.grad(lambda x, p=place: network(x)[(0, *p)].sum()))(x)
        assert ((reads.counts(place) > 0) == (np.asarray(gradient[0]) != 0).all(-1)).all()
    assert (reads.counts((7, 6)) == 0).any()


def test_statistics_of_a_normalisation_are_no_reads_but_a_gate_is_one():
    kernel = jnp.ones((3, 3, 1, 1))

    def conv(x):
        return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=IMAGE)

    def normalised(x):
        y = conv(x)
        mean, variance = (f((1, 2), keepdims=True) for f in (y.mean, y.var))
        return conv((y - mean) * lax.rsqrt(variance + 1e-5))

    def gated(x):
        y = conv(x)
        return conv(y * jax.nn.sigmoid(y.mean((1, 2)) @ jnp.ones((1, 1)))[:, None, None])

    assert (reads_of(normalised, (9, 9, 1)).counts((4, 4)) > 0).sum() == 25
    assert (reads_of(gated, (9, 9, 1)).counts((4, 4)) > 0).all()
