"""What a trace says that outputs read, against where a NaN in the input turns up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

from jaxcnn.inspect import plan_of, trace
from tests.inspect.nan_programs import Traced, conv, programs, reached


def ended(program):
    """The program with a filter at its end, so that it ends with a layer."""
    return lambda kit, x: conv(kit.mixed(program(kit, x)), (2, 2), pads=((1, 1), (1, 1)))


@given(programs())
def test_an_output_reads_the_cells_whose_nan_reaches_it_or_it_is_not_known(drawn):
    program, shape = ended(drawn[0]), drawn[1]
    network = trace(lambda x: program(Traced(), x), shape)
    last = network.layers[-1]
    if last.unknown_reason:
        assert any(last.unknown_reason in note for note in network.notes)
        return
    truth = reached(program, shape)
    assert network.spatial == (0, 1)
    assert last.output_map.sizes == truth.shape[1:]
    # A normalisation in a form that is not recognised reads its statistics: more, never less.
    normalised = any(layer.kind == "norm" for layer in network.layers)
    for place in np.ndindex(last.output_map.sizes):
        expected = truth[(slice(None), *place)].reshape(shape[:2])
        found = last.output_map.counts(place) > 0
        assert (found | ~expected).all()
        assert normalised or (found == expected).all()


UNREAD = {
    "scattered": lambda x: conv(x.at[:, 0].set(0.0)),
    "turned against itself": lambda x: conv(x + x.transpose(0, 2, 1, 3)),
    "flattened and filtered": lambda x: conv(x.reshape(1, -1, 1, x.shape[-1]), (3, 1)),
    "a loop until": lambda x: conv(
        lax.while_loop(lambda x: x.sum() < 9, lambda x: conv(x, channels=3), x)
    ),
    "a long loop": lambda x: conv(
        lax.scan(lambda x, _: (conv(x, channels=3), None), x, None, length=100)[0]
    ),
    "sliced somewhere": lambda x: conv(
        lax.dynamic_slice_in_dim(x, x[0, 0, 0, 0].astype(jnp.int32), 4, 1)
    ),
}


@pytest.mark.parametrize("name", UNREAD)
def test_what_cannot_be_known_is_said_and_never_guessed(name):
    plan = plan_of(UNREAD[name], (8, 8, 3))
    assert plan.rows[-1].field is None
    assert any("not known" in note for note in plan.notes)
    text = str(plan)
    assert "?" in text
    assert all(f"note: {note}" in text for note in plan.notes)


def test_a_normalisation_by_another_maps_statistics_reads_that_map():
    def net(x):
        style = conv(x)[:, :, ::-1]
        y = conv(x, (1, 1))
        y = (y - style.mean((1, 2), keepdims=True)) * lax.rsqrt(
            style.var((1, 2), keepdims=True) + 1e-5
        )
        return conv(y)

    assert (trace(net, (9, 9, 4)).layers[-1].output_map.counts((4, 4)) > 0).all()


BENDS = {
    "itself": lambda y: y,
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "gelu": jax.nn.gelu,
    "cube": lambda y: y**3,
    "square": lambda y: y * y,
    "residual": lambda y: y + jax.nn.relu(y),
}


@given(*[st.sampled_from(list(BENDS))] * 2, st.booleans())
def test_a_map_divided_by_the_deviation_of_another_function_of_it_reads_that(above, below, mean):
    def net(x):
        y = conv(x)
        one, other = BENDS[above](y), BENDS[below](y)
        one = one - one.mean((1, 2), keepdims=True) if mean else one
        return conv(one * lax.rsqrt(other.var((1, 2), keepdims=True) + 1e-5))

    field = trace(net, (32, 32, 3)).layers[-1].output_map.fields[0].size
    if above != below:
        assert field >= 32
    elif above != "square":  # of which it is not told whether it is a map or on its way to a mean
        assert field == 5


def test_the_probe_itself_tells_a_window():
    """One filter's window, by hand: what the other tests trust."""
    truth = reached(lambda kit, x: conv(x, (3, 1)), (5, 4, 4)).reshape(5, 4, 5, 4)
    rows = np.abs(np.subtract.outer(np.arange(5), np.arange(5))) <= 1
    assert (truth == rows[:, None, :, None] * np.eye(4, dtype=bool)[None, :, None, :]).all()
