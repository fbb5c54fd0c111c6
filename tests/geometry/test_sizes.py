"""Output sizes: the formula, against placements counted by hand and against lax's own rule."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

from jaxcnn.errors import InputError
from jaxcnn.geometry import (
    Window,
    effective_kernel_size,
    exact_sizes,
    output_size,
    output_sizes,
    transposed_output_size,
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


def test_exact_size_is_the_number_of_placements_where_they_leave_nothing_unread():
    for size, kernel_size, layout in small_cases():
        found = placements(size, kernel_size, **layout)
        want = len(found) if _is_exact(size, layout, found) else None
        assert _size_or_none(size, kernel_size, **layout) == want, (size, kernel_size, layout)


def test_floored_size_is_the_number_of_placements():
    for size, kernel_size, layout in small_cases():
        want = len(placements(size, kernel_size, **layout)) or None
        got = _size_or_none(size, kernel_size, rounding="floor", **layout)
        assert got == want, (size, kernel_size, layout)


def test_ceiled_size_counts_the_placement_that_overhangs():
    for size, kernel_size, layout in small_cases():
        want = len(placements(size, kernel_size, overhang=True, **layout))
        if want:
            got = output_size(size, kernel_size, rounding="ceil", **layout)
            assert got == want, (size, kernel_size, layout)


def test_floored_size_is_the_one_lax_gives():
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
@given(drawn.sizes, drawn.filters, drawn.strides, drawn.pairs, drawn.dilations)
def test_large_sizes_obey_as_the_small_ones_do(size, kernel_size, stride, padding, dilation):
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
def test_worked_examples_hold(size, kernel_size, arguments, want):
    assert output_size(size, kernel_size, **arguments) == want


def test_a_stride_that_does_not_fit_is_refused_with_what_is_lost_and_what_to_type():
    with pytest.raises(InputError) as caught:
        output_size(224, 7, stride=2, padding=3)
    assert str(caught.value) == (
        "size 224 with kernel_size 7, stride 2, padding (3, 3) gives (224 + 3 + 3 - 7)/2 + 1 = 112.5 "
        "outputs; 112.5 is not an integer: 1 row at the end (of padding) would never be read. Use "
        'padding=(3, 2) or (3, 4), size 223 or 225, or rounding="floor" to drop it.'
    )


@many
@given(drawn.sizes, drawn.filters, drawn.strides, drawn.pairs, drawn.dilations)
def test_exact_sizes_are_the_nearest_ones_that_are_accepted(
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
@given(
    drawn.sizes,
    drawn.filters,
    drawn.strides,
    drawn.pairs | st.sampled_from(["VALID", "SAME", "SAME_LOWER", "FULL", "CAUSAL"]),
    drawn.dilations,
    st.integers(0, 6),
)
def test_transposed_size_is_one_that_the_window_takes_back(
    outputs, kernel_size, stride, padding, dilation, extra
):
    layout = {"stride": stride, "padding": padding, "dilation": dilation}
    named_same = isinstance(padding, str) and padding.startswith("SAME")
    extra = 0 if named_same else extra % stride
    try:
        size = transposed_output_size(outputs, kernel_size, output_padding=extra, **layout)
    except InputError:
        extent = effective_kernel_size(kernel_size, dilation)
        sides = {"FULL": 2 * (extent - 1), "CAUSAL": extent - 1}
        total = sides[padding] if isinstance(padding, str) else sum(padding)
        assert (outputs - 1) * stride + extent - total + extra < 1
        return
    assert output_size(size, kernel_size, rounding="floor", **layout) == outputs
    if named_same:
        assert size == outputs * stride
    elif not extra:
        assert output_size(size, kernel_size, **layout) == outputs
        larger = size + stride
        assert output_size(larger, kernel_size, **layout) == outputs + 1


@many
@given(st.lists(st.tuples(drawn.sizes, drawn.filters, drawn.strides), min_size=1, max_size=4))
def test_several_axes_are_each_axis_by_itself(axes):
    sizes, filters, strides = zip(*axes, strict=True)
    want = [
        _size_or_none(n, f, stride=s, padding=(f, f), rounding="floor")
        for n, f, s in zip(sizes, filters, strides, strict=True)
    ]
    pairs = [(f, f) for f in filters]
    got = output_sizes(sizes, filters, stride=strides, padding=pairs, rounding="floor")
    assert list(got) == want


def test_an_error_names_the_axis_and_what_its_cells_are_called():
    for axes, i, words in ((1, 0, "length 7"), (2, 1, "width 7"), (3, 0, "depth 7")):
        sizes = [5] * axes
        sizes[i] = 7
        filters = [1] * axes
        filters[i] = 3
        with pytest.raises(
            InputError, match=rf"^{words} with kernel_size 3.*1 (cell|column|slice) at"
        ):
            output_sizes(sizes, filters, stride=[3 if f == 3 else 1 for f in filters])


def test_a_window_prints_as_the_formula_with_its_numbers():
    assert str(Window(7, 3, 2)) == "(7 + 0 + 0 - 3)/2 + 1 = 3"
    floored = Window(224, 7, 2, (3, 3), rounding="floor")
    assert str(floored) == "(224 + 3 + 3 - 7)/2 + 1 = 112.5, rounded to 112"
