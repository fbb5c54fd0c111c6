"""Sizes of transposed convolutions: the window's formula, solved for the input size."""

import re

from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.errors import InputError
from jaxcnn.geometry import effective_kernel_size, output_size, transposed_output_size
from tests.cases import many
from tests.geometry import drawn


@many
@given(
    drawn.sizes,
    drawn.kernel_sizes,
    drawn.strides,
    drawn.pairs | st.sampled_from(["VALID", "SAME", "SAME_LOWER", "FULL", "CAUSAL"]),
    drawn.dilations,
    st.integers(0, 6),
)
def test_a_convolution_of_the_transposed_size_has_the_original_number_of_outputs(
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
@given(st.integers(1, 5), drawn.kernel_sizes, drawn.strides, drawn.pairs, st.integers(0, 9))
def test_the_advice_of_an_impossible_transposed_size_is_possible(
    size, kernel_size, stride, padding, extra
):
    try:
        transposed_output_size(
            size, kernel_size, stride=stride, padding=padding, output_padding=extra
        )
        return
    except InputError as error:
        message, advice = str(error), error.advice
    if found := re.search(r"size (\d+) with output_padding=(\d+)", message):
        changes = [{"output_padding": value} for value in getattr(advice[0], "values", ())]
        if fewer := re.search(r"padding \((-?\d+), (-?\d+)\) with output_padding=0", message):
            changes.append({"padding": tuple(map(int, fewer.groups())), "output_padding": 0})
        assert changes
        for change in changes:
            layout = {"stride": stride, "padding": padding} | change
            assert transposed_output_size(size, kernel_size, **layout) >= 1
        other, rest = map(int, found.groups())
        cells = [(n - 1) * stride + left for n, left in ((size, extra), (other, rest))]
        assert rest < stride
        assert cells[0] == cells[1]
        return
    ((fewer,),) = (way.values for way in advice)
    got = transposed_output_size(
        size, kernel_size, stride=stride, padding=fewer, output_padding=extra
    )
    assert got == 1
