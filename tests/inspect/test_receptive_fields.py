"""The cells that outputs read by a trace, against gradients and the spread of a NaN."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jax import lax

from jaxcnn.inspect import plan_of, trace
from tests.inspect.nan_programs import Traced, conv, programs, reached
from tests.inspect.programs import IMAGE, linear_networks, single_cells


def last_map(network, shape):
    """The map of a network's last layer; None if it has no layer."""
    traced = trace(network, shape)
    return traced.layers[-1].output_map if traced.layers else None


def makes_empty_arrays(network, shape):
    """Whether some operation of the network returns an empty array."""
    jaxpr = jax.make_jaxpr(network)(jnp.zeros((1, *shape)))
    return any(0 in v.aval.shape for equation in jaxpr.eqns for v in equation.outvars)


@given(linear_networks())
def test_path_counts_are_the_gradients_of_a_linear_network_of_ones(drawn):
    network, shape = drawn

    def network_and_conv(x):
        """The network with a convolution at its end, so that it ends with a layer."""
        kernel, pads = jnp.ones((2, 2, 1, 1)), ((1, 1), (1, 1))
        return lax.conv_general_dilated(network(x), kernel, (1, 1), pads, dimension_numbers=IMAGE)

    # Networks with empty arrays are refused, and have their own tests.
    assume(not makes_empty_arrays(network_and_conv, shape))
    found = last_map(network_and_conv, shape)
    assume(found.most_paths < 2**24)  # float32 represents these integers exactly
    # The gradient of a linear network is its output for images of one cell each.
    made = np.asarray(jax.jit(network_and_conv)(single_cells(shape)))[..., 0]
    assert found.sizes == made.shape[1:]
    for place in np.ndindex(found.sizes):
        gradient = made[(slice(None), *place)].reshape(shape[:2])
        assert (found.counts(place) == gradient).all()


def test_an_output_reads_a_cell_iff_its_gradient_is_not_zero():
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

    found = last_map(network, (31, 27, 2))
    x = jnp.ones((1, 31, 27, 2))
    for place in [(0, 0), (7, 6), (14, 12)]:
        gradient = jax.jit(jax.grad(lambda x, p=place: network(x)[(0, *p)].sum()))(x)
        assert ((found.counts(place) > 0) == (np.asarray(gradient[0]) != 0).all(-1)).all()
    assert (found.counts((7, 6)) == 0).any()


def test_statistics_of_a_normalisation_do_not_count_as_read_but_a_gate_does():
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

    assert (last_map(normalised, (9, 9, 1)).counts((4, 4)) > 0).sum() == 25
    assert (last_map(gated, (9, 9, 1)).counts((4, 4)) > 0).all()


def ended(program):
    """The program with a convolution at its end, so that it ends with a layer."""
    return lambda kit, x: conv(kit.mixed(program(kit, x)), (2, 2), pads=((1, 1), (1, 1)))


@given(programs())
def test_an_output_reads_the_cells_whose_nan_reaches_it_or_is_marked_unknown(drawn):
    program, shape = ended(drawn[0]), drawn[1]
    network = trace(lambda x: program(Traced(), x), shape)
    last = network.layers[-1]
    if last.unknown_reason:
        assert any(last.unknown_reason in note for note in network.notes)
        return
    truth = reached(program, shape)
    assert network.spatial == (0, 1)
    assert last.output_map.sizes == truth.shape[1:]
    # A normalisation that is not recognised reads its statistics too: more, never less.
    normalised = any(layer.kind == "norm" for layer in network.layers)
    for place in np.ndindex(last.output_map.sizes):
        expected = truth[(slice(None), *place)].reshape(shape[:2])
        found = last.output_map.counts(place) > 0
        assert (found | ~expected).all()
        assert normalised or (found == expected).all()


UNKNOWN = {
    "scattered": lambda x: conv(x.at[:, 0].set(0.0)),
    "added to its transpose": lambda x: conv(x + x.transpose(0, 2, 1, 3)),
    "flattened and convolved": lambda x: conv(x.reshape(1, -1, 1, x.shape[-1]), (3, 1)),
    "a while loop": lambda x: conv(
        lax.while_loop(lambda x: x.sum() < 9, lambda x: conv(x, channels=3), x)
    ),
    "a long loop": lambda x: conv(
        lax.scan(lambda x, _: (conv(x, channels=3), None), x, None, length=100)[0]
    ),
    "sliced at a place that the input decides": lambda x: conv(
        lax.dynamic_slice_in_dim(x, x[0, 0, 0, 0].astype(jnp.int32), 4, 1)
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_field_that_cannot_be_known_is_marked_unknown_with_a_note(name):
    plan = plan_of(UNKNOWN[name], (8, 8, 3))
    assert plan.rows[-1].field is None
    assert any("not known" in note for note in plan.notes)
    text = str(plan)
    assert "?" in text
    assert all(f"note: {note}" in text for note in plan.notes)


def test_a_normalisation_by_the_statistics_of_another_map_reads_that_map():
    def net(x):
        style = conv(x)[:, :, ::-1]
        y = conv(x, (1, 1))
        y = (y - style.mean((1, 2), keepdims=True)) * lax.rsqrt(
            style.var((1, 2), keepdims=True) + 1e-5
        )
        return conv(y)

    assert (trace(net, (9, 9, 4)).layers[-1].output_map.counts((4, 4)) > 0).all()


FUNCTIONS = {
    "itself": lambda y: y,
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "gelu": jax.nn.gelu,
    "cube": lambda y: y**3,
    "square": lambda y: y * y,
    "residual": lambda y: y + jax.nn.relu(y),
}


@given(*[st.sampled_from(list(FUNCTIONS))] * 2, st.booleans())
def test_a_map_divided_by_the_deviation_of_another_function_of_it_reads_all_of_it(
    above, below, mean
):
    def net(x):
        y = conv(x)
        one, other = FUNCTIONS[above](y), FUNCTIONS[below](y)
        one = one - one.mean((1, 2), keepdims=True) if mean else one
        return conv(one * lax.rsqrt(other.var((1, 2), keepdims=True) + 1e-5))

    field = trace(net, (32, 32, 3)).layers[-1].output_map.fields[0].size
    if above != below:
        assert field >= 32
    elif above != "square":  # may be a map or on its way to a mean square
        assert field == 5


def test_the_nan_probe_finds_the_window_of_one_convolution():
    """The other tests rely on the probe, so this one computes the window by hand."""
    truth = reached(lambda _kit, x: conv(x, (3, 1)), (5, 4, 4)).reshape(5, 4, 5, 4)
    rows = np.abs(np.subtract.outer(np.arange(5), np.arange(5))) <= 1
    assert (truth == rows[:, None, :, None] * np.eye(4, dtype=bool)[None, :, None, :]).all()


def test_the_order_that_sorts_a_column_reads_all_of_it():
    def net(x):
        order = jnp.argsort(x[0, :, 0, 0]).astype(x.dtype)
        return conv(x * order[None, :, None, None])

    counts = trace(net, (9, 4, 3)).layers[-1].output_map.counts((4, 1))
    assert (counts[:, 0] > 0).all()
    assert (counts[:, 1] > 0).tolist() == [3 <= row <= 5 for row in range(9)]
