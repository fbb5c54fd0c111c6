"""Axis maps: the cells that one layer reads along one axis."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jaxcnn.errors import InputError
from jaxcnn.geometry import Window
from jaxcnn.geometry.axis_maps import OUTSIDE, IndexedAxis, StridedAxis, axis_map_of
from tests.cases import many
from tests.geometry.drawn import strided_axes


@many
@given(st.data())
def test_a_transposed_map_reads_the_cells_whose_windows_read_its_output(data):
    size, *numbers = (data.draw(st.integers(1, most)) for most in (12, 4, 3))
    padding = (data.draw(st.integers(-1, 2)), data.draw(st.integers(-1, 2)))
    try:
        window = Window(size, *numbers, padding, data.draw(st.integers(1, 3)), "floor")
    except InputError:
        return
    forward, back = StridedAxis.from_window(window), StridedAxis.transposed(window)
    assert (back.size, back.output) == (forward.output, forward.size)
    for cell in range(size):
        readers = [o for o in range(window.output) if cell in forward.cells(o)]
        assert [o for o in back.cells(cell)[::-1] if 0 <= o < window.output][::-1] == readers


@many
@given(st.data())
def test_axis_map_of_recognises_every_strided_axis_by_the_cells_it_reads(data):
    slide = data.draw(strided_axes(data.draw(st.integers(1, 12))))
    assume(slide.input_dilation == 1)
    found = axis_map_of(slide.size, tuple(slide.cells(o) for o in range(slide.output)))
    assert isinstance(found, StridedAxis)
    assert [found.cells(o) for o in range(found.output)] == [
        slide.cells(o) for o in range(slide.output)
    ]


@pytest.mark.parametrize(
    ("rows", "step"),
    [
        (((0,), (0,), (1,), (1,)), StridedAxis(2, 4, (0, 1), 1, 1, 1, 2)),
        (((OUTSIDE,), (0,), (OUTSIDE,), (1,)), StridedAxis(2, 4, (0,), 1, 1, 0, 2)),
        (((0, 1), (0, 1)), StridedAxis(2, 2, (0, 1), 0, 0, 0)),
        (((1,), (0,), (1,)), IndexedAxis(2, ((1,), (0,), (1,)))),
    ],
    ids=["repeated", "zeros between", "broadcast", "reflected"],
)
def test_axis_map_of_recognises_repetitions_dilations_and_broadcasts_and_lists_other_cells(
    rows, step
):
    found = axis_map_of(2, rows)
    assert found == step
