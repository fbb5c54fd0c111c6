"""Receptive fields, against the cells that an output of a chain is seen to read."""

from hypothesis import assume, given
from hypothesis import strategies as st

from jaxcnn.errors import InputError
from jaxcnn.geometry import ReceptiveField, Window, receptive_field
from tests.cases import many
from tests.geometry.brute import placements


@st.composite
def chains(draw):
    """A few windows, each laid over the outputs of the one before it."""
    size, chain = draw(st.integers(1, 60)), []
    for _ in range(draw(st.integers(0, 4))):
        numbers = (draw(st.integers(1, 4)), draw(st.integers(1, 3)))
        padding = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
        try:
            window = Window(size, *numbers, padding, draw(st.integers(1, 2)), "floor")
        except InputError:
            break
        chain.append(window)
        size = window.output
    return chain


def _reads(chain, output):
    """The cells of the chain's input under one output, padding of every layer followed."""
    cells = {output}
    for w in reversed(chain):
        found = placements(
            w.size, w.kernel_size, stride=w.stride, padding=w.padding, dilation=w.dilation
        )
        # Beyond the first and last placement the pattern goes on, into padding of padding.
        first = found[0]
        cells = {c + w.stride * k for k in cells for c in first}
    return cells


@many
@given(chains())
def test_the_field_is_the_span_of_what_an_output_reads(chain):
    field, first = receptive_field(chain), _reads(chain, 0)
    assert field == ReceptiveField(max(first) - min(first) + 1, field.jump, min(first))


@many
@given(chains())
def test_the_field_moves_by_its_jump_from_output_to_output(chain):
    outputs = chain[-1].output if chain else 2
    assume(outputs > 1)
    first, last = _reads(chain, 0), _reads(chain, outputs - 1)
    assert last == {cell + receptive_field(chain).jump * (outputs - 1) for cell in first}


@many
@given(chains())
def test_a_chain_is_its_first_part_seen_through_the_rest(chain):
    for i in range(len(chain) + 1):
        field = receptive_field(chain[:i])
        for window in chain[i:]:
            field = field.apply(window)
        assert field == receptive_field(chain)
