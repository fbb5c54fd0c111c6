"""Counts of the input and padding cells that outputs read, against placements one by one."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from jaxcnn.geometry import PADDING_MODES, Window, padded_cells, real_cells
from jaxcnn.geometry.coverage import first_empty_output
from jaxcnn.shapes import (
    adaptive_shapes,
    blur_shapes,
    causal_shapes,
    conv_shapes,
    conv_transpose_shapes,
    depthwise_shapes,
    global_shapes,
    local_shapes,
    pad_windows,
    pool_shapes,
    shuffle_shapes,
    unpool_shapes,
    unshuffle_shapes,
)
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


FAR = 10**9  # cells: too many to visit one by one while a test runs


def test_shapes_of_an_axis_of_a_billion_cells_take_no_time():
    line = (1, FAR, 4)
    for padding_mode in PADDING_MODES:
        for padding in ("VALID", "SAME", ((999, 0),)):
            shapes = conv_shapes(line, (1999, 4, 6), padding=padding, padding_mode=padding_mode)
            assert shapes.spatial[0] > FAR - 2000
    assert pool_shapes(line, 1024, stride=1, padding=512).spatial == (FAR + 1,)
    assert pool_shapes(line, 3, stride=2, dilation=7, padding=6, rounding="ceil").spatial[0] > 0
    wide = pool_shapes((1, 4, 4), 2, stride=1, dilation=FAR, padding=((0, FAR - 1),))
    assert wide.spatial == (3,)
    assert pool_shapes(line, FAR).spatial == (1,)
    assert adaptive_shapes(line, FAR - 1).spatial == (FAR - 1,)
    assert global_shapes(line).spatial == (1,)
    assert blur_shapes(line, 3).spatial == (FAR // 2,)
    assert pad_windows(line, 7, padding_mode="reflect")[0].output == FAR + 14
    assert causal_shapes(line, (1999, 4, 6)).spatial == (FAR,)
    assert depthwise_shapes(line, (3, 4, 1)).spatial == (FAR - 2,)
    assert conv_transpose_shapes(line, (4, 6, 4), stride=2, padding=1).input == (1, 2 * FAR, 6)
    assert local_shapes(line, (FAR - 2, 3, 4, 5)).spatial == (FAR - 2,)
    assert shuffle_shapes(line, 2).fine == (2 * FAR,)
    assert unshuffle_shapes(line, 2).coarse == (FAR // 2,)
    assert unpool_shapes(line, line, 2 * FAR).output == (1, 2 * FAR, 4)
