"""Paddings: named ones, size-preserving ones, and those that give an output size."""

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

from jaxcnn.errors import InputError
from jaxcnn.geometry import (
    describe_size_preserving_padding,
    effective_kernel_size,
    named_padding,
    output_size,
    padding_for_output,
    padding_total,
    resolve_padding,
    size_preserving_padding,
)
from tests.cases import many
from tests.geometry import drawn
from tests.geometry.brute import placements


@pytest.mark.parametrize("name", ["VALID", "SAME", "SAME_LOWER"])
def test_named_paddings_are_those_of_lax(name):
    for size, kernel_size, stride, dilation in product(
        range(1, 12), range(1, 6), (1, 2, 3), (1, 2)
    ):
        extent = effective_kernel_size(kernel_size, dilation)
        ((low, high),) = lax.padtype_to_pads((size,), (extent,), (stride,), name)
        got = named_padding(name, size, kernel_size, stride=stride, dilation=dilation)
        assert got == (low, high), (size, kernel_size, stride, dilation)


@many
@given(drawn.sizes, drawn.kernel_sizes, drawn.strides, drawn.dilations)
def test_same_padding_gives_one_output_for_every_stride_cells(size, kernel_size, stride, dilation):
    layout = {"stride": stride, "dilation": dilation}
    for name in ("SAME", "SAME_LOWER"):
        got = output_size(size, kernel_size, padding=name, rounding="floor", **layout)
        assert got == len(range(0, size, stride))


@many
@given(drawn.sizes, drawn.kernel_sizes, drawn.dilations)
def test_full_padding_reads_every_cell_with_every_tap_and_has_no_empty_window(
    size, kernel_size, dilation
):
    pair = named_padding("FULL", size, kernel_size, dilation=dilation)
    found = placements(size, kernel_size, stride=1, padding=pair, dilation=dilation)
    for tap in range(kernel_size):
        assert {cells[tap] for cells in found} >= set(range(size))
    span = [(cells[0], cells[-1]) for cells in found]
    assert all(last >= 0 and first < size for first, last in span)


@many
@given(drawn.sizes, drawn.kernel_sizes, drawn.strides, drawn.dilations)
def test_causal_padding_lets_no_output_read_a_later_cell(size, kernel_size, stride, dilation):
    pair = named_padding("CAUSAL", size, kernel_size, stride=stride, dilation=dilation)
    found = placements(size, kernel_size, stride=stride, padding=pair, dilation=dilation)
    assert [cells[-1] for cells in found] == list(range(0, size, stride))


def test_equal_padding_preserves_the_size_iff_it_is_that_of_the_formula():
    for size, kernel_size, stride, dilation in product(range(1, 8), range(1, 5), (1, 2, 3), (1, 2)):
        layout = {"stride": stride, "dilation": dilation}
        low, high = size_preserving_padding(size, kernel_size, **layout)
        twice = (size - 1) * stride + effective_kernel_size(kernel_size, dilation) - size
        assert low + high == twice
        assert (low == high) == (twice % 2 == 0)
        assert high - low in (0, 1)
        for total in range(twice + 2 * stride):
            padding = (total // 2, total - total // 2)
            found = placements(size, kernel_size, padding=padding, **layout)
            exact = bool(found) and found[-1][-1] == size + padding[1] - 1
            assert (exact and len(found) == size) == (total == twice)


def test_the_description_of_size_preserving_padding_has_its_formula_and_the_uneven_pair():
    assert describe_size_preserving_padding(7, 3) == (
        "padding ((7 - 1)*1 + 3 - 7)/2 = 1 on both sides keeps size 7"
    )
    uneven = describe_size_preserving_padding(7, 4)
    assert "= 1.5 is not whole" in uneven
    assert "(1, 2)" in uneven


@many
@given(drawn.sizes, drawn.kernel_sizes, st.integers(1, 60), drawn.strides, drawn.dilations)
def test_padding_for_output_gives_exactly_that_output_or_is_refused(
    size, kernel_size, output, stride, dilation
):
    layout = {"stride": stride, "dilation": dilation}
    total = padding_total(size, kernel_size, output, **layout)
    if total >= 0:
        pair = padding_for_output(size, kernel_size, output, **layout)
        assert sum(pair) == total
        assert pair[1] - pair[0] in (0, 1)
        assert output_size(size, kernel_size, padding=pair, **layout) == output
        return
    with pytest.raises(InputError, match=f"{-total} of its cells are cut off"):
        padding_for_output(size, kernel_size, output, **layout)
    assert output_size(size + total, kernel_size, **layout) == output


@many
@given(drawn.sizes, drawn.kernel_sizes, st.integers(1, 60), drawn.strides, drawn.dilations)
def test_the_size_that_padding_for_output_advises_needs_no_padding(
    size, kernel_size, output, stride, dilation
):
    layout = {"stride": stride, "dilation": dilation}
    try:
        padding_for_output(size, kernel_size, output, **layout)
        return
    except InputError as error:
        other = int(re.search(r"use size (-?\d+)", str(error))[1])
    assert padding_for_output(other, kernel_size, output, **layout) == (0, 0)


def test_all_forms_of_padding_resolve_to_the_same_pairs():
    sizes, filters = (7, 8), (3, 4)
    for given_as in (1, [1, 1], ((1, 1), 1), [[1, 1], (1, 1)]):
        assert resolve_padding(given_as, sizes, filters) == ((1, 1), (1, 1))
    assert resolve_padding("same", sizes, filters) == resolve_padding("SAME", sizes, filters)
    assert resolve_padding("VALID", sizes, filters) == resolve_padding(0, sizes, filters)
