"""What the placements of a window read: real cells, padding, and what is left at the end."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.geometry import Window, effective_filter, padded_cells, real_cells
from jaxcnn.geometry.window import decimal
from tests.cases import many
from tests.geometry import drawn
from tests.geometry.brute import placements, small_cases


def _windows_with_placements():
    for size, filter, layout in small_cases():
        for rounding in ("floor", "ceil"):
            found = placements(size, filter, overhang=rounding == "ceil", **layout)
            if found:
                yield Window(size, filter, rounding=rounding, **layout), found


def test_real_cells_are_those_of_the_input_under_each_placement():
    for window, found in _windows_with_placements():
        want = [sum(0 <= cell < window.size for cell in cells) for cells in found]
        assert list(real_cells(window)) == want, window


def test_padded_cells_are_those_of_the_padded_axis_under_each_placement():
    for window, found in _windows_with_placements():
        end = window.size + window.padding[1]
        want = [sum(cell < end for cell in cells) for cells in found]
        assert list(padded_cells(window)) == want, window


def test_what_is_unread_and_lost_is_what_lies_behind_the_last_placement():
    for window, found in _windows_with_placements():
        end = window.size + window.padding[1]
        behind = range(found[-1][-1] + 1, end)
        assert window.unread == len(behind), window
        assert window.lost == sum(cell < window.size for cell in behind), window
        assert window.overhang == max(0, found[-1][-1] + 1 - end), window


@many
@given(drawn.filters, drawn.dilations)
def test_the_effective_filter_spans_from_the_first_tap_to_the_last(filter, dilation):
    taps = [dilation * tap for tap in range(filter)]
    assert effective_filter(filter, dilation) == taps[-1] - taps[0] + 1


@many
@given(st.integers(0, 10**400), st.integers(1, 48))
def test_a_number_is_written_in_full_or_cut_off_and_marked_as_such(numerator, denominator):
    number = Fraction(numerator, denominator)
    written = decimal(number)
    if written.endswith("..."):
        assert 0 < number - Fraction(written.removesuffix("...")) < Fraction(1, 1000)
    else:
        assert Fraction(written) == number
