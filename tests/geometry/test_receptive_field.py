"""Receptive fields of chains, against the cells that outputs read."""

from hypothesis import assume, given

from jaxcnn.geometry import ReceptiveField, receptive_field
from tests.cases import many
from tests.geometry import drawn
from tests.geometry.brute import placements


def _reads(chain, output):
    """The cells of the chain's input that one output reads, as if no map had borders."""
    cells = {output}
    for w in reversed(chain):
        found = placements(
            w.size, w.kernel_size, stride=w.stride, padding=w.padding, dilation=w.dilation
        )
        # Without borders, the pattern of the first placement continues indefinitely.
        cells = {c + w.stride * k for k in cells for c in found[0]}
    return cells


@many
@given(drawn.chains())
def test_a_receptive_field_is_the_span_of_cells_that_an_output_reads(chain):
    field, first = receptive_field(chain), _reads(chain, 0)
    assert field == ReceptiveField(max(first) - min(first) + 1, field.jump, min(first))


@many
@given(drawn.chains())
def test_a_receptive_field_moves_by_its_jump_from_output_to_output(chain):
    outputs = chain[-1].output if chain else 2
    assume(outputs > 1)
    first, last = _reads(chain, 0), _reads(chain, outputs - 1)
    assert last == {cell + receptive_field(chain).jump * (outputs - 1) for cell in first}


@many
@given(drawn.chains())
def test_the_field_of_a_chain_is_the_field_of_its_first_part_applied_to_the_rest(chain):
    for i in range(len(chain) + 1):
        field = receptive_field(chain[:i])
        for window in chain[i:]:
            field = field.apply(window)
        assert field == receptive_field(chain)
