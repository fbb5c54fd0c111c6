"""Counts of the input and padding cells that outputs read, against placements one by one."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from jaxcnn.geometry import Window, padded_cells, real_cells
from jaxcnn.geometry.coverage import first_empty_output
from tests.cases import many
from tests.geometry.brute import placed_windows, placements


def test_real_cells_are_those_of_the_input_under_each_placement():
    for window, found in placed_windows():
        want = [sum(0 <= cell < window.size for cell in cells) for cells in found]
        assert list(real_cells(window, np.arange(window.output))) == want, window


def test_padded_cells_are_those_of_the_padded_axis_under_each_placement():
    for window, found in placed_windows():
        end = window.size + window.padding[1]
        want = [sum(cell < end for cell in cells) for cells in found]
        assert list(padded_cells(window, np.arange(window.output))) == want, window


@many
@given(st.data())
def test_the_first_empty_output_is_the_first_placement_on_padding_alone(data):
    size, kernel_size, stride = (data.draw(st.integers(1, n)) for n in (5, 4, 4))
    layout = {
        "stride": stride,
        "padding": (data.draw(st.integers(0, 12)), data.draw(st.integers(0, 12))),
        "dilation": data.draw(st.integers(1, 8)),
    }
    rounding = data.draw(st.sampled_from(["floor", "ceil"]))
    found = placements(size, kernel_size, overhang=rounding == "ceil", **layout)
    assume(found)
    real = [sum(0 <= cell < size for cell in cells) for cells in found]
    window = Window(size, kernel_size, rounding=rounding, **layout)
    assert real_cells(window, np.arange(window.output)).tolist() == real
    assert first_empty_output(window) == (real.index(0) if 0 in real else None)
