"""Output sizes, against placements counted by hand and against lax."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

from jaxcnn.errors import InputError
from jaxcnn.geometry import (
    exact_sizes,
    output_size,
    output_sizes,
)
from tests.cases import many
from tests.geometry import drawn
from tests.geometry.brute import placements, small_cases


def _size_or_none(size, kernel_size, **layout):
    try:
        return output_size(size, kernel_size, **layout)
    except InputError:
        return None


def _is_exact(size, layout, found):
    return bool(found) and found[-1][-1] == size + layout["padding"][1] - 1


def test_exact_output_size_is_the_number_of_placements_if_they_leave_nothing_unread():
    for size, kernel_size, layout in small_cases():
        found = placements(size, kernel_size, **layout)
        want = len(found) if _is_exact(size, layout, found) else None
        assert _size_or_none(size, kernel_size, **layout) == want, (size, kernel_size, layout)


def test_floored_output_size_is_the_number_of_placements():
    for size, kernel_size, layout in small_cases():
        want = len(placements(size, kernel_size, **layout)) or None
        got = _size_or_none(size, kernel_size, rounding="floor", **layout)
        assert got == want, (size, kernel_size, layout)


def test_ceiled_output_size_counts_the_overhanging_placement():
    for size, kernel_size, layout in small_cases():
        want = len(placements(size, kernel_size, overhang=True, **layout))
        if want:
            got = output_size(size, kernel_size, rounding="ceil", **layout)
            assert got == want, (size, kernel_size, layout)


def test_floored_output_size_is_that_of_lax():
    for size, kernel_size, layout in small_cases():
        want = _lax_size(size, kernel_size, **layout)
        got = _size_or_none(size, kernel_size, rounding="floor", **layout) or 0
        assert got == want, (size, kernel_size, layout)


def _lax_size(size, kernel_size, *, stride, padding, dilation):
    def convolve(x, kernel):
        return lax.conv_general_dilated(x, kernel, (stride,), (padding,), rhs_dilation=(dilation,))

    x, kernel = (jax.ShapeDtypeStruct((1, 1, n), np.float32) for n in (size, kernel_size))
    return jax.eval_shape(convolve, x, kernel).shape[-1]


@many
@given(drawn.sizes, drawn.kernel_sizes, drawn.strides, drawn.pairs, drawn.dilations)
def test_output_sizes_of_large_layouts_are_their_numbers_of_placements(
    size, kernel_size, stride, padding, dilation
):
    layout = {"stride": stride, "padding": padding, "dilation": dilation}
    found = placements(size, kernel_size, **layout)
    assert _size_or_none(size, kernel_size, rounding="floor", **layout) == (len(found) or None)
    exact = len(found) if _is_exact(size, layout, found) else None
    assert _size_or_none(size, kernel_size, **layout) == exact


@pytest.mark.parametrize(
    ("size", "kernel_size", "arguments", "want"),
    [
        (7, 3, {}, 5),
        (7, 3, {"stride": 2}, 3),
        (7, 3, {"padding": 1}, 7),
        (9, 3, {}, 7),
        (5, 3, {}, 3),
        (224, 7, {"stride": 2, "padding": (3, 2)}, 112),
        (224, 7, {"stride": 2, "padding": 3, "rounding": "floor"}, 112),
        (7, 3, {"stride": 3, "rounding": "floor"}, 2),
        (7, 3, {"stride": 3, "rounding": "ceil"}, 3),
    ],
)
def test_output_sizes_of_worked_examples(size, kernel_size, arguments, want):
    assert output_size(size, kernel_size, **arguments) == want


def test_the_error_of_an_inexact_size_states_the_formula_the_unread_cells_and_what_to_type():
    with pytest.raises(InputError) as caught:
        output_size(224, 7, stride=2, padding=3)
    assert str(caught.value) == (
        "size 224 with kernel_size 7, stride 2, padding (3, 3) gives (224 + 3 + 3 - 7)/2 + 1 = "
        "112.5 outputs; 112.5 is not an integer: 1 row at the end (of padding) would never be "
        'read. Use padding=(3, 2) or (3, 4), size 223 or 225, or rounding="floor" to drop it.'
    )


@many
@given(drawn.sizes, drawn.kernel_sizes, drawn.strides, drawn.pairs, drawn.dilations)
def test_exact_sizes_are_the_nearest_sizes_that_output_size_accepts(
    size, kernel_size, stride, padding, dilation
):
    layout = {"stride": stride, "padding": padding, "dilation": dilation}

    def accepted(candidate):
        return _size_or_none(candidate, kernel_size, **layout) is not None

    want = [size]
    if not accepted(size):
        below = [n for n in range(1, size) if accepted(n)][-1:]
        above = next(n for n in range(size + 1, size + 1000) if accepted(n))
        want = [*below, above]
    assert list(exact_sizes(size, kernel_size, **layout)) == want


@many
@given(drawn.sizes, drawn.kernel_sizes, drawn.strides, drawn.pairs, drawn.dilations)
def test_the_advice_of_an_impossible_output_size_is_possible(
    size, kernel_size, stride, padding, dilation
):
    layout = {"stride": stride, "dilation": dilation}
    try:
        output_size(size, kernel_size, padding=padding, **layout)
        return
    except InputError as error:
        advice = {way.argument: way for way in error.advice if not isinstance(way, str)}
    for pair in advice["padding"].values:
        assert output_size(size, kernel_size, padding=pair, **layout) >= 1
    sizes = advice["size"].values
    for other in sizes:
        for n in range(other, other + (3 if advice["size"].note == "or more" else 1)):
            assert output_size(n, kernel_size, padding=padding, **layout) >= 1
    if "rounding" in advice:
        assert advice["rounding"].values == ("floor",)
        assert output_size(size, kernel_size, padding=padding, rounding="floor", **layout) >= 1
    else:  # too small: the advised size is the smallest possible
        with pytest.raises(InputError):
            output_size(sizes[0] - 1, kernel_size, padding=padding, **layout)


@many
@given(st.lists(st.tuples(drawn.sizes, drawn.kernel_sizes, drawn.strides), min_size=1, max_size=4))
def test_output_sizes_on_several_axes_are_those_of_each_axis(axes):
    sizes, filters, strides = zip(*axes, strict=True)
    want = [
        _size_or_none(n, f, stride=s, padding=(f, f), rounding="floor")
        for n, f, s in zip(sizes, filters, strides, strict=True)
    ]
    pairs = [(f, f) for f in filters]
    got = output_sizes(sizes, filters, stride=strides, padding=pairs, rounding="floor")
    assert list(got) == want


def test_an_error_names_the_axis_and_its_cells_rows_columns_or_slices():
    for axes, i, words in ((1, 0, "length 7"), (2, 1, "width 7"), (3, 0, "depth 7")):
        sizes = [5] * axes
        sizes[i] = 7
        filters = [1] * axes
        filters[i] = 3
        with pytest.raises(
            InputError, match=rf"^{words} with kernel_size 3.*1 (cell|column|slice) at"
        ):
            output_sizes(sizes, filters, stride=[3 if f == 3 else 1 for f in filters])
