"""Windows: the effective kernel size, unread cells, the printed form."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.geometry import Window, effective_kernel_size
from jaxcnn.geometry.window import decimal
from tests.cases import many
from tests.geometry import drawn
from tests.geometry.brute import placed_windows


def test_unread_lost_and_overhanging_cells_are_after_the_last_placement():
    for window, found in placed_windows():
        end = window.size + window.padding[1]
        behind = range(found[-1][-1] + 1, end)
        assert window.unread == len(behind), window
        assert window.lost == sum(cell < window.size for cell in behind), window
        assert window.overhang == max(0, found[-1][-1] + 1 - end), window


@many
@given(drawn.kernel_sizes, drawn.dilations)
def test_the_effective_kernel_size_spans_from_the_first_tap_to_the_last(kernel_size, dilation):
    taps = [dilation * tap for tap in range(kernel_size)]
    assert effective_kernel_size(kernel_size, dilation) == taps[-1] - taps[0] + 1


@many
@given(st.integers(0, 10**400), st.integers(1, 48))
def test_decimals_are_exact_or_cut_off_and_marked(numerator, denominator):
    number = Fraction(numerator, denominator)
    written = decimal(number)
    if written.endswith("..."):
        assert 0 < number - Fraction(written.removesuffix("...")) < Fraction(1, 1000)
    else:
        assert Fraction(written) == number


def test_a_window_prints_as_the_formula_with_its_numbers():
    assert str(Window(7, 3, 2)) == "(7 + 0 + 0 - 3)/2 + 1 = 3"
    floored = Window(224, 7, 2, (3, 3), rounding="floor")
    assert str(floored) == "(224 + 3 + 3 - 7)/2 + 1 = 112.5, rounded to 112"
